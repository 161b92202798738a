"""The metrics themselves: one number from labels and predictions, NaN where it is not defined.

Classification has two classes; ``y`` is boolean and ``p`` the predicted probability of True. A row is decided positive
when ``p >= at``. Regression compares numbers with numbers. Ties are handled everywhere: rows of equal prediction are
one step of every curve.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Task = Literal["classification", "regression"]

CLASSIFICATION = (
    "auc", "pr_auc", "log_loss", "brier", "calibration_error", "accuracy", "precision", "recall", "f1",
    "selection_rate", "true_positive_rate", "false_positive_rate",
)  # fmt: skip
REGRESSION = ("rmse", "mae", "r2", "pinball")
PROPORTIONS = ("accuracy", "precision", "recall", "selection_rate", "true_positive_rate", "false_positive_rate")
"""Metrics that are a count over a count: ``counts`` gives both."""

CALIBRATION_BINS = 10
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "false_positive_rate", "rmse", "mae", "pinball"})
NEITHER_IS_BETTER = frozenset({"selection_rate"})

Direction = Literal["lower", "higher"]
_WITHOUT_END = frozenset({"log_loss", "rmse", "mae", "pinball"})


def direction_of(metric: str) -> Direction | None:
    """Return which direction of one of these metrics is better; None where neither is, and for any other name."""
    if metric in NEITHER_IS_BETTER or metric not in (*CLASSIFICATION, *REGRESSION):
        return None
    return "lower" if metric in LOWER_IS_BETTER else "higher"


def range_of(metric: str) -> tuple[float, float]:
    """Return the least and the greatest value that one of these metrics can have."""
    if metric == "r2":
        return -math.inf, 1.0
    return 0.0, math.inf if metric in _WITHOUT_END else 1.0


# A probability of exactly 0 or 1 that turns out wrong would cost infinitely much; it costs -log of this instead.
_LEAST = float(np.finfo(np.float64).eps)


def metrics_of(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics of a task, in the order in which they are shown."""
    return CLASSIFICATION if task == "classification" else REGRESSION


def auc(y: Flags, p: Array) -> float:
    """Area under the ROC curve: how often a positive ranks above a negative, ties counted half."""
    positives = int(y.sum())
    negatives = y.size - positives
    if not positives or not negatives:
        return math.nan
    rank_sum = float(midranks(p)[y].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def pr_auc(y: Flags, p: Array) -> float:
    """Average precision: precision at each threshold, weighed by the recall it adds (no interpolation)."""
    if not y.any():
        return math.nan
    hits, chosen = curve_counts(y, p)[1:]
    gained = np.diff(hits, prepend=0.0)
    return float((gained * hits / chosen).sum() / hits[-1])


def log_loss(y: Flags, p: Array) -> float:
    """Mean negative log-likelihood, natural logarithm."""
    return _mean(log_losses(y, p))


def brier(y: Flags, p: Array) -> float:
    """Mean squared distance between probability and outcome."""
    return _mean((p - y) ** 2)


def calibration_error(y: Flags, p: Array) -> float:
    """Expected calibration error over ``CALIBRATION_BINS`` bins of equal mass (quantiles of the predictions).

    The mean over rows of ``|mean prediction - observed rate|`` of the row's bin. Equal predictions share a bin.
    """
    if not y.size:
        return math.nan
    bins = calibration_bins(p)
    return float(np.abs(np.bincount(bins, weights=p - y)).sum() / y.size)


def accuracy(y: Flags, p: Array, *, at: float = 0.5) -> float:
    """Share of rows decided rightly."""
    return _share("accuracy", y, p, at)


def precision(y: Flags, p: Array, *, at: float = 0.5) -> float:
    """Share of true among those decided positive."""
    return _share("precision", y, p, at)


def recall(y: Flags, p: Array, *, at: float = 0.5) -> float:
    """Share decided positive among the true: the true positive rate."""
    return _share("recall", y, p, at)


def true_positive_rate(y: Flags, p: Array, *, at: float = 0.5) -> float:
    """Recall, under its name in fairness."""
    return _share("true_positive_rate", y, p, at)


def false_positive_rate(y: Flags, p: Array, *, at: float = 0.5) -> float:
    """Share decided positive among the false."""
    return _share("false_positive_rate", y, p, at)


def selection_rate(y: Flags, p: Array, *, at: float = 0.5) -> float:
    """Share decided positive among all rows."""
    return _share("selection_rate", y, p, at)


def f1(y: Flags, p: Array, *, at: float = 0.5) -> float:
    """Harmonic mean of precision and recall."""
    chosen = p >= at
    marked = int(chosen.sum()) + int(y.sum())
    return 2 * int((chosen & y).sum()) / marked if marked else math.nan


def rmse(y: Array, prediction: Array) -> float:
    """Root of the mean squared error, in the unit of the label."""
    unit = unit_of(y, prediction)
    return math.sqrt(_mean((y / unit - prediction / unit) ** 2)) * unit


def mae(y: Array, prediction: Array) -> float:
    """Mean absolute error, in the unit of the label."""
    unit = unit_of(y, prediction)
    return _mean(np.abs(y / unit - prediction / unit)) * unit


def r2(y: Array, prediction: Array) -> float:
    """Share of the label's variance that is explained; not defined for fewer than two rows or a constant label."""
    # Asked of the labels themselves: the mean of equal numbers may differ from them in its last bit.
    if y.size < 2 or y.min() == y.max():
        return math.nan
    unit = unit_of(y, prediction)
    y, prediction = y / unit, prediction / unit
    spread = float(((y - y.mean()) ** 2).sum())
    return 1.0 - float(((y - prediction) ** 2).sum()) / spread if spread > 0 else math.nan


def pinball(y: Array, prediction: Array, *, quantile: float = 0.5) -> float:
    """Mean pinball loss of a predicted quantile: half the absolute error at 0.5."""
    unit = unit_of(y, prediction)
    return _mean(pinball_losses(y / unit, prediction / unit, quantile)) * unit


def value_of(name: str, y: Flags | Array, p: Array, *, at: float = 0.5, quantile: float = 0.5) -> float:
    """Return a metric by its name; NaN where it is not defined."""
    if name in _PLAIN:
        return _PLAIN[name](y, p)
    if name == "pinball":
        return pinball(y.astype(np.float64), p, quantile=quantile)
    if name == "f1":
        return f1(y.astype(bool), p, at=at)
    return _share(name, y.astype(bool), p, at)


def counts(name: str, y: Flags, p: Array, *, at: float = 0.5) -> tuple[int, int]:
    """Return a proportion's count and the count that it is a share of."""
    chosen = p >= at
    match name:
        case "accuracy":
            return int((chosen == y).sum()), y.size
        case "precision":
            return int((chosen & y).sum()), int(chosen.sum())
        case "recall" | "true_positive_rate":
            return int((chosen & y).sum()), int(y.sum())
        case "false_positive_rate":
            return int((chosen & ~y).sum()), int((~y).sum())
        case "selection_rate":
            return int(chosen.sum()), y.size
        case _:
            raise ValueError(name)


def log_losses(y: Flags, p: Array) -> Array:
    """Return the loss of each row, probabilities held away from 0 and 1 by the machine's epsilon."""
    losses: Array = -np.log(np.clip(np.where(y, p, 1.0 - p), _LEAST, 1.0 - _LEAST))
    return losses


def row_losses(task: Task, y: Flags | Array, p: Array) -> Array:
    """Return what one row adds to the loss by which versions are compared in service: log loss, or squared error."""
    with np.errstate(over="ignore"):
        return log_losses(y.astype(bool), p) if task == "classification" else (y - p) ** 2


def pinball_losses(y: Array, prediction: Array, quantile: float) -> Array:
    """Return the loss of each row: short of the label costs ``quantile``, beyond it ``1 - quantile``."""
    error = y - prediction
    return np.where(error >= 0, quantile * error, (quantile - 1.0) * error)


def unit_of(*columns: Array) -> float:
    """Return about the size of the largest number, a power of two: dividing by it is exact, and squares are finite."""
    largest = max(float(np.abs(column).max(initial=0.0)) for column in columns)
    return 2.0 ** max(math.frexp(largest)[1] - 1, -1000) if largest and math.isfinite(largest) else 1.0


def midranks(values: Array) -> Array:
    """Return ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.cumsum(counts) - (counts - 1) / 2
    ranks: Array = means[inverse]
    return ranks


def curve_counts(y: Flags, p: Array) -> tuple[Array, Array, Array]:
    """Return each distinct prediction, highest first, with the positives and the rows at or above it."""
    order = np.argsort(-p, kind="stable")
    sorted_p = p[order]
    last = np.append(np.flatnonzero(np.diff(sorted_p)), p.size - 1)
    hits = np.cumsum(y[order], dtype=np.float64)[last]
    return sorted_p[last], hits, (last + 1).astype(np.float64)


def calibration_bins(p: Array) -> NDArray[np.intp]:
    """Return the bin of each row: bins of equal mass, cut at quantiles of the predictions."""
    edges = np.quantile(p, np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1])
    return np.searchsorted(edges, p)


def _share(name: str, y: Flags, p: Array, at: float) -> float:
    part, whole = counts(name, y, p, at=at)
    return part / whole if whole else math.nan


def _mean(losses: Array) -> float:
    return float(losses.mean()) if losses.size else math.nan


_PLAIN: dict[str, Callable[..., float]] = {
    "auc": auc, "pr_auc": pr_auc, "log_loss": log_loss, "brier": brier, "calibration_error": calibration_error,
    "rmse": rmse, "mae": mae, "r2": r2,
}  # fmt: skip
