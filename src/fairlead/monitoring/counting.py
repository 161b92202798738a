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

from fairlead.monitoring.cells import Cells, Counts, Values, lattice_step, numbers, place

CHUNK = 1 << 17
THREADS = 2
_FEW = 1 << 11
_NARROWEST, _WIDEST = 1e-30, 1e30  # the steps of anything else are no ordinary numbers in 32 bits


class _Lattice(NamedTuple):
    """Equal steps over the edges of a column; step 0 is all that lies below them, the last all above."""

    per_step: float
    first: float
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
    nulls = int(np.count_nonzero(np.isnan(found)))
    at = np.multiply(found, lattice.per_step)
    np.floor(at, out=at)
    at -= lattice.first - 1
    np.fmax(at, 0, out=at)  # puts a NaN below everything; it is taken out again at the end
    np.minimum(at, lattice.cell.size - 1, out=at)
    steps = at.astype(np.intp)
    if lattice.upper is None:
        each = np.bincount(steps, minlength=lattice.cell.size)
        counts = np.bincount(lattice.cell, weights=each, minlength=cells.size).astype(np.int64)
    else:
        counts = np.bincount(_corrected(cells, lattice, steps, found), minlength=cells.size)
    counts[0] -= nulls
    counts[-1] += nulls
    return counts


def _corrected(cells: Cells, lattice: _Lattice, steps: NDArray[np.intp], found: NDArray[Any]) -> NDArray[np.intp]:
    assert lattice.upper is not None
    at = lattice.cell[steps]
    at += found >= lattice.upper[steps]
    if lattice.crowded is not None:
        rows = np.flatnonzero(lattice.crowded[steps])
        at[rows] = np.searchsorted(cells.edges_as(found.dtype), found[rows], side="right")
    return at


@lru_cache(maxsize=128)
def _lattice(cells: Cells, dtype: str) -> _Lattice | None:
    """Return the steps over edges as they are in this width; None where equal steps cannot hold them."""
    rounded = cells.edges_as(np.dtype(dtype)).astype(np.float64)
    if rounded.size < 2 or not _NARROWEST < rounded[-1] - rounded[0] < _WIDEST:
        return None
    step = lattice_step(float(rounded[0]), float(rounded[-1]))
    low, high = np.floor(rounded[[0, -1]] / step)
    starts = (low + np.arange(int(high - low) + 2)) * step
    cell = np.searchsorted(rounded, starts[:-1], side="right")
    inside = np.searchsorted(rounded, starts[1:], side="left") - cell
    upper = np.where(inside > 0, rounded[np.minimum(cell, rounded.size - 1)], np.inf)
    return _Lattice(
        per_step=1.0 / step,
        first=float(low),
        cell=np.concatenate(([0], cell, [rounded.size])),
        upper=np.concatenate(([np.inf], upper, [np.inf])).astype(dtype) if inside.any() else None,
        crowded=np.concatenate(([False], inside > 1, [False])) if (inside > 1).any() else None,
    )
