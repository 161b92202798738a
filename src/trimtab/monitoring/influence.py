"""How much the prediction depends on each column, so that a shift in one that the model hardly uses pages nobody.

Both measures have one unit: how far the prediction moves when the column's value is drawn anew, as a share of how far
two rows' predictions lie apart. 0 is a column that says nothing, 1 one that says everything. They are about what the
model answers, not about what is true.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.monitoring.cells import Array, Cells

ROWS = 2_000
_PRIOR_ROWS = 20.0  # a cell's mean is believed as far as its rows outweigh these


def association_influence(
    cells: Cells, places: NDArray[np.intp], prediction: Array, *, apart: float | None = None
) -> float:
    """Return the influence of a column as far as data show it: how far the mean predictions of its values lie apart.

    ``places`` is the cell of each row, ``apart`` the mean difference of predictions (``predictions_apart``) where many
    columns share it. Two columns that move together share one influence, whichever the model uses.
    """
    inner = np.zeros(cells.size, dtype=np.intp)
    if cells.numeric:
        inner[np.array([at + 1 for at in cells.tenths], dtype=np.intp)] = 1
        group = np.cumsum(inner)
        group[-1] = group[-2] + 1
    else:
        group = np.arange(cells.size)
    known = np.isfinite(prediction)
    of_row, value = group[places[known]], prediction[known]
    whole = predictions_apart(prediction) if apart is None else apart
    if not whole > 0:
        return 0.0
    rows = np.bincount(of_row, minlength=group[-1] + 1)
    sums = np.bincount(of_row, weights=value, minlength=group[-1] + 1)
    means = (sums + _PRIOR_ROWS * value.mean()) / (rows + _PRIOR_ROWS)
    return min(mean_difference(means, rows.astype(np.float64)) / whole, 1.0)


def permuted_influence(
    predict: Callable[[pa.Table], Any], frame: pa.Table, *, columns: Sequence[str], seed: int, rows: int = ROWS
) -> dict[str, float]:
    """Return the influence of each column on a model's predictions, by drawing its values anew from other rows.

    ``predict`` takes rows of ``frame`` and returns one number for each. At most ``rows`` rows, drawn by ``seed``, are
    predicted once and then once for each column. Columns that the model does not use come out as exactly 0.
    """
    random = np.random.default_rng(seed)
    if frame.num_rows > rows:
        frame = frame.take(np.sort(random.choice(frame.num_rows, rows, replace=False)))
    answered = np.asarray(predict(frame), dtype=np.float64)
    whole = predictions_apart(answered)
    found: dict[str, float] = {}
    for name in columns:
        order = random.permutation(frame.num_rows)
        at = frame.column_names.index(name)
        redrawn = frame.set_column(at, frame.field(at), frame.column(at).take(pa.array(order)))
        moved = np.abs(np.asarray(predict(redrawn), dtype=np.float64) - answered).mean()
        found[name] = min(float(moved) / whole, 1.0) if whole > 0 else 0.0
    return found


def predictions_apart(prediction: Array) -> float:
    """Return how far two rows' predictions lie apart on average; rows without one are left out."""
    known = prediction[np.isfinite(prediction)]
    return mean_difference(known, np.ones(known.size))


def mean_difference(values: Array, weights: Array) -> float:
    """Return Gini's mean difference: how far apart two values lie on average, drawn with ``weights``."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    total = float(weights.sum())
    if not total > 0:
        return 0.0
    below = np.cumsum(weights)[:-1] / total
    return float(2 * (below * (1 - below) * np.diff(values)).sum())
