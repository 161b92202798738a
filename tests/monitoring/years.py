"""Years of service drawn at random: a daily loss that stays at its level, or rises above it on some day."""

import numpy as np
import pytest

from trimtab.monitoring import block_test
from trimtab.monitoring.block_test import Dependence, Rise, Series, log_evidence, sample_noise
from trimtab.monitoring.level_evidence import LATELY, STARTS, SURE, log_evidence_lately

TEST_SPAN = 14


def paged_after(
    random: np.random.Generator,
    streams: int,
    *,
    days: int,
    level: float,
    of_rows: float,
    spread: float,
    autocorrelation: float = 0.0,
    rises_by: float = 0.0,
    healthy: int = 0,
    past: int = TEST_SPAN,
) -> np.ndarray:
    """Return on which day of service each stream is paged first, ``days`` + 1 when never.

    ``of_rows`` is the standard deviation of a day's mean by its rows, ``spread`` and ``autocorrelation`` are those of
    what shakes a day, in the unit of the loss; after ``healthy`` days the loss rises by ``rises_by``. It is looked at
    every day: as the evidence is kept for seven days, every seventh look shows all of them.
    """
    shaken = sample_noise(random, blocks=past + days, streams=streams, spread=spread, correlation=autocorrelation)
    means = level + shaken + of_rows * random.standard_normal(shaken.shape)
    means[past + healthy :] += rises_by
    at, variances = np.arange(past + days, dtype=float), np.full(past + days, of_rows**2)
    first = np.full(streams, days + 1)
    for end in [*range(LATELY, days, LATELY), days]:
        n = past + end
        found = log_evidence_lately(at[:n], means[:n], variances[:n], before=past, scale=level) >= np.log(SURE)
        on = end - found.shape[0] + 1 + found.argmax(axis=0)
        first = np.where(found.any(axis=0) & (first > days), on, first)
    return first


def best_delays(
    random: np.random.Generator, streams: int, *, level: float, of_rows: float, spread: float, rises_by: float
) -> np.ndarray:
    """Return the days until a rise is found by a test that knows all but whether and when it came.

    It knows the level (from 400 days before), the spread, an autocorrelation of .5 and the size of the rise; the
    evidence that is enough is what 1 of 20 stationary years reach. Days in the streams are independent.
    """
    before, healthy = 400, 20
    knows = Dependence(autocorrelations=(0.5,), unchanged=(1.0,), risen=(1.0,))
    asks = Rise(shares=(rises_by / level,), at_start=1 / 300, each_block=1 / 300, starts=STARTS)

    def evidence(days: int, correlation: float, rises_by: float) -> np.ndarray:
        shaken = sample_noise(random, blocks=before + days, streams=streams, spread=spread, correlation=correlation)
        means = level + shaken + of_rows * random.standard_normal(shaken.shape)
        means[before + healthy :] += rises_by
        found = np.empty((days, streams))
        for end in [*range(LATELY, days, LATELY), days]:
            at = np.arange(before + end, dtype=float)
            series = Series(
                at=at, means=means[: at.size], variances=np.full(at.size, of_rows**2), before=before, known=False,
                scale=level,
            )  # fmt: skip
            newest = log_evidence(series, asks, knows, lately=LATELY)
            found[end - newest.shape[0] : end] = newest
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_test, "SPREADS", (spread / level,))
        enough = np.quantile(evidence(365, 0.5, 0.0).max(axis=0), 0.95)
        risen = evidence(healthy + 40, 0.0, rises_by)[healthy:] >= enough
    return np.where(risen.any(axis=0), risen.argmax(axis=0) + 1, 41)


ERROR_RATE = {"level": 0.10, "of_rows": (0.1 * 0.9 / 1000) ** 0.5, "spread": 0.01}
"""An error rate of 10 % of 1,000 rows a day, on days that differ by 1 percentage point."""
LOG_LOSS = {"level": 0.49, "of_rows": 0.5 / 1000**0.5, "spread": 0.01}
"""A log loss of .49, on such days."""
