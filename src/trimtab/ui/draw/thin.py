"""Thin a curve to what a screen can show, and keep its shape: both ends, and the extremes of each column."""

import numpy as np
from numpy.typing import NDArray

COLUMNS = 500
"""A curve of more than twice as many points is thinned."""


def thin(xs: NDArray[np.float64], ys: NDArray[np.float64], *, columns: int = COLUMNS) -> NDArray[np.intp]:
    """Return which points to keep, in their order: first, last, and the least and greatest of each column of the plot.

    ``xs`` are sorted, neither holds a NaN. A curve of at most ``2 * columns`` points is kept whole.
    """
    if xs.size <= 2 * columns:
        return np.arange(xs.size)
    span = xs[-1] - xs[0]
    column = np.minimum((xs - xs[0]) / (span or 1.0) * columns, columns - 1).astype(np.intp)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    kept = [0, xs.size - 1]
    for start, end in zip(starts, np.append(starts[1:], xs.size), strict=True):
        kept += [int(start + ys[start:end].argmin()), int(start + ys[start:end].argmax())]
    return np.unique(kept)
