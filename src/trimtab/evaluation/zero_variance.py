"""Intervals where the bootstrap has none: rows that are all alike are no proof that the next one will be.

When every resample gives the same value (an F1 of 0, no error among a hundred rows, the same answer for every row), the
percentiles coincide. What can still be said is how large a share of unseen rows could be of another kind: Wilson's
upper end for none of n, about 3.7 of n. Such rows are taken to cost what the other outcome would have cost here.
"""

import math

import numpy as np

from trimtab.evaluation.intervals import wilson
from trimtab.evaluation.metrics import Array, Flags, Task, range_of, row_losses

UNSEEN = "Wilson's share of rows unlike any that were seen"
POSITIVES = "Wilson on the positives (perfect separation)"
JACCARD = "Wilson, of hits among rows that are positive or decided so"
_FLAT = 1e-5
"""Resamples that differ by less than this share of their size are equal: sums in single precision keep six digits."""

Interval = tuple[float, float, str]


def varies(value: float, resampled: Array) -> bool:
    """Return whether resamples of a metric differ from each other."""
    defined = resampled[np.isfinite(resampled)]
    return not defined.size or float(np.ptp(defined)) > _FLAT * max(abs(value), 1e-300)


def f1_interval(y: Flags, p: Array, *, at: float, confidence: float) -> Interval | None:
    """Return the interval of an F1; None when there is no positive and none was decided so.

    Of the rows that are positive or decided so, a share J is both, and F1 is 2J / (1 + J): Wilson's interval of J gives
    that of F1, also where J is 0 or 1 or rests on a few rows.
    """
    chosen = p >= at
    hits, either = int((chosen & y).sum()), int((chosen | y).sum())
    if not either:
        return None
    low, high = (2 * end / (1 + end) for end in wilson(hits, either, confidence=confidence))
    return low, high, JACCARD


def unvaried_interval(
    name: str, value: float, task: Task, y: Flags | Array, p: Array, *, quantile: float, confidence: float
) -> Interval | None:
    """Return an interval for a metric whose resamples are all equal; None where the rows do not say what else could be.

    That is only so where all outcomes and predictions of a regression are one number.
    """
    unseen = wilson(0, y.size, confidence=confidence)[1]
    if name == "pr_auc":
        low, high = wilson(round(value * int(y.sum())), int(y.sum()), confidence=confidence)
        return min(low, value), max(high, value), POSITIVES
    if name == "calibration_error":
        return max(0.0, value - unseen), min(1.0, value + unseen), UNSEEN
    if task == "classification":
        other = _mean_of_other_outcome(name, y.astype(bool), p)
        low, high, method = unvaried_mean(value, other, y.size, confidence=confidence)
        return low, min(high, range_of(name)[1]), method
    return _of_regression(name, value, y.astype(np.float64), p, quantile=quantile, unseen=unseen)


def unvaried_mean(value: float, other: float, n: int, *, confidence: float) -> Interval:
    """Return the interval of a mean of ``n`` equal losses, where the other outcome would have cost ``other`` a row."""
    unseen = wilson(0, n, confidence=confidence)[1]
    return value * (1 - unseen), value + unseen * max(other, value), UNSEEN


def _mean_of_other_outcome(name: str, y: Flags, p: Array) -> float:
    other = row_losses("classification", ~y, p) if name == "log_loss" else (p - ~y) ** 2
    return float(other.mean())


def _of_regression(
    name: str, value: float, y: Array, p: Array, *, quantile: float, unseen: float
) -> Interval | None:  # fmt: skip
    """Let unseen rows be wrong by as much as all outcomes and predictions lie apart."""
    both = np.concatenate((y, p))
    apart = float(np.ptp(both))
    if apart == 0.0:
        return None
    match name:
        case "rmse":
            low, high = value * (1 - unseen) ** 0.5, math.hypot(value, unseen**0.5 * apart)
        case "r2":
            spread = float((y / apart).var())  # squares of the numbers themselves may be 0, or infinite
            low, high = value - unseen / spread, value + unseen * (1 - value)
        case "pinball":
            low, high = value * (1 - unseen), value + unseen * apart * max(quantile, 1 - quantile)
        case _:
            low, high = value * (1 - unseen), value + unseen * apart
    return low, high, UNSEEN
