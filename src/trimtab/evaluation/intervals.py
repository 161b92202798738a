"""Intervals by formula: DeLong for the AUC, Wilson for proportions, MOVER for a difference of independent values."""

import math
from statistics import NormalDist

import numpy as np

from trimtab.evaluation.metrics import Array, Flags, calibration_bins, midranks

DELONG = "DeLong, logit scale"
DELONG_PAIRED = "paired DeLong"
WILSON = "Wilson"
WILSON_SEPARATED = "Wilson on the smaller class (perfect separation)"
MOVER = "MOVER (from both intervals)"
CALIBRATION = "normal noise in each bin"
_NOISE_DRAWS = 2000
_BEYOND_DOUBT = 3.0  # standard deviations


def z_of(confidence: float) -> float:
    """Return the two-sided normal quantile: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1.0 + confidence) / 2.0)


def wilson(part: int, whole: int, *, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of ``part / whole``; ``whole`` is at least 1."""
    return wilson_at(part, whole, z=z_of(confidence))


def wilson_at(part: int, whole: int, *, z: float) -> tuple[float, float]:
    """Return Wilson's score interval at ``z`` standard deviations."""
    z2 = z * z
    share = part / whole
    centre = (share + z2 / (2 * whole)) / (1 + z2 / whole)
    half = math.sqrt(z2 * (share * (1 - share) / whole + z2 / (4 * whole * whole))) / (1 + z2 / whole)
    low = 0.0 if part == 0 else max(0.0, centre - half)
    high = 1.0 if part == whole else min(1.0, centre + half)
    return low, high


def delong_parts(y: Flags, p: Array) -> tuple[Array, Array]:
    """Return DeLong's structural components: for each positive the share of negatives below it, and the reverse.

    Fast form with midranks (Sun and Xu, 2014): O(n log n). The mean of either is the AUC.
    """
    ranks = midranks(p)
    positive, negative = p[y], p[~y]
    over_negatives = (ranks[y] - midranks(positive)) / negative.size
    under_positives = 1.0 - (ranks[~y] - midranks(negative)) / positive.size
    return over_negatives, under_positives


def delong_variance(y: Flags, p: Array) -> float:
    """Return the variance of the AUC; both classes have at least two rows."""
    over, under = delong_parts(y, p)
    return float(over.var(ddof=1) / over.size + under.var(ddof=1) / under.size)


def auc_interval(y: Flags, p: Array, *, auc: float, confidence: float) -> tuple[float, float, str] | None:
    """Return the interval of an AUC and its method; None when a class has fewer than two rows.

    The interval is symmetric on the logit scale, so it stays inside 0 and 1 and covers better near them.
    """
    positives = int(y.sum())
    smaller = min(positives, y.size - positives)
    if smaller < 2:
        return None
    variance = delong_variance(y, p)
    if not 0.0 < auc < 1.0 or variance <= 0.0:
        # Perfectly separated classes show no variance; that is no proof that the next row will be separated.
        low, high = wilson(round(auc * smaller), smaller, confidence=confidence)
        return low, high, WILSON_SEPARATED
    centre = math.log(auc / (1 - auc))
    half = z_of(confidence) * math.sqrt(variance) / (auc * (1 - auc))
    return _expit(centre - half), _expit(centre + half), DELONG


def auc_difference_interval(y: Flags, first: Array, second: Array, *, confidence: float) -> tuple[float, float] | None:
    """Return the interval of ``auc(second) - auc(first)`` on the same rows; None when a class has under two rows."""
    positives = int(y.sum())
    if min(positives, y.size - positives) < 2:
        return None
    over_first, under_first = delong_parts(y, first)
    over_second, under_second = delong_parts(y, second)
    over, under = over_second - over_first, under_second - under_first
    difference = float(over.mean())
    variance = float(over.var(ddof=1) / over.size + under.var(ddof=1) / under.size)
    if difference and variance <= 0.0:
        # Every row gains the same, as from all wrong to all right: no variance is no proof, as in auc_interval.
        ends = []
        for p, parts in ((first, over_first), (second, over_second)):
            found = auc_interval(y, p, auc=float(parts.mean()), confidence=confidence)
            assert found is not None
            ends.append((float(parts.mean()), found[0], found[1]))
        low, high = mover(ends[0], ends[1])
        return max(-1.0, low), min(1.0, high)
    half = z_of(confidence) * math.sqrt(variance)
    return max(-1.0, difference - half), min(1.0, difference + half)


def mover(lower: tuple[float, float, float], higher: tuple[float, float, float]) -> tuple[float, float]:
    """Return the interval of ``higher - lower``, each given as value, low and high, measured on different rows.

    The method of variance estimates recovery (Zou and Donner, 2008); for two Wilson intervals it is Newcombe's.
    """
    (a, a_low, a_high), (b, b_low, b_high) = lower, higher
    difference = b - a
    return (
        difference - math.hypot(b - b_low, a_high - a),
        difference + math.hypot(b_high - b, a - a_low),
    )


def calibration_interval(y: Flags, p: Array, *, value: float, confidence: float) -> tuple[float, float]:
    """Return the interval of a calibration error: its ends hold whatever the bins' true distances are.

    Noise makes every measured distance larger. So the low end is the error less what noise adds in a sample (the sum of
    its sizes; plainly its sum for a bin that lies off beyond doubt), and the high end the error plus what noise may
    have hidden: the sum of the distances with their signs, which is never more than the error.
    """
    bins = np.unique(calibration_bins(p), return_inverse=True)[1]
    rows, surplus = np.bincount(bins), np.bincount(bins, weights=p - y)
    squares = np.bincount(bins, weights=(p - y - (surplus / rows)[bins]) ** 2)
    noise = np.sqrt(np.maximum(squares, 1.0)) / y.size  # in bins that are all alike, one row could have been otherwise
    drawn = np.random.default_rng(0).standard_normal((_NOISE_DRAWS, noise.size)) * noise
    adds = np.where(np.abs(surplus) / y.size > _BEYOND_DOUBT * noise, drawn, np.abs(drawn)).sum(axis=1)
    low = value - float(np.quantile(adds, (1.0 + confidence) / 2.0))
    high = value + z_of(confidence) * float(np.hypot.reduce(noise))
    return max(0.0, float(f"{low:.6g}")), min(1.0, float(f"{high:.6g}"))


def quantile_interval(sorted_values: Array, quantile: float, *, confidence: float) -> tuple[float, float] | None:
    """Return the interval of a quantile from order statistics, exact whatever the distribution.

    None when there are too few values to hold the quantile between two of them with this confidence.
    """
    n = sorted_values.size
    if n == 0:
        return None
    below = np.cumsum(_binomial(n, quantile))  # below[k] = P(at most k values lie under the quantile)
    tail = (1.0 - confidence) / 2.0
    low = int(np.searchsorted(below, tail, side="right"))  # rank from 1: the largest r with P(B <= r-1) <= tail
    high = int(np.searchsorted(below, 1.0 - tail, side="left")) + 1
    if low < 1 or high > n:
        return None
    return float(sorted_values[low - 1]), float(sorted_values[high - 1])


def _binomial(n: int, share: float) -> Array:
    k = np.arange(n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    logs = (
        log_factorial[n] - log_factorial[k] - log_factorial[n - k] + k * math.log(share) + (n - k) * math.log1p(-share)
    )
    probabilities: Array = np.exp(logs)
    return probabilities


def _expit(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0 else math.exp(value) / (1.0 + math.exp(value))
