"""What pages draw of an evaluation: the reliability curve, the ROC curve and the histogram of predictions."""

import math

import numpy as np

from trimtab.evaluation.intervals import wilson
from trimtab.evaluation.metrics import Array, Flags, Task, calibration_bins, curve_counts
from trimtab.evaluation.records import Histogram, ReliabilityBin, RocPoint

ROC_POINTS = 200
HISTOGRAM_BINS = 40


def reliability(y: Flags, p: Array, *, confidence: float) -> tuple[ReliabilityBin, ...]:
    """Return the bins of the calibration error, lowest predictions first."""
    bins = calibration_bins(p)
    found = []
    for number in np.unique(bins):
        own = bins == number
        n, hits = int(own.sum()), int(y[own].sum())
        low, high = wilson(hits, n, confidence=confidence)
        found.append(ReliabilityBin(predicted=float(p[own].mean()), observed=hits / n, low=low, high=high, n=n))
    return tuple(found)


def roc(y: Flags, p: Array) -> tuple[RocPoint, ...]:
    """Return at most ``ROC_POINTS`` points from (0, 0) to (1, 1); none when a class is missing.

    Points are chosen evenly along the curve's length, so that steep and flat parts keep their shape.
    """
    positives = int(y.sum())
    negatives = y.size - positives
    if not positives or not negatives:
        return ()
    thresholds, hits, chosen = curve_counts(y, p)
    true_rate = np.append(0.0, hits / positives)
    false_rate = np.append(0.0, (chosen - hits) / negatives)
    if true_rate.size > ROC_POINTS:
        along = true_rate + false_rate
        wanted = np.linspace(0.0, 2.0, ROC_POINTS)
        kept = np.unique(np.clip(np.searchsorted(along, wanted), 0, along.size - 1))
    else:
        kept = np.arange(true_rate.size)
    return tuple(
        RocPoint(
            threshold=float(thresholds[i - 1]) if i else None,
            false_positive_rate=float(false_rate[i]),
            true_positive_rate=float(true_rate[i]),
        )
        for i in kept.tolist()
    )


def histogram(task: Task, y: Flags | Array, p: Array) -> Histogram | None:
    """Return counts of predictions in bins of equal width: over 0 to 1 for probabilities, else over their range.

    None when the range itself is no number: from nearly the least to nearly the greatest that there is.
    """
    low, high = (0.0, 1.0) if task == "classification" else _range_of(p)
    if not math.isfinite(high - low):
        return None
    counts, edges = np.histogram(p, bins=HISTOGRAM_BINS, range=(low, high))
    positives = None
    if task == "classification":
        positives = tuple(np.histogram(p[y.astype(bool)], bins=edges)[0].tolist())
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), positives=positives)


def _range_of(p: Array) -> tuple[float, float]:
    """Return a range of the predictions that can be cut into bins, also when they are equal but for their last bits."""
    low, high = float(p.min()), float(p.max())
    least = 2 * HISTOGRAM_BINS * math.ulp(max(abs(low), abs(high)))
    if high - low >= least:
        return low, high
    half = max(least / 2, 0.5) if low == high else least / 2
    return low - half, high + half
