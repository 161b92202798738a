"""Intervals that hold for whichever groups are picked: the lowest and the highest of many lie apart by chance alone.

Each group's own interval is widened until all pairwise differences lie inside theirs at once, with the stated
confidence (Tukey and Kramer; Hayter 1984 for groups of unequal size). The largest difference of the true values is then
at least the largest lower end of a pair, and at most the largest upper end, whichever pair it is.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from trimtab.evaluation.intervals import WILSON, wilson_at, z_of
from trimtab.evaluation.metrics import Array, range_of
from trimtab.evaluation.records import MetricValue

METHOD = "Tukey-Kramer over {groups} groups, each by MOVER"
CHANCE_DRAWS = 1000
CHANCE_SHARE = 0.95
_GRID = np.linspace(-9.0, 9.0, 3601)
_DENSITY = np.exp(-0.5 * _GRID**2) / math.sqrt(2 * math.pi)
_BELOW = np.array([NormalDist().cdf(z) for z in _GRID])


@lru_cache(maxsize=256)
def range_quantile(groups: int, confidence: float) -> float:
    """Return the quantile of the range of so many standard normal values (the studentised range, freedom infinite)."""
    low, high = 0.0, 18.0
    for _ in range(60):
        middle = (low + high) / 2
        within = _BELOW - np.interp(_GRID - middle, _GRID, _BELOW, left=0.0)
        share = groups * float((_DENSITY * within ** (groups - 1)).sum() * (_GRID[1] - _GRID[0]))
        low, high = (middle, high) if share < confidence else (low, middle)
    return (low + high) / 2


def gap_bounds(values: Sequence[MetricValue], *, metric: str, confidence: float) -> tuple[float, float] | None:
    """Return the interval of a metric's largest difference among groups; None when one of them has no interval."""
    wide = widened(values, z=range_quantile(len(values), confidence) / math.sqrt(2), confidence=confidence)
    if wide is None:
        return None
    value, low, high = _possible(wide, metric)
    least = most = 0.0
    for one in range(value.size):  # against every other: the extreme groups need not be the surest ones
        difference = value - value[one]
        least = max(least, float((difference - np.hypot(value - low, high[one] - value[one])).max()))
        most = max(most, float((difference + np.hypot(high - value, value[one] - low[one])).max()))
    lowest, highest = range_of(metric)
    return least, min(most, highest - lowest)


def worst_bounds(
    values: Sequence[MetricValue], *, metric: str, lowest: bool, confidence: float
) -> tuple[float, float] | None:
    """Return the interval of a metric's lowest (or highest) value among groups; None when one has no interval."""
    z = NormalDist().inv_cdf((1.0 + confidence ** (1.0 / len(values))) / 2.0)
    wide = widened(values, z=z, confidence=confidence)
    if wide is None:
        return None
    pick = np.min if lowest else np.max
    _, low, high = _possible(wide, metric)
    return float(pick(low)), float(pick(high))


def widened(values: Sequence[MetricValue], *, z: float, confidence: float) -> tuple[Array, Array, Array] | None:
    """Return values, low and high ends of groups at ``z`` standard deviations, from their intervals at ``confidence``.

    Wilson's are computed anew, which is right for counts of none and of all; others grow in proportion.
    """
    ends = []
    for one in values:
        if one.value is None or one.low is None or one.high is None:
            return None
        if one.method == WILSON:
            ends.append((one.value, *wilson_at(round(one.value * one.n), one.n, z=z)))
        else:
            grow = z / z_of(confidence)
            ends.append(
                (one.value, one.value - grow * (one.value - one.low), one.value + grow * (one.high - one.value))
            )
    value, low, high = np.array(ends, np.float64).T
    return value, low, high


def _possible(wide: tuple[Array, Array, Array], metric: str) -> tuple[Array, Array, Array]:
    """Cut off what no value of the metric can be: an interval that grows in proportion does not know where to end."""
    value, low, high = wide
    lowest, highest = range_of(metric)
    return value, np.maximum(low, lowest), np.minimum(high, highest)


def chance_gap(values: Sequence[MetricValue], *, confidence: float, seed: int = 0) -> float | None:
    """Return what gap chance alone gives at these sizes in 19 of 20 cases, if all groups had one true value.

    Shares are drawn as counts around the share of all groups together, others as normal values with their own spread.
    """
    random = np.random.default_rng(seed)
    if all(one.method == WILSON and one.value is not None for one in values):
        sizes = np.array([one.n for one in values])
        together = sum(round((one.value or 0.0) * one.n) for one in values) / sizes.sum()
        drawn = random.binomial(sizes, together, (CHANCE_DRAWS, sizes.size)) / sizes
    else:
        wide = widened(values, z=1.0, confidence=confidence)
        if wide is None:
            return None
        drawn = random.standard_normal((CHANCE_DRAWS, wide[0].size)) * (wide[2] - wide[1]) / 2
    return float(np.quantile(drawn.max(axis=1) - drawn.min(axis=1), CHANCE_SHARE))
