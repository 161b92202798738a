"""How far a window lies from the reference, from the counts of both in the same cells.

Nulls are left out of psi, js, ks and w1, and shown as a share of their own.
"""

from math import isnan, nan

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from trimtab.monitoring.cells import Array, Cells, Counts
from trimtab.monitoring.edges import ends_of
from trimtab.monitoring.partial_moments import exact_sides

PSI_FLOOR = 1e-4
USUAL = 0.95
_EXACT_ROWS = 50
_OFTEN = 3  # of what is rarer, the discount has taken away more than chance adds
Partial = tuple[Array | None, Array | None]
"""Partial moments of reference and window, each of shape (..., 2); None where they were not kept."""


class Distances(msgspec.Struct, frozen=True, kw_only=True):
    """What one window's column shows against the reference; NaN where one of the two has no values."""

    n: int
    """Rows of the window, nulls included."""
    psi: float
    """Of a category less what it would be on average if nothing had changed (``expected_psi``), and not below 0."""
    js: float
    ks: float
    w1: float
    null_share: float
    unseen_share: float


def distances(
    reference: Counts, window: Counts, cells: Cells, *, unseen: float | None = None, partial: Partial = (None, None)
) -> Distances:
    """Return every distance of a column's window from its reference.

    ``unseen`` is the share of unseen categories to be expected (``unseen_before``); without it that of values which the
    reference holds once (Good, 1953). ``partial`` as for ``wasserstein``.
    """
    return Distances(
        n=int(window.sum()),
        psi=_beyond_chance(psi(reference, window, cells), reference, window, cells, unseen),
        js=js(reference, window, cells),
        ks=ks(reference, window, cells),
        w1=wasserstein(reference, window, cells, partial=partial),
        null_share=null_share(window, cells),
        unseen_share=unseen_share(window, cells),
    )


def psi(reference: Counts, window: Counts, cells: Cells) -> float:
    """Population stability index over the bins of the reference, or over categories and unseen.

    The sum of ``(q - p) ln(q / p)``, with 1e-4 added to each share of both, so that an empty bin stays finite. Bins of
    a number begin at the reference's deciles; a value that holds a tenth of it has a bin of its own, between one
    for what is less and one for what is more, so a constant has three and a column of 0 and 1 five.
    """
    return float(_psi(reference, window, cells))


def expected_psi(reference: Counts, cells: Cells, *, n: int, unseen: float | None = None) -> float:
    """Return what the PSI of a category is on average in ``n`` rows when nothing has changed; 0 for a number.

    Many rare categories make it large by chance alone: most of them are not in a window, and others are that the
    reference never held. Categories of the reference hold all but ``unseen`` of the rows, each a constant part of a row
    less than it was counted (absolute discounting); the mean of each term is taken over the binomial distribution, and
    to second order where more than fifty rows are expected. The reference was drawn as well: to second order.
    """
    counts = valid(reference, cells).astype(np.float64)
    if cells.numeric or not n or not counts.sum():
        return 0.0
    total, named = counts.sum(), counts[:-1]
    new = (counts[-1] + np.count_nonzero(named == 1)) / total if unseen is None else unseen
    new = min(max(new, counts[-1] / total), 1.0)
    kept = np.maximum(named - max(new * total - counts[-1], 0.0) / max(np.count_nonzero(named), 1), 0.0)
    true = np.append(kept * ((1 - new) / kept.sum()) if kept.sum() else kept, new)
    drawn = np.where(counts >= _OFTEN, true * (1 - true) / (true + PSI_FLOOR), 0.0) / total
    return float((_mean_terms(counts / total, np.minimum(true, 1 - 1e-12), n) + drawn).sum())


def js(reference: Counts, window: Counts, cells: Cells) -> float:
    """Jensen-Shannon distance (the root of the divergence, base 2: from 0 to 1) over the bins of ``psi``."""
    return float(_js(reference, window, cells))


def ks(reference: Counts, window: Counts, cells: Cells) -> float:
    """Kolmogorov-Smirnov statistic over the edges; for categories the total variation, its equal without an order.

    Never too large, and too small by at most the largest of any cell's lesser share, the window's or the reference's.
    So it is exact where each value of the reference has a cell of its own: a constant, two values, any few that repeat.
    Categories beyond the named ones are one: at most the lesser of their two shares is missed.
    """
    return float(_ks(reference, window, cells))


def wasserstein(reference: Counts, window: Counts, cells: Cells, *, partial: Partial = (None, None)) -> float:
    """Wasserstein-1 distance, in the column's units; NaN for a category.

    With the partial moments of both (``partial_moments``) it is exact wherever one of the two holds the larger values
    all the way from the reference's middle to an end: of what moved, spread, or left a constant, however far. Without
    them, and elsewhere, it is exact where every value of both is an edge; other values are spread evenly in their cell.
    Either way it is wrong by at most the sum over cells of width times the shares of both in it. Cells are narrow where
    the reference has rows, and far from its middle at most a tenth as wide as they are far away; only what lies beyond
    the first and last edge, twelve times as far as the reference's own last value (ten thousand times as far as few
    values lie apart; a million times the size of a constant, or 1e9), is taken to lie on it.
    """
    return float(_wasserstein(reference, window, cells, partial))


def usual(
    blocks: Counts, cells: Cells, *, length: int, share: float = USUAL, partial: Array | None = None
) -> Distances:
    """Return the distances that this share of windows of ``length`` blocks do not exceed, each against the others.

    Shape of ``blocks``: (blocks, cells), of their partial moments: (blocks, 2). With fewer than two windows there is
    nothing that is usual: all are NaN.
    """
    summed = np.concatenate((np.zeros((1, cells.size), dtype=np.int64), np.cumsum(blocks, axis=0)))
    windows = summed[length:] - summed[:-length]
    filled = valid(windows, cells).sum(axis=-1) > 0
    windows = windows[filled]
    others = summed[-1] - windows
    if cells.unseen is not None:
        windows = _held_against(windows, others, cells)
    if len(windows) < 2 or not (valid(others, cells).sum(axis=-1) > 0).all():
        return Distances(n=0, psi=nan, js=nan, ks=nan, w1=nan, null_share=nan, unseen_share=nan)
    rows = windows.sum(axis=-1)
    of_unseen = np.zeros(len(windows)) if cells.unseen is None else windows[:, cells.unseen] / rows
    return Distances(
        n=int(np.median(rows)),
        psi=float(np.quantile(_usual_psi(blocks, others, windows, cells), share)),
        js=float(np.quantile(_js(others, windows, cells), share)),
        ks=float(np.quantile(_ks(others, windows, cells), share)),
        w1=float(np.quantile(_wasserstein(others, windows, cells, _each_window(partial, length, filled)), share)),
        null_share=float(np.quantile(windows[:, -1] / rows, share)),
        unseen_share=float(np.quantile(of_unseen, share)),
    )


def null_share(counts: Counts, cells: Cells) -> float:
    """Share of rows without a value."""
    return _share(counts, cells.size - 1)


def unseen_share(counts: Counts, cells: Cells) -> float:
    """Share of rows with a category that the reference did not name; 0 for a numeric column."""
    return 0.0 if cells.unseen is None else _share(counts, cells.unseen)


def unseen_rows(blocks: Counts, cells: Cells) -> Array:
    """Return how many rows of each block hold a category, or one of few numbers, that no other block holds.

    Each block is judged by the others, as a window will be by all: the reference has named its own values, so none of
    them is unseen there, and their true share can only be seen from outside. Where only the most frequent categories
    are named, those count as well that would not have been named without the block; of categories as frequent in the
    other blocks as the last named ones, as many as of those. Shapes: (blocks, cells), (blocks,).
    """
    if cells.unseen is None:
        named = valid(blocks, cells)
        only: Array = np.where(named == named.sum(axis=0), named, 0).sum(axis=1).astype(np.float64)
        return only
    named, others = blocks[:, : cells.unseen], int(blocks[:, cells.unseen].sum())
    total = named.sum(axis=0)
    held = total[total > 0]  # a category may lie in a block that was left out, and nowhere else
    least = int(held.min()) if others and held.size else 1
    last = np.count_nonzero(total == least)
    left_out = others / least / (others / least + last) if others else 0.0
    alone = np.where(total - named < least, named, 0) + left_out * np.where(total - named == least, named, 0)
    found: Array = alone.sum(axis=1) + blocks[:, cells.unseen]
    return found


def unseen_before(blocks: Counts, cells: Cells) -> float:
    """Share of rows that are expected to hold an unseen category when nothing is wrong; 0 for a number.

    With one block, which nothing can be held against, it is that of the reference's own unseen rows.
    """
    if cells.unseen is None or len(blocks) < 2:
        return unseen_share(blocks.sum(axis=0), cells)
    total = int(blocks.sum())
    return float(unseen_rows(blocks, cells).sum()) / total if total else nan


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


def shares_below(counts: Counts) -> Array:
    """Return the share that lies in each cell or below it; NaN where there is none. Exactly 1 above all that is held.

    Cells far away are wide: there a sum of shares, which ends a little off 1, would count as rows.
    """
    summed = np.cumsum(counts, axis=-1)
    total = summed[..., -1:]
    found: Array = np.divide(summed, total, out=np.full(counts.shape, np.nan), where=total > 0)
    return found


def _psi(reference: Counts, window: Counts, cells: Cells) -> Array:
    p, q = shares(bins(reference, cells)) + PSI_FLOOR, shares(bins(window, cells)) + PSI_FLOOR
    found: Array = ((q - p) * np.log(q / p)).sum(axis=-1)
    return found


def _usual_psi(blocks: Counts, others: Counts, windows: Counts, cells: Cells) -> Array:
    unseen = unseen_before(blocks, cells)
    found = _psi(others, windows, cells)
    if cells.numeric:
        return found
    pairs = zip(found.tolist(), others, windows, strict=True)
    return np.array([_beyond_chance(one, reference, window, cells, unseen) for one, reference, window in pairs])


def _beyond_chance(found: float, reference: Counts, window: Counts, cells: Cells, unseen: float | None) -> float:
    if cells.numeric or isnan(found):
        return found
    return max(0.0, found - expected_psi(reference, cells, n=int(valid(window, cells).sum()), unseen=unseen))


def _held_against(windows: Counts, others: Counts, cells: Cells) -> Counts:
    """Return windows with the categories that the other blocks do not hold among the unseen."""
    at = len(cells.categories)
    alone = np.where(others[:, :at] == 0, windows[:, :at], 0)
    found = windows.copy()
    found[:, :at] -= alone
    found[:, at] += alone.sum(axis=1)
    return found


def _mean_terms(p: Array, true: Array, n: int) -> Array:
    """Return the mean of each term of PSI when ``n`` rows are drawn with shares ``true`` and ``p`` is expected."""
    p = p + PSI_FLOOR
    at = true + PSI_FLOOR
    second = 1 / at + p / at**2
    found: Array = (at - p) * np.log(at / p) + second * true * (1 - true) / n / 2
    few = n * true <= _EXACT_ROWS
    k = np.arange(min(n, 3 * _EXACT_ROWS) + 1)
    chosen = np.concatenate(([0.0], np.cumsum(np.log((n - k[1:] + 1) / k[1:]))))
    rate = np.maximum(true[few], 1e-300)[:, None]
    weight = np.exp(chosen + k * np.log(rate) + (n - k) * np.log1p(-rate))
    share = k / n + PSI_FLOOR
    found[few] = (weight * (share - p[few, None]) * np.log(share / p[few, None])).sum(axis=1)
    return found


def _js(reference: Counts, window: Counts, cells: Cells) -> Array:
    p, q = shares(bins(reference, cells)), shares(bins(window, cells))
    middle = (p + q) / 2
    found: Array = np.sqrt(np.maximum((_relative(p, middle) + _relative(q, middle)) / 2, 0.0))
    return found


def _ks(reference: Counts, window: Counts, cells: Cells) -> Array:
    before, now = valid(reference, cells), valid(window, cells)
    if not cells.numeric:
        of_categories: Array = np.abs(shares(now) - shares(before)).sum(axis=-1) / 2
        return of_categories
    found: Array = np.abs(shares_below(now) - shares_below(before)).max(axis=-1)
    return found


def _each_window(partial: Array | None, length: int, filled: Array) -> Partial:
    """Return the partial moments of all but each window, and of the window."""
    if partial is None:
        return None, None
    windows = sliding_window_view(partial, length, axis=0).sum(axis=-1)[filled]
    return partial.sum(axis=0) - windows, windows


def _wasserstein(reference: Counts, window: Counts, cells: Cells, partial: Partial) -> Array:
    before, now = valid(reference, cells), valid(window, cells)
    if not cells.numeric or not cells.edges:
        return np.full(np.broadcast_shapes(before.shape, now.shape)[:-1], nan)
    below = (shares_below(now) - shares_below(before))[..., :-1]  # at each edge
    width = np.diff(np.array(cells.edges))
    even = _even(reference, width, cells)
    # From where the last value of a cell may lie to the next edge, the share below stays the same.
    areas = _mean_size(below[..., :-1], below[..., 1:]) * even + np.abs(below[..., 1:]) * (width - even)
    at = cells.middle
    sides = np.stack((areas[..., :at].sum(axis=-1), areas[..., at:].sum(axis=-1)), axis=-1)
    of_reference, of_window = partial
    if of_reference is not None and of_window is not None:
        n = before.sum(axis=-1, keepdims=True), now.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            sides = exact_sides(sides, below, (of_reference / n[0], of_window / n[1]), cells)
    found: Array = sides.sum(axis=-1)
    return found


def _even(reference: Counts, width: Array, cells: Cells) -> Array:
    """Return over how much of each cell between two edges, from the first on, its values are spread."""
    if not cells.points:
        return width
    if cells.kind == "int":
        edges = np.array(cells.edges)
        return np.maximum(edges[1:] - ends_of(edges[:-1], cells.kind), 0.0)
    # What the reference holds lies on the first edge; elsewhere a later value may lie anywhere.
    return np.where(reference[..., 1 : len(cells.edges)] > 0, 0.0, width)


def _relative(p: Array, q: Array) -> Array:
    """Return the sums of ``p log2(p / q)``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(p == 0, 0.0, p * np.log2(p / q))
    found: Array = parts.sum(axis=-1)
    return found


def _mean_size(first: Array, last: Array) -> Array:
    """Return the mean of ``|x|`` while x goes evenly from ``first`` to ``last``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (first * first + last * last) / (2 * np.abs(last - first))
    return np.where(first * last < 0, crossing, np.abs(first + last) / 2)


def _share(counts: Counts, at: int) -> float:
    total = int(counts.sum())
    return int(counts[at]) / total if total else nan
