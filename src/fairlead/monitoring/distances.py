"""How far a window lies from the reference, from the counts of both in the same cells.

Nulls are left out of psi, js, ks and w1, and shown as a share of their own.
"""

import math

import msgspec
import numpy as np

from fairlead.monitoring.cells import Array, Cells, Counts

PSI_FLOOR = 1e-4


class Distances(msgspec.Struct, frozen=True, kw_only=True):
    """What one window's column shows against the reference; NaN where one of the two has no values."""

    n: int
    """Rows of the window, nulls included."""
    psi: float
    js: float
    ks: float
    w1: float
    null_share: float
    unseen_share: float


def distances(reference: Counts, window: Counts, cells: Cells) -> Distances:
    """Return every distance of a column's window from its reference."""
    return Distances(
        n=int(window.sum()),
        psi=psi(reference, window, cells),
        js=js(reference, window, cells),
        ks=ks(reference, window, cells),
        w1=wasserstein(reference, window, cells),
        null_share=null_share(window, cells),
        unseen_share=unseen_share(window, cells),
    )


def psi(reference: Counts, window: Counts, cells: Cells) -> float:
    """Population stability index over the reference's ten quantile bins, or over categories and unseen.

    The sum of ``(q - p) ln(q / p)``, with 1e-4 added to each share of both, so that an empty bin stays finite.
    """
    p, q = shares(bins(reference, cells)) + PSI_FLOOR, shares(bins(window, cells)) + PSI_FLOOR
    return float(((q - p) * np.log(q / p)).sum())


def js(reference: Counts, window: Counts, cells: Cells) -> float:
    """Jensen-Shannon distance (the root of the divergence, base 2: from 0 to 1) over the bins of ``psi``."""
    p, q = shares(bins(reference, cells)), shares(bins(window, cells))
    middle = (p + q) / 2
    divergence = (_relative(p, middle) + _relative(q, middle)) / 2
    return math.sqrt(max(divergence, 0.0)) if not math.isnan(divergence) else math.nan


def ks(reference: Counts, window: Counts, cells: Cells) -> float:
    """Kolmogorov-Smirnov statistic over the edges; for categories the total variation, its equal without an order.

    Exact when every value is an edge (``cells.points``). Otherwise at most the largest share in one cell too small.
    """
    p, q = shares(valid(reference, cells)), shares(valid(window, cells))
    if not cells.numeric:
        return float(np.abs(q - p).sum() / 2)
    return float(np.abs(np.cumsum(q - p)).max()) if p.size else math.nan


def wasserstein(reference: Counts, window: Counts, cells: Cells) -> float:
    """Wasserstein-1 distance, in the column's units; NaN for a category.

    With ``cells.points`` each value lies on its edge and the distance is exact. Otherwise values are spread evenly in
    their cell, which is wrong by at most the sum over cells of width times the shares of both in it; what lies beyond
    the first and last edge is taken to lie on it.
    """
    if not cells.numeric or not cells.edges:
        return math.nan
    p, q = shares(valid(reference, cells)), shares(valid(window, cells))
    edges = np.array(cells.edges)
    apart = np.cumsum(q - p)[:-1]  # the difference of the shares below each edge
    if cells.points:
        return float((np.abs(np.cumsum(q - p)[1:-1]) * np.diff(edges)).sum())
    return float((_mean_size(apart[:-1], apart[1:]) * np.diff(edges)).sum())


def null_share(counts: Counts, cells: Cells) -> float:
    """Share of rows without a value."""
    return _share(counts, cells.size - 1)


def unseen_share(counts: Counts, cells: Cells) -> float:
    """Share of rows with a category that the reference did not name; 0 for a numeric column."""
    return 0.0 if cells.unseen is None else _share(counts, cells.unseen)


def bins(counts: Counts, cells: Cells) -> Counts:
    """Return counts (cells last) in the coarse bins of ``psi``: ten by quantile, or categories and unseen."""
    found = valid(counts, cells)
    if not cells.numeric:
        return found
    starts = np.array([0, *(at + 1 for at in cells.tenths)])
    coarse: Counts = np.add.reduceat(found, starts, axis=-1)
    return coarse


def valid(counts: Counts, cells: Cells) -> Counts:
    """Return counts (cells last) without the cell of nulls."""
    return counts[..., : cells.size - 1]


def shares(counts: Counts) -> Array:
    """Return counts (cells last) as shares of their sum; NaN where it is zero."""
    total = counts.sum(axis=-1, keepdims=True)
    found: Array = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    return found


def _relative(p: Array, q: Array) -> float:
    """Return the sum of ``p log2(p / q)``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(p == 0, 0.0, p * np.log2(p / q))
    return float(parts.sum())


def _mean_size(first: Array, last: Array) -> Array:
    """Return the mean of ``|x|`` while x goes evenly from ``first`` to ``last``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (first * first + last * last) / (2 * np.abs(last - first))
    return np.where(first * last < 0, crossing, np.abs(first + last) / 2)


def _share(counts: Counts, at: int) -> float:
    total = int(counts.sum())
    return int(counts[at]) / total if total else math.nan
