"""First partial moments of a column about the middle of its reference: how far its rows lie below, and above.

Cells say how many rows lie where, not their values, so Wasserstein-1 from cells alone is right to their width. But it
is the area between two distribution functions, and where one of them lies above the other all the way from the middle
to an end, that area is the difference of the partial moments on that side. So a column that moves, or spreads, or
leaves a constant has its exact distance. Like counts, partial moments of windows merge by addition.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.monitoring.cells import Array, Cells, Values, numbers_in
from trimtab.monitoring.edges import GREATEST

_CHUNK = 1 << 14  # what a processor's cache holds
_ROUNDING = 1e-12
"""Sums whose parts differ by no more than this differ by how they were added up."""


def partial_moments(cells: Cells, values: Values) -> Array:
    """Return the sums of ``max(middle - x, 0)`` and ``max(x - middle, 0)`` over the rows. Shape: (2,).

    Nulls add nothing, and infinite numbers lie on the first or the last edge, as in the distances from cells. Both are
    0 of a category. Raises ``NotCountable``.
    """
    found = np.zeros(2)
    if cells.numeric and cells.edges:
        for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
            for start in range(0, len(chunk), _CHUNK):
                apart, size = _apart(cells, chunk[start : start + _CHUNK])
                total = apart.sum()
                found += ((size - total) / 2, (size + total) / 2)
    return found


def of_blocks(cells: Cells, values: Values, blocks: NDArray[np.intp], n: int) -> Array:
    """Return the partial moments of the rows of each block. Shapes: (rows,) for values and ``blocks``, (n, 2)."""
    if not (cells.numeric and cells.edges):
        return np.zeros((n, 2))
    apart, _ = _apart(cells, values)
    sides = (np.bincount(blocks, weights=np.maximum(side, 0.0), minlength=n) for side in (-apart, apart))
    return np.stack(list(sides), axis=-1)


def _apart(cells: Cells, values: Values) -> tuple[Array, float]:
    """Return how far above the middle each row lies, 0 for a null, and the sum of these numbers without their signs."""
    middle = cells.edges[cells.middle]
    with np.errstate(over="ignore", invalid="ignore"):
        apart: Array = np.subtract(numbers_in(cells, values), middle, dtype=np.float64)
        size = float(np.abs(apart).sum())
    if not size <= GREATEST:  # nor is it with a null
        apart[np.isnan(apart)] = 0.0
        at = np.flatnonzero(np.abs(apart) > GREATEST)
        apart[at] = np.clip(apart[at], cells.edges[0] - middle, cells.edges[-1] - middle)
        size = float(np.abs(apart).sum())
    return apart, size


def exact_sides(estimated: Array, below: Array, means: tuple[Array, Array], cells: Cells) -> Array:
    """Return the area between two distribution functions on both sides of the middle. Shape: (..., 2).

    ``estimated`` is what cells make of it, ``below`` the difference of the shares below each edge, ``means`` the
    partial moments of both by row. The area is never less than the difference of ``means``; it is that where ``below``
    has one sign.
    """
    at = cells.middle + 1
    one_way = np.stack([_has_one_sign(side) for side in (below[..., :at], below[..., at:])], axis=-1)
    before, now = means
    with np.errstate(invalid="ignore"):  # of sums that are infinite
        gap = np.abs(now - before)
        known = gap > _ROUNDING * np.maximum(before, now).max(axis=-1, keepdims=True)
    found: Array = np.where(known & (one_way | (gap > estimated)), gap, estimated)
    return found


def _has_one_sign(values: Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.logical_or((values >= 0).all(axis=-1), (values <= 0).all(axis=-1))
    return found


def to_bytes(moments: Any) -> bytes:
    """Return partial moments as bytes, for a row or a blob."""
    return np.ascontiguousarray(moments, dtype="<f8").tobytes()


def of_bytes(data: bytes) -> Array:
    """Read what ``to_bytes`` wrote. Shape: (n, 2)."""
    return np.frombuffer(data, dtype="<f8").reshape(-1, 2).astype(np.float64)
