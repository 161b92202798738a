"""Tail probabilities of the distributions that alarms are judged by."""

import math

import numpy as np
from numpy.typing import NDArray

_STEPS = 300
_CLOSE = 1e-15
_TINY = 1e-300


def student(t: float, freedom: float) -> float:
    """Return the two-sided tail of Student's t: how often ``|t|`` is at least this large; 1 without freedom.

    By the regularised incomplete beta function, ``I(v / (v + t^2); v / 2, 1 / 2)``.
    """
    if freedom <= 0 or math.isnan(t):
        return 1.0
    if math.isinf(t):
        return 0.0
    square = t * t
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square), square / (freedom + square))


def chernoff(n: int, share: float, expected: float) -> float:
    """Bound, for both sides, how often a share of ``n`` rows lies this far from the expected one.

    Hoeffding (1963): ``2 exp(-n KL(share, expected))``. It holds where few are expected and the normal curve does not.
    """
    return min(1.0, 2 * math.exp(-n * _divergence(share, expected)))


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return adjusted p-values: those at most q, taken as findings, are false in a share q of cases at most.

    Benjamini and Hochberg (1995). When nothing has changed at all, any finding comes with probability q at most.
    """
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def _divergence(share: float, expected: float) -> float:
    total = 0.0
    for part, whole in ((share, expected), (1 - share, 1 - expected)):
        if part > 0:
            total += part * math.log(part / whole) if whole > 0 else math.inf
    return total


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Return I_x(a, b), where ``rest`` is 1 - x without its rounding; by continued fraction."""
    if x <= 0:
        return 0.0
    if rest <= 0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _off_zero(1 + factor * d)
            c = _off_zero(1 + factor / c)
            value *= c * d
        if abs(c * d - 1) < _CLOSE:
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
