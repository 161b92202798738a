"""How much a column varies from block to block when nothing is wrong: what a window's counts are measured by.

A column is watched by a few scores, each a mean over rows. Of a number: where it lies, how widely, and its shape
(Legendre polynomials of its rank in the reference, as in Neyman's smooth test); the later ones beyond what a mere shift
explains, so that a season that moves a column does not look like a broken sensor; and its mean, which still grows where
ranks have come to their end. Of a category: the share of each frequent value. Of a category, and of a number with few
values: the share of values that the reference does not hold, whose usual size is that of each block's among the others.
Of all: the share of nulls. The variance of such a mean over a window has two
parts, estimated apart: what differs between blocks, which longer windows average out only as far as blocks are
independent, and the chance of drawing rows, which falls with their number.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from trimtab.monitoring.cells import Array, Cells, Counts
from trimtab.monitoring.distances import unseen_rows, valid
from trimtab.monitoring.edges import GREATEST, ends_of, unit_of

SHAPES = ("location", "spread", "skew", "tails")
MOST_CATEGORIES = 20
UNSEEN = "unseen"
_FARTHEST_MEAN = 10.0  # standard deviations: no single row decides a mean
_SMALL_BLOCK = 0.2
_LEAST_PART = 4
_SHIFTS = 65
_FARTHEST = 6.0
_NO_CURVE: tuple[Array, Array] = (np.zeros(0), np.zeros((0, 0)))


class Scores(NamedTuple):
    """What is watched of a column: for each score its name, its value in each cell, and which rows it is over."""

    names: tuple[str, ...]
    values: Array
    """Shape: (scores, cells)."""
    over: Array
    """1 for the cells whose rows the mean is taken over. Shape: (scores, cells)."""
    is_share: tuple[bool, ...]
    shifts: Array
    """By how much all values are moved along ``curve``: (shifts,); empty where no shift is imaginable."""
    curve: Array
    """The change of each shape's score when they are: (shapes, shifts). That of the first never falls."""

    def of(self, total: Counts, cells: Cells) -> "Scores":
        """Return the same scores for another reference: what is unseen depends on what that one holds."""
        if UNSEEN not in self.names:
            return self
        values = self.values.copy()
        values[self.names.index(UNSEEN)] = _unseen(total, cells)
        return self._replace(values=values)

    def beyond_shift(self, change: Array) -> Array:
        """Return changes of scores (last axis), those of the shapes after location less what a shift explains."""
        if not self.shifts.size:
            return change
        found = change.copy()
        shift = np.interp(change[..., 0], self.curve[0], self.shifts)
        for at in range(1, len(self.curve)):
            found[..., at] -= np.interp(shift, self.shifts, self.curve[at])
        return found


class Spread(NamedTuple):
    """The scores of a column, and how they vary between blocks. Arrays have one entry for each score."""

    scores: Scores
    mean: Array
    variance: Array
    """Of one row."""
    between: Array
    """Variance between windows of ``span`` blocks, without that of drawing rows."""
    rows: Array
    """Rows of the reference that each score is over."""
    blocks: int
    span: float
    length: int
    """Blocks in a window of the reference that stands for one of ``span``."""
    freedom: Array
    """How many independent blocks ``between`` is known from, less one."""
    of_mean: Array
    """Variance of the reference's own mean, as a share of ``between``."""
    observed: Array
    """Mean square of what one block is away from the whole, and the same without the loss by the whole's being its own;
    the part of it that drawing rows explains; and the mean product with the next block."""
    unbiased: Array
    drawn: Array
    lagged: Array
    between_long: Array
    """``between`` as windows of ``length`` blocks show it; 0 where that is one block."""


class Standing(NamedTuple):
    """How a window's scores stand against their spread. One entry for each score."""

    names: tuple[str, ...]
    change: Array
    z: Array
    share: Array
    """The window's share, for the scores that are shares."""
    expected: Array
    n: Array
    is_share: tuple[bool, ...]


def scores_of(total: Counts, cells: Cells) -> Scores:
    """Choose what to watch of a column from its counts in the whole reference."""
    rows = np.ones(cells.size)
    rows[-1] = 0.0
    parts: list[tuple[str, Array, Array, bool]] = []
    shapes = _shapes(total) if cells.numeric else []
    if cells.numeric:
        parts += [(name, values, rows, False) for name, values in shapes]
        if shapes:
            parts.append(("mean", _standardised(total, cells), rows, False))
    else:
        named = total[: len(cells.categories)]
        most = 1 if cells.kind == "bool" else MOST_CATEGORIES
        for at in np.argsort(-named, kind="stable")[:most]:
            parts.append((cells.categories[at], _only(cells.size, int(at)), rows, True))
    if not cells.numeric or _each_alone(total, cells):
        parts.append((UNSEEN, _unseen(total, cells), rows, True))
    parts.append(("nulls", _only(cells.size, cells.size - 1), np.ones(cells.size), True))
    all_values = np.array([values for _, values, _, _ in parts])
    shifts, curve = _curve(total, cells, all_values[: len(shapes)]) if cells.numeric else _NO_CURVE
    return Scores(
        shifts=shifts,
        curve=curve,
        names=tuple(name for name, *_ in parts),
        values=all_values,
        over=np.array([over for _, _, over, _ in parts]),
        is_share=tuple(is_share for *_, is_share in parts),
    )


def spread_of(blocks: Counts, cells: Cells, *, span: float, scores: Scores | None = None) -> Spread:
    """Measure how the scores vary between windows of ``span`` blocks. Shape of ``blocks``: (blocks, cells).

    ``scores`` are those of ``scores_of``; without them they are chosen from these blocks.
    """
    total = blocks.sum(axis=0)
    scores = scores_of(total, cells) if scores is None else scores.of(total, cells)
    sums, rows = blocks @ (scores.values * scores.over).T, blocks @ scores.over.T
    squares = total @ (scores.values**2 * scores.over).T
    if UNSEEN in scores.names and len(blocks) > 1:
        at = scores.names.index(UNSEEN)
        sums[:, at] = unseen_rows(blocks, cells)
        squares[at] = sums[:, at].sum()
    whole = rows.sum(axis=0)
    mean = _ratio(sums.sum(axis=0), whole)
    # Half a row of each kind keeps a share that was always 0 from having no variance at all.
    variance = np.maximum(_ratio(squares, whole) - mean**2, 0.5 / np.maximum(whole, 1.0)) * _of_difference(scores)
    usable = _usable(blocks.sum(axis=1))
    sums, rows = sums[usable], rows[usable]
    n, length = int(usable.sum()), max(1, min(math.ceil(span), int(usable.sum()) // _LEAST_PART))
    observed, unbiased, drawn, lagged = _between(scores, sums, rows, mean, variance, 1)
    between = np.maximum(unbiased - drawn, 0.0) / max(span, 1.0)
    between_long = np.zeros_like(between)
    if length > 1:
        _, of_long, drawn_long, _ = _between(scores, sums, rows, mean, variance, length)
        between_long = np.maximum(of_long - drawn_long, 0.0)
    return Spread(
        scores=scores,
        mean=mean,
        variance=variance,
        between=np.maximum(between, between_long),
        rows=whole,
        blocks=n,
        span=span,
        length=length,
        freedom=np.full(len(scores.names), n / length - 1),
        of_mean=np.full(len(scores.names), 1 / max(n, 1)),
        observed=observed,
        unbiased=unbiased,
        drawn=drawn,
        lagged=lagged,
        between_long=between_long,
    )


def stand(spread: Spread, window: Counts) -> Standing:
    """Return how a window's counts stand: ``z`` is the change in units of its standard deviation; NaN without rows."""
    scores = spread.scores
    n = scores.over @ window
    found = _ratio((scores.values * scores.over) @ window, n)
    change = scores.beyond_shift(found - spread.mean)
    return Standing(
        names=scores.names,
        change=change,
        z=change / np.sqrt(variance_of_window(spread, n)),
        share=found,
        expected=(spread.mean * spread.rows + 0.5) / (spread.rows + 1.0),
        n=n,
        is_share=scores.is_share,
    )


def variance_of_window(spread: Spread, n: Array) -> Array:
    """Return the variance of each score's change for a window of ``n`` rows, the reference's own doubt included."""
    doubt = spread.between * spread.of_mean + spread.variance / np.maximum(spread.rows, 1.0)
    found: Array = spread.between + spread.variance / np.maximum(n, 1.0) + doubt
    return found


def _shapes(total: Counts) -> list[tuple[str, Array]]:
    """Return polynomials of rank with mean 0 and variance 1 over the reference, and orthogonal; 0 for nulls."""
    counts = total[:-1].astype(np.float64)
    if not counts.sum():
        return []
    p = counts / counts.sum()
    rank = np.cumsum(p) - p / 2
    basis = legendre.legvander(2 * rank - 1, len(SHAPES))
    # Few different values leave few shapes: a polynomial that the values cannot tell from the others is left out.
    kept = min(len(SHAPES), int(np.count_nonzero(p)) - 1)
    if kept < 1:
        return []
    basis = basis[:, : kept + 1]
    upper = np.linalg.qr(np.sqrt(p)[:, None] * basis, mode="r")
    solved = np.linalg.solve((upper * np.sign(np.diag(upper))[:, None]).T, basis.T)
    return [(name, np.append(values, 0.0)) for name, values in zip(SHAPES, solved[1:], strict=False)]


def moved(share: Array, cells: Cells, by: float) -> Array:
    """Return shares of cells (without nulls) after every value has grown ``by`` this, even within each cell."""
    edges, below = np.array(cells.edges), np.cumsum(share)[:-1]
    return np.diff(np.interp(edges - by, edges, below), prepend=0.0, append=1.0)


def _curve(total: Counts, cells: Cells, shapes: Array) -> tuple[Array, Array]:
    counts = valid(total, cells)
    if len(shapes) < 2 or not counts.sum():
        return _NO_CURVE
    share = counts / counts.sum()
    deviation = _mean_and_deviation(share, cells)[1]
    if not deviation > 0:
        return _NO_CURVE
    even = np.linspace(-1.0, 1.0, _SHIFTS)
    shifts = _FARTHEST * deviation * even**3  # closer together where they are small
    still = moved(share, cells, 0.0)
    curve = np.column_stack([shapes[:, :-1] @ (moved(share, cells, float(by)) - still) for by in shifts])
    return shifts, curve


def _standardised(total: Counts, cells: Cells) -> Array:
    """Return the value of each cell in standard deviations from the reference's mean; 0 for nulls."""
    counts = valid(total, cells)
    mean, deviation = _mean_and_deviation(counts / counts.sum(), cells)
    values = (_values(cells) - mean) / deviation if deviation > 0 else np.zeros(counts.size)
    return np.append(np.clip(values, -_FARTHEST_MEAN, _FARTHEST_MEAN), 0.0)


def _mean_and_deviation(share: Array, cells: Cells) -> tuple[float, float]:
    values = _values(cells)
    unit = unit_of(values)
    values = values / unit
    mean = float(share @ values)
    return mean * unit, math.sqrt(max(float(share @ (values - mean) ** 2), 0.0)) * unit


def _values(cells: Cells) -> Array:
    """Return the value that stands for each cell but that of nulls: an edge where values are edges, else its middle."""
    edges = np.array(cells.edges)
    inner = edges[:-1] if cells.points else (edges[:-1] + edges[1:]) / 2
    return np.concatenate((edges[:1], inner, edges[-1:]))


def _of_difference(scores: Scores) -> Array:
    """Return by how much the variance of a score grows when what a shift explains is taken from it."""
    grown = np.ones(len(scores.names))
    if scores.shifts.size:
        middle = _SHIFTS // 2
        slope = scores.curve[:, middle + 2] - scores.curve[:, middle - 2]
        if slope[0] > 0:
            grown[1 : len(slope)] += (slope[1:] / slope[0]) ** 2
    return grown


def _between(
    scores: Scores, sums: Array, rows: Array, mean: Array, variance: Array, length: int
) -> tuple[Array, Array, Array, Array]:
    """Return how windows of ``length`` neighbouring blocks vary: see ``Spread.observed`` and what follows it."""
    if length > 1:
        sums, rows = _moving(sums, length), _moving(rows, length)
    filled = rows > 0
    windows = filled.sum(axis=0)
    apart = scores.beyond_shift(np.where(filled, _ratio(sums, rows) - mean, 0.0))
    drawn = np.where(filled, variance / np.maximum(rows, 1.0), 0.0)
    independent = np.maximum(windows / length, 1.0 + 1e-9)
    observed = np.nan_to_num(_ratio((apart**2).sum(axis=0), windows))
    pairs = np.maximum(windows - 1, 1)
    return (
        observed,
        observed / (1 - 1 / independent),
        np.nan_to_num(_ratio(drawn.sum(axis=0), windows)),
        (apart[1:] * apart[:-1]).sum(axis=0) / pairs,
    )


def _moving(values: Array, length: int) -> Array:
    summed = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)))
    found: Array = summed[length:] - summed[:-length]
    return found


def _usable(rows: Counts) -> NDArray[np.bool_]:
    """Leave out blocks cut short, such as the first and last day: they would add the noise of their few rows."""
    filled = rows[rows > 0]
    found: NDArray[np.bool_] = (rows > 0) & (rows >= _SMALL_BLOCK * (np.median(filled) if filled.size else 0))
    return found


def _each_alone(total: Counts, cells: Cells) -> bool:
    """Whether each value that the reference holds has a cell of its own, so that any other is seen to be one."""
    edges, held = np.array(cells.edges), total[:-1] > 0
    if not held.any() or (held[0] and edges[0] > -GREATEST) or (held[-1] and edges[-1] < GREATEST):
        return False
    return bool((edges[1:] <= ends_of(edges[:-1], cells.kind))[held[1:-1]].all())


def _unseen(total: Counts, cells: Cells) -> Array:
    """Mark the cells that the reference left empty, and that of categories which it did not name."""
    found: Array = (total == 0).astype(np.float64)
    found[-1] = 0.0
    if cells.unseen is not None:
        found[cells.unseen] = 1.0
    return found


def _only(size: int, at: int) -> Array:
    found = np.zeros(size)
    found[at] = 1.0
    return found


def _ratio(part: Array, whole: Array) -> Array:
    found: Array = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return found
