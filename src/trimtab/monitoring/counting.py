"""Count columns in their cells: one pass, chunk by chunk, on two threads; memory does not grow with the rows.

Few rows are placed by binary search. Many go through a table over equal steps: a step is a power of two, so dividing
by it is exact, and the counts are the same to the last row (but for numbers so near 0 that a division underflows).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.monitoring.cells import Cells, Counts, Values, lattice_step, numbers, place

CHUNK = 1 << 17
THREADS = 2
_FEW = 1 << 11
_BITS = 15
_NARROWEST, _WIDEST = 1e-30, 1e30  # the steps of anything else are no ordinary numbers in 32 bits


class _Lattice(NamedTuple):
    """Steps over the edges of a column; step 0 is all that lies below them, the last all above.

    Steps are equal, or, where values reach over many powers of ten, equal in the logarithm: the leading bits of a
    positive number's pattern, read as an integer, grow with it.
    """

    per_step: float
    shift: int | None
    """How many bits of the pattern are left out; None where steps are equal."""
    first: int
    cell: NDArray[np.intp]
    """The cell in which each step begins."""
    upper: NDArray[Any] | None
    """The first edge inside each step, infinite where there is none; None when every edge begins a step."""
    crowded: NDArray[np.bool_] | None
    """The steps that hold several edges; None when there are none."""


def count(cells: Cells, values: Values) -> Counts:
    """Count the values in each cell. Shape: (cells.size,). Merging windows is addition. Raises ``NotCountable``."""
    total = np.zeros(cells.size, dtype=np.int64)
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        for start in range(0, len(chunk), CHUNK):
            part = chunk[start : start + CHUNK]
            if cells.numeric and len(part) > _FEW:
                total += _numeric(cells, numbers(part, cells.name))
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
    if lattice.upper is None:
        each = np.bincount(steps, minlength=lattice.cell.size)
        counts = np.bincount(lattice.cell, weights=each, minlength=cells.size).astype(np.int64)
    else:
        counts = np.bincount(_corrected(cells, lattice, steps, found), minlength=cells.size)
    n = int(np.count_nonzero(nulls))
    counts[0] -= n
    counts[-1] += n
    return counts


def _steps(lattice: _Lattice, found: NDArray[Any], nulls: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the step of each value; a null is put below everything, to be taken out at the end."""
    last = lattice.cell.size - 1
    if lattice.shift is None:
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
    assert lattice.upper is not None
    at = lattice.cell[steps]
    at += found >= lattice.upper[steps]
    if lattice.crowded is not None:
        rows = np.flatnonzero(lattice.crowded[steps] & ~np.isnan(found))
        at[rows] = np.searchsorted(cells.edges_as(found.dtype), found[rows], side="right")
    return at


@lru_cache(maxsize=128)
def _lattice(cells: Cells, dtype: str) -> _Lattice | None:
    """Return the steps over edges as they are in this width; None where none can hold them."""
    edges = cells.edges_as(np.dtype(dtype))
    if edges.size < 2 or not _NARROWEST < float(edges[-1]) - float(edges[0]) < _WIDEST:
        return None
    step = lattice_step(float(edges[0]), float(edges[-1]))
    low, high = np.floor(edges[[0, -1]].astype(np.float64) / step)
    starts = (low + np.arange(int(high - low) + 2)) * step
    found = _over(edges, starts, per_step=1.0 / step, shift=None, first=int(low))
    above = edges[edges > 0]
    if found.crowded is None or edges.size - above.size > 1 or above.size < 2:
        return found
    first, last = (int(pattern) for pattern in _pattern(above[[0, -1]]))
    shift = max(0, (last - first).bit_length() - _BITS)
    patterns = (first >> shift) + np.arange((last >> shift) - (first >> shift) + 2)
    kind = np.int64 if edges.dtype == np.float64 else np.int32
    starts = (patterns << shift).astype(kind).view(edges.dtype)
    return _over(edges, starts, per_step=0.0, shift=shift, first=first >> shift)


def _over(edges: NDArray[Any], starts: NDArray[Any], *, per_step: float, shift: int | None, first: int) -> _Lattice:
    """Return the lattice whose steps begin at ``starts``, the last of which is the end of the last step."""
    begins = np.searchsorted(edges, starts, side="right")
    cell = np.concatenate(([0], begins[:-1]))
    inside = np.searchsorted(edges, starts, side="left") - cell
    upper = np.where(inside > 0, edges[np.minimum(cell, edges.size - 1)], np.inf)
    return _Lattice(
        per_step=per_step,
        shift=shift,
        first=first,
        cell=np.append(cell, edges.size),
        upper=np.append(upper, np.inf).astype(edges.dtype) if inside.any() else None,
        crowded=np.append(inside > 1, False) if (inside > 1).any() else None,
    )
