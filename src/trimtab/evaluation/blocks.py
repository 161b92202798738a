"""A loss block by block: its means over equal spans of time, so that what shakes a whole span is not taken for rows.

The rows of one stormy day go wrong together. Counted singly they are hundreds of proofs of one thing; their mean is
one proof.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400
QUARTER_S = DAY_S // 4
"""Six hours: a block of the comparison of two models."""


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """Means over spans of ``span_s`` seconds, oldest first; a span without rows has none.

    ``at`` numbers the spans from 1970 on (UTC). ``variances`` are those of the means from the spread of single rows
    (that of one row, pooled over all blocks, over the block's rows): what the means would differ by if nothing but
    chance of single rows were at work.
    """

    span_s: int
    at: tuple[int, ...]
    rows: tuple[int, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.at)


def blocks_of(values: Any, moments_us: Any, *, span_s: int) -> Blocks:
    """Return the blocks of one value a row; ``moments_us`` are microseconds since 1970, in any order.

    Rows whose value is not finite are left out.
    """
    values = np.asarray(values, np.float64)
    number = np.asarray(moments_us, np.int64) // (span_s * 1_000_000)
    finite = np.isfinite(values)
    at, which = np.unique(number[finite], return_inverse=True)
    rows = np.bincount(which, minlength=at.size)
    means = np.bincount(which, weights=values[finite], minlength=at.size) / np.maximum(rows, 1)
    with np.errstate(over="ignore"):  # then there are no blocks
        squares = ((values[finite] - means[which]) ** 2).sum()
    return blocks_from(at, rows, means, squares, span_s=span_s)


def micros(moments: Any) -> NDArray[np.int64]:
    """Return moments (``datetime64`` in UTC, or microseconds since 1970 already) as microseconds since 1970."""
    found = np.asarray(moments)
    if np.issubdtype(found.dtype, np.datetime64):
        found = found.astype("datetime64[us]")
    return found.astype(np.int64)


def blocks_from(
    at: NDArray[np.int64], rows: NDArray[Any], means: NDArray[np.float64], squares: float, *, span_s: int
) -> Blocks:
    """Return blocks from their means; ``squares`` are the squared distances of all rows from their block's mean.

    Where that is no number, as of squared errors beyond 1e154, nothing is known of how blocks differ: there are none.
    """
    if not np.isfinite(squares):
        at, rows, means, squares = at[:0], rows[:0], means[:0], 0.0
    freedom = int(rows.sum()) - at.size
    of_one_row = float(squares) / freedom if freedom > 0 else 0.0
    return Blocks(
        span_s=span_s, at=tuple(at.tolist()), rows=tuple(rows.tolist()), means=tuple(means.tolist()),
        variances=tuple((of_one_row / rows).tolist()),
    )  # fmt: skip
