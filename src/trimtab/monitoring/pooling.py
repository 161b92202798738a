"""How much columns vary, told by all of them together: few blocks say little of one column, much of forty.

Two things are learnt from the blocks of each score, and drawn towards what the others show as far as they agree. How
far a block is like the one before it: days that depend on each other lie close together in any reference, and farther
from it later on, so their variance is larger than it looks and known from fewer blocks than there are. And the variance
itself (moderated as by Smyth, 2004). Columns that do not agree are left as they are.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from trimtab.monitoring.cells import Array
from trimtab.monitoring.spread import Spread

Number = TypeVar("Number", Array, float)

MOST_DEPENDENT = 0.98
"""Blocks are taken to be no more alike than this: of a slower change a reference of months shows nothing."""
_FEWEST = 4
_LEAST_BETWEEN = 0.3  # of less variance between blocks than this share of all, dependence does not matter
_MOST_FREEDOM = 200.0
_APART = 4.0  # a column that varies so many times as much as the others is not one of them
_DOUBT = 2.0  # standard errors: what cannot be told from stronger dependence is taken for it
_GRID = np.linspace(0.0, MOST_DEPENDENT, 197)


def pooled(spreads: Sequence[Spread]) -> tuple[Spread, ...]:
    """Return the spreads of a version's columns, each with the dependence and the variance that all of them tell."""
    dependent = _dependence(spreads)
    priors = _priors(spreads, dependent)
    return tuple(_settled(one, rho, priors) for one, rho in zip(spreads, dependent, strict=True))


def variance_of_mean(rho: Array, n: float) -> Array:
    """Return the variance of a mean over ``n`` neighbouring blocks, as a share of that of one block.

    Of an autoregression of first order: the sum of ``rho^|i - j| / n^2``.
    """
    last = rho * (1 - rho**n) / (n * (1 - rho))
    found: Array = (1 + rho - 2 * last) / (n * (1 - rho))
    return found


def _dependence(spreads: Sequence[Spread]) -> tuple[Array, ...]:
    """Return the correlation of neighbouring blocks for each score, an upper bound of what is likely."""
    found = [np.zeros(len(one.scores.names)) for one in spreads]
    seen: list[tuple[int, int, float, int]] = []
    for i, one in enumerate(spreads):
        if one.blocks >= _FEWEST:
            between = one.observed - one.drawn
            told = np.flatnonzero(between > _LEAST_BETWEEN * one.observed)
            ratio = np.clip(one.lagged[told] / between[told], -0.95, 0.95)
            seen += [(i, int(at), float(np.arctanh(r)), one.blocks) for at, r in zip(told, ratio, strict=True)]
    if not seen:
        return tuple(found)
    z, noise = np.array([one[2] for one in seen]), 1 / np.array([one[3] for one in seen])
    middle = float(np.average(z, weights=1 / noise))
    apart = max(float(np.mean((z - middle) ** 2 - noise)), 0.0) if z.size > 1 else 1.0
    likely = (z * apart + middle * noise) / (apart + noise)
    columns = len({one[0] for one in seen})
    likely += _DOUBT * (np.sqrt(apart * noise / (apart + noise)) + np.sqrt(noise / columns))
    for (i, at, _, n), value in zip(seen, np.tanh(likely).tolist(), strict=True):
        share = variance_of_mean(_GRID, n)
        shown = np.maximum.accumulate((_GRID - share) / (1 - share))  # deviations from their own mean hide a part
        found[i][at] = np.interp(value, shown, _GRID)
    return tuple(found)


def _own(one: Spread, rho: Array) -> tuple[Array, Array]:
    """Return the variance of a block's mean and how many blocks it is known from, dependence allowed for."""
    share = np.maximum(variance_of_mean(rho, one.blocks), 1 / max(one.blocks, 1))
    between = np.maximum(one.observed - one.drawn, 0.0)
    part = np.divide(between, one.observed, out=np.zeros_like(between), where=one.observed > 0)
    worth = one.blocks / (1 + 2 * part**2 * rho**2 / (1 - rho**2))
    grown = np.where(rho > 0, (1 - 1 / max(one.blocks, 2)) / np.maximum(1 - share, 0.02), 1.0)
    return one.drawn + (one.unbiased - one.drawn) * grown, np.maximum(worth - 1, 0.5)


def _priors(spreads: Sequence[Spread], dependent: Sequence[Array]) -> dict[str, tuple[float, float]]:
    """Return for each kind of score the variance that columns have in common, and how many blocks that is worth."""
    told: dict[str, list[tuple[float, float]]] = {}
    for one, rho in zip(spreads, dependent, strict=True):
        if one.blocks < _FEWEST:
            continue
        variance, freedom = _own(one, rho)
        for at, name in enumerate(one.scores.names):
            if not one.scores.is_share[at] and variance[at] > 0:
                told.setdefault(name, []).append((float(variance[at]), float(freedom[at])))
    return {name: _prior(np.array(values)) for name, values in told.items() if len(values) >= _FEWEST}


def _prior(told: Array) -> tuple[float, float]:
    told = told[
        told[:, 1] >= np.median(told[:, 1]) / 2
    ]  # one that wanders while the others do not tells nothing of them
    variance, half = told[:, 0], told[:, 1] / 2
    centred = np.log(variance) - _digamma(half) + np.log(half)
    middle, n = float(centred.mean()), len(centred)
    apart = float(((centred - middle) ** 2).sum() / (n - 1) - _trigamma(half).mean())
    low, high = 0.1, _MOST_FREEDOM / 2
    if apart <= _trigamma(high):
        return math.exp(middle), _MOST_FREEDOM
    for _ in range(60):
        at = (low + high) / 2
        low, high = (at, high) if _trigamma(at) > apart else (low, at)
    return math.exp(middle + float(_digamma(high)) - math.log(high)), 2 * high


def _settled(one: Spread, rho: Array, priors: dict[str, tuple[float, float]]) -> Spread:
    if one.blocks < 2:
        return one
    variance, freedom = _own(one, rho)
    for at, name in enumerate(one.scores.names):
        common, worth = priors.get(name, (0.0, 0.0))
        if not one.scores.is_share[at] and variance[at] <= _APART * common:
            variance[at] = (common * worth + variance[at] * freedom[at]) / (worth + freedom[at])
            freedom[at] += worth
    between = np.maximum(variance - one.drawn, 0.0) * variance_of_mean(rho, max(one.span, 1.0))
    longer = one.between_long > between
    return one._replace(
        between=np.where(longer, one.between_long, between),
        freedom=np.where(longer, np.minimum(freedom, one.blocks / one.length - 1), freedom),
        of_mean=np.maximum(variance_of_mean(rho, one.blocks) / variance_of_mean(rho, max(one.span, 1.0)), 0.0),
    )


def _digamma(x: Number) -> Number:
    """Return the derivative of log gamma, by recurrence to where its series holds."""
    found = x * 0.0
    for _ in range(8):
        found = found - 1 / x
        x = x + 1
    square = x * x
    series: Number = np.log(x) - 1 / (2 * x) - 1 / (12 * square) + 1 / (120 * square**2) - 1 / (252 * square**3)
    return found + series


def _trigamma(x: Number) -> Number:
    """Return the second derivative of log gamma, by recurrence to where its series holds."""
    found = x * 0.0
    for _ in range(8):
        found = found + 1 / (x * x)
        x = x + 1
    square = x * x
    series = 1 / x + 1 / (2 * square) + (1 / 6 - (1 / 30 - 1 / (42 * square)) / square) / (square * x)
    return found + series
