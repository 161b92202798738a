"""A loss that rises is found within days, and stationary years are seldom paged, seeded."""

import numpy as np
import pytest
from tests.monitoring.years import ERROR_RATE, LOG_LOSS, paged_after

from trimtab.evaluation import DAY_S, Blocks
from trimtab.monitoring.level_evidence import LATELY, SURE, level_evidence

STREAMS = 60


@pytest.mark.parametrize("autocorrelation", [0.0, 0.5])
def test_stationary_half_years_are_seldom_paged(autocorrelation: float) -> None:
    paged = paged_after(
        np.random.default_rng(1), 40, days=182, autocorrelation=autocorrelation, **ERROR_RATE
    )  # fmt: skip
    assert (paged <= 182).sum() <= 4  # of 40; 1 of 20 years is stated


@pytest.mark.parametrize(
    ("world", "rise", "healthy", "median"),
    [(ERROR_RATE, 0.03, 0, 6), (ERROR_RATE, 0.03, 60, 7), (LOG_LOSS, 0.049, 0, 5), (LOG_LOSS, 0.049, 60, 6)],
)
def test_a_rise_is_found_within_days(world: dict[str, float], rise: float, healthy: int, median: int) -> None:
    paged = paged_after(
        np.random.default_rng(2), STREAMS, days=healthy + 40, rises_by=rise, healthy=healthy, **world
    )  # fmt: skip
    delays = paged[paged > healthy] - healthy
    assert delays.size >= 0.9 * STREAMS
    assert np.median(delays) <= median
    assert np.quantile(delays, 0.9) <= 25


def days_of(means: np.ndarray, start: int, *, of_rows: float = 0.01) -> Blocks:
    return Blocks(
        span_s=DAY_S, at=tuple(range(start, start + means.size)), rows=(1000,) * means.size,
        means=tuple(means.tolist()), variances=(of_rows**2,) * means.size,
    )  # fmt: skip


def test_the_evidence_is_that_of_the_last_seven_days() -> None:
    random = np.random.default_rng(3)
    past = days_of(0.5 + random.normal(0, 0.02, 14), 100)
    means = 0.5 + random.normal(0, 0.02, 30)
    means[25:] += 0.15
    found = level_evidence(days_of(means, 120), past, level=0.5)
    assert len(found) == LATELY
    assert found[0] < np.log(SURE) < found[-1]
    before = level_evidence(days_of(means[:-1], 120), past, level=0.5)
    assert before[-1] == pytest.approx(found[-2], abs=0.5)
    assert len(level_evidence(days_of(means[:3], 120), past, level=0.5)) == 3


def test_without_a_test_span_the_level_is_what_it_is_held_against() -> None:
    random = np.random.default_rng(4)
    means = 0.6 + random.normal(0, 0.01, 40)
    for past in (None, days_of(means[:3], 100), days_of(means[:20], 400)):
        assert level_evidence(days_of(means, 120), past, level=0.5)[-1] > np.log(SURE)
        assert level_evidence(days_of(means, 120), past, level=0.6)[-1] < np.log(SURE)


def test_missing_days_and_a_level_below_the_scale_are_no_trouble() -> None:
    random = np.random.default_rng(5)
    whole = days_of(1e-6 * (1 + random.normal(0, 0.02, 50)), 120, of_rows=1e-8)
    some = Blocks(
        span_s=DAY_S, at=whole.at[::3], rows=whole.rows[::3], means=whole.means[::3], variances=whole.variances[::3]
    )
    found = level_evidence(some, None, level=1e-6)
    assert np.isfinite(found).all()
    assert max(found) < np.log(SURE)
