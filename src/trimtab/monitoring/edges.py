"""Choose the edges of a number's cells: fine where the reference has rows, in growing steps far beyond both its ends.

A value that holds much of the reference (an atom: the zeros of a rainfall, a constant, both values of a flag) has a
cell that holds nothing else, so that moving off it shows however small the step. Beyond and between the reference's
values edges lie in equal ratios of their distance, so that a value that comes later is placed to a few percent of it.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_CELLS = 1024
TENTHS = 10
LATTICE_STEPS = 1 << 15
BULK = 4.0
"""How many times the distance from the first bin's begin to the last one's the lattice goes on beyond them."""
ATOM = 0.01
"""A value that holds this share of the reference has a cell of its own."""
ATOM_BIN = 0.1
"""A value that holds this share has a bin of its own in PSI and Jensen-Shannon."""
GREATEST = 1e300
"""Numbers beyond it count as infinite: their differences overflow."""
_NARROWEST, _WIDEST = 1e-30, 1e30  # the steps of anything else are no ordinary numbers in 32 bits
_FEWEST_CELLS = 64
_FEW_VALUES = 128
_BETWEEN = 256
_FARTHEST = 12.0  # how many times as far from the middle as the reference's last value
_BESIDE = 1e-4, 1e4  # where edges beyond few values begin and end, as parts of how far those lie apart
_AROUND = 1e-12, 1e9  # the same about a constant 0, which has no size
_ROUNDING = 64  # closer to a constant than so many of the numbers that there are, it has no edges
_COARSEST = 0.02  # a cell that holds more of the reference than this (and not one value) is too wide


class Edges(NamedTuple):
    """Ascending edges, which of them begin a bin of PSI, and whether each value of the reference is one."""

    at: Array
    bins: NDArray[np.intp]
    points: bool


def choose_edges(values: Array, *, kind: Literal["float", "int"], at_most: int = MOST_CELLS) -> Edges:
    """Choose the edges of a column from its values in the reference, NaN left out; none without values.

    Infinite ones are in the cells at both ends. Where there are no others, those begin at ``GREATEST``.
    """
    finite = values[np.isfinite(values)]
    ordered = np.sort(np.clip(finite if finite.size else values, -GREATEST, GREATEST))
    if not ordered.size:
        return Edges(ordered, np.zeros(0, np.intp), points=False)
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    distinct, repeats = ordered[begins], np.diff(begins, append=ordered.size)
    most = max(at_most, _FEWEST_CELLS)
    alone = _alone(repeats, ordered.size)
    atoms, heavy = distinct[alone], distinct[alone & (repeats >= ATOM_BIN * ordered.size)]
    deciles = np.quantile(ordered, np.arange(1, TENTHS) / TENTHS, method="inverted_cdf")
    begin = np.unique(np.concatenate((deciles[deciles > distinct[0]], heavy, ends_of(heavy, kind))))
    points = distinct.size < most
    if points:
        edges = _of_few(distinct, kind, begin, most)
    else:
        edges = _of_many(ordered, distinct, begin, most)
    edges = np.unique(np.concatenate((edges, atoms, ends_of(atoms, kind))))
    bins = np.maximum(np.searchsorted(edges, begin, side="right") - 1, 0)
    return Edges(edges, np.unique(bins), points)


def ends_of(values: Array, kind: str) -> Array:
    """Return where the cell of a single value ends: at the next whole number, or the next number there is.

    Of whole numbers beyond 2^53 not each is one: adding 1 changes nothing.
    """
    found = np.nextafter(values, np.inf)
    if kind == "int":
        found = np.maximum(np.floor(values) + 1.0, found)
    return np.minimum(found, GREATEST)


def unit_of(values: Array) -> float:
    """Return a power of two, so that dividing is exact, in which squares of the values and their sums are finite."""
    return float(2.0 ** max(np.frexp(np.abs(values).max(initial=0.0))[1] - 1, 0))


def lattice_step(low: float, high: float) -> float:
    """Return the power of two that divides ``low .. high`` into at most ``LATTICE_STEPS`` and over half as many."""
    exponent = int(np.ceil(np.log2((high - low) / LATTICE_STEPS)))
    return float(2.0**exponent)


def bulk_of(begin: Array) -> tuple[float, float] | None:
    """Return between which values rows are counted on the lattice, from where the bins begin; None if it cannot be."""
    first, last = (float(begin[0]), float(begin[-1])) if begin.size else (0.0, 0.0)
    if not _NARROWEST < last - first < _WIDEST:
        return None
    return first - BULK * (last - first), last + BULK * (last - first)


def _alone(repeats: NDArray[np.intp], n: int) -> NDArray[np.bool_]:
    """Which values have a cell of their own: all where few values come again and again, else those that hold much."""
    if repeats.size == 1 or (repeats.size <= _FEW_VALUES and n >= 2 * repeats.size):
        return np.ones(repeats.size, dtype=np.bool_)
    found: NDArray[np.bool_] = (repeats >= ATOM * n) & (repeats > 1)
    return found


def _of_few(distinct: Array, kind: str, begin: Array, at_most: int) -> Array:
    """Return every value, edges between them where they are few, and beyond both ends."""
    low, high = distinct[0], distinct[-1]
    if low == high:
        return _of_one(float(low), kind, at_most)
    between = np.linspace(low, high, _BETWEEN + 1) if distinct.size <= _FEW_VALUES else distinct[:0]
    room = max(at_most - distinct.size - between.size, at_most // 2) // 2
    nearest, farthest = (part * (high - low) for part in _BESIDE)
    far = np.geomspace(max(nearest, np.spacing(0.0)), farthest, room)
    if kind == "int":
        far, between = np.ceil(far), np.ceil(between)
    added = np.concatenate((low - far, between[between > low], high + far))
    if kind == "float":
        added = _onto_lattice(added, begin)
    return np.unique(np.clip(np.concatenate((added, distinct)), -GREATEST, GREATEST))


def _of_one(value: float, kind: str, at_most: int) -> Array:
    """Return edges on both sides of a constant, in equal ratios of their distance from it.

    They begin at little more than rounding: a moment or an id moves by far less than its size.
    """
    nearest = _ROUNDING * float(np.spacing(abs(value))) if value else _AROUND[0]
    if kind == "int":
        nearest = max(float(np.spacing(abs(value))), 1.0)
    far = np.geomspace(nearest, max(1e6 * abs(value), _AROUND[1]), at_most)
    if kind == "int":
        far = np.ceil(far)
    return np.unique(np.clip(np.concatenate((value - far, [value], value + far)), -GREATEST, GREATEST))


def _of_many(ordered: Array, distinct: Array, begin: Array, at_most: int) -> Array:
    """Return edges at quantiles, a quarter of them, and the others over and far beyond the values.

    The latter are even in the inverse hyperbolic sine of the distance from the middle: in equal steps near it and in
    equal ratios far from it, on both sides, whatever power of ten a tail reaches.
    """
    quantiles = np.unique(np.quantile(ordered, np.linspace(0.0, 1.0, at_most // 4)))
    low, middle, high = np.quantile(distinct, (0.1, 0.5, 0.9))
    scale = (high - low) / 2
    end = max(middle - distinct[0], distinct[-1] - middle) / scale
    # On its short side a skewed column reaches as far as on its long one: signs are lost, too.
    reach = np.arcsinh(_FARTHEST * max(end, 1.0))
    grid = middle + scale * np.sinh(np.linspace(-reach, reach, at_most - quantiles.size - 4 * TENTHS))
    edges = np.unique(np.clip(np.concatenate((quantiles, begin, grid)), -GREATEST, GREATEST))
    snapped = _onto_lattice(edges, begin)
    return snapped if _fine(snapped, ordered) else edges


def _onto_lattice(edges: Array, begin: Array) -> Array:
    """Return edges in the bulk at multiples of a power of two: counting there is a multiplication and a look-up."""
    bulk = bulk_of(begin)
    if bulk is None:
        return edges
    low, high = bulk
    step = lattice_step(low, high)
    inside = (edges > low) & (edges < high)
    return np.unique(np.concatenate((edges[~inside], np.floor(edges[inside] / step) * step)))


def _fine(edges: Array, ordered: Array) -> bool:
    """Whether no cell on the lattice holds much of the reference, but for repeats of one value."""
    bounds = np.searchsorted(ordered, edges)
    for i in np.flatnonzero(np.diff(bounds) > _COARSEST * ordered.size):
        inside = ordered[bounds[i] : bounds[i + 1]]
        if np.unique(inside, return_counts=True)[1].max() < inside.size / 2:
            return False
    return True
