"""Count columns in their cells: one pass, chunk by chunk, on two threads; memory does not grow with the rows.

Few rows are placed by binary search. Many go through a table over equal steps of the bulk: a step is a power of two, so
dividing by it is exact, and the counts are the same to the last row (but for numbers so near 0 that a division
underflows). The few rows outside the bulk are searched for.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.monitoring.cells import Cells, Counts, Values, numbers_in, place
from trimtab.monitoring.edges import bulk_of, lattice_step

CHUNK = 1 << 17
THREADS = 2
_FEW = 1 << 11
_BITS = 15
_SMALLEST = 1e-30  # steps that grow begin here


class _Lattice(NamedTuple):
    """Steps over the bulk of a column; step 0 is all that lies below it, the last all above.

    Steps are equal, or, where values reach over many powers of ten, equal in the logarithm: the leading bits of a
    positive number's pattern, read as an integer, grow with it.
    """

    per_step: float
    shift: int | None
    """How many bits of the pattern are left out; None where steps are equal."""
    first: int
    cell: NDArray[np.intp]
    """The cell in which each step begins."""
    uppers: tuple[NDArray[Any], ...]
    """The first edge inside each step, and the second; NaN where there is none. Empty: each edge begins a step."""
    crowded: NDArray[np.bool_] | None
    """The steps that hold more edges; None when there are none."""
    zero: int
    """The cell of 0, which is no small number of rows in step 0 of steps that grow."""


def count(cells: Cells, values: Values) -> Counts:
    """Count the values in each cell. Shape: (cells.size,). Merging windows is addition. Raises ``NotCountable``."""
    total = np.zeros(cells.size, dtype=np.int64)
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        for start in range(0, len(chunk), CHUNK):
            part = chunk[start : start + CHUNK]
            if cells.numeric and len(part) > _FEW:
                total += _numeric(cells, numbers_in(cells, part))
            else:
                total += np.bincount(place(cells, part), minlength=cells.size)
    return total


def count_table(
    columns: Sequence[Cells], table: pa.Table | Mapping[str, Values], *, threads: int = THREADS
) -> dict[str, Counts]:
    """Count every column that has cells: by name, in the order of ``columns``. Columns are shared among threads."""
    if threads == 1:
        return {cells.name: count(cells, table[cells.name]) for cells in columns}
    # NumPy and Arrow let go of the interpreter's lock in every pass over a chunk.
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda cells: count(cells, table[cells.name]), columns)
        return {cells.name: counts for cells, counts in zip(columns, found, strict=True)}


def _numeric(cells: Cells, found: NDArray[Any]) -> Counts:
    lattice = _lattice(cells, found.dtype.str)
    if lattice is None:
        return np.bincount(place(cells, found), minlength=cells.size)
    nulls = np.isnan(found)
    steps = _steps(lattice, found, nulls)
    n = int(np.count_nonzero(nulls))
    if lattice.uppers:
        counts = np.bincount(_corrected(cells, lattice, steps, found), minlength=cells.size)
    else:
        each = np.bincount(steps, minlength=lattice.cell.size)
        counts = np.bincount(lattice.cell, weights=each, minlength=cells.size).astype(np.int64)
        if lattice.crowded is not None and each[lattice.crowded].sum() > n:
            rows = np.flatnonzero(lattice.crowded[steps] & ~nulls)
            counts -= np.bincount(lattice.cell[steps[rows]], minlength=cells.size)
            counts += np.bincount(place(cells, found[rows]), minlength=cells.size)
    counts[0] -= n
    counts[-1] += n
    return counts


def _steps(lattice: _Lattice, found: NDArray[Any], nulls: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the step of each value; a null is put below everything, to be taken out at the end."""
    last = lattice.cell.size - 1
    if lattice.shift is None:
        with np.errstate(over="ignore"):  # of what lies far above the last step
            at = np.multiply(found, lattice.per_step)
        np.floor(at, out=at)
        at -= lattice.first - 1
        np.fmax(at, 0, out=at)
        np.minimum(at, last, out=at)
        steps: NDArray[np.intp] = at.astype(np.intp)
        return steps
    steps = np.right_shift(_pattern(found), lattice.shift).astype(np.intp)
    steps -= lattice.first - 1
    np.clip(steps, 0, last, out=steps)
    steps[nulls] = 0
    return steps


def _pattern(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values).view(np.int64 if values.dtype == np.float64 else np.int32)


def _corrected(cells: Cells, lattice: _Lattice, steps: NDArray[np.intp], found: NDArray[Any]) -> NDArray[np.intp]:
    at = lattice.cell[steps]
    for upper in lattice.uppers:
        at += found >= upper[steps]
    if lattice.crowded is not None:
        searched = lattice.crowded[steps] & ~np.isnan(found)
        if lattice.shift is not None:
            at[found == 0] = lattice.zero
            searched &= found != 0
        rows = np.flatnonzero(searched)
        at[rows] = np.searchsorted(cells.edges_as(found.dtype), found[rows], side="right")
    return at


@lru_cache(maxsize=128)
def _lattice(cells: Cells, dtype: str) -> _Lattice | None:
    """Return the steps over edges as they are in this width; None where none can hold them."""
    edges = cells.edges_as(np.dtype(dtype))
    bulk = bulk_of(edges[list(cells.tenths)].astype(np.float64))
    even = None if bulk is None else _even(edges, *bulk)
    if even is not None and (even.crowded is None or not even.crowded[1:-1].any()):
        return even
    return _growing(edges) if cells.tenths and edges[cells.tenths[0]] >= 0 else even


def _even(edges: NDArray[Any], low: float, high: float) -> _Lattice:
    low, high = max(low, float(edges[0])), min(high, float(edges[-1]))
    # Steps finer than the numbers themselves have no whole numbers.
    largest = edges.dtype.type(max(-low, high) + (high - low))
    step = max(lattice_step(low, high), float(np.spacing(largest)))
    first, last = np.floor(np.array([low, high]) / step)
    starts = (first + np.arange(int(last - first) + 2)) * step
    return _over(edges, starts, per_step=1.0 / step, shift=None, first=int(first))


def _growing(edges: NDArray[Any]) -> _Lattice | None:
    above = edges[edges > _SMALLEST]
    if above.size < 2:
        return None
    bottom, top = (int(pattern) for pattern in _pattern(above[[0, -1]]))
    shift = max(0, (top - bottom).bit_length() - _BITS)
    patterns = (bottom >> shift) + np.arange((top >> shift) - (bottom >> shift) + 2)
    kind = np.int64 if edges.dtype == np.float64 else np.int32
    starts = (patterns << shift).astype(kind).view(edges.dtype)
    return _over(edges, starts, per_step=0.0, shift=shift, first=bottom >> shift)


def _over(edges: NDArray[Any], starts: NDArray[Any], *, per_step: float, shift: int | None, first: int) -> _Lattice:
    """Return the lattice whose steps begin at ``starts``, the last of which is the end of the last step."""
    bounds = np.concatenate(([-np.inf], starts, [np.inf]))
    cell = np.searchsorted(edges, bounds[:-1], side="right")
    inside = np.searchsorted(edges, bounds[1:], side="left") - cell
    uppers = []
    for nth in (0, 1):
        if (inside[1:-1] > nth).any():
            at = np.minimum(cell + nth, edges.size - 1)
            uppers.append(np.where(inside > nth, edges[at], np.nan).astype(edges.dtype))
    crowded = inside > len(uppers)
    return _Lattice(
        per_step=per_step,
        shift=shift,
        first=first,
        cell=cell,
        uppers=tuple(uppers),
        crowded=crowded if crowded.any() else None,
        zero=int(np.searchsorted(edges, 0.0, side="right")),
    )
