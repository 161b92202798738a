"""Evidence for a rise agrees with the densities that define it, wherever blocks are missing."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trimtab.monitoring import block_test
from trimtab.monitoring.block_test import Dependence, Rise, Series, likely_noise, log_evidence, number_of, sample_noise

EVEN = Dependence(autocorrelations=(0.0, 0.6), unchanged=(0.3, 0.7), risen=(0.8, 0.2))


def by_definition(series: Series, rise: Rise, dependence: Dependence) -> float:
    """Return the evidence after the last block from multivariate normal densities, the means of the past taken out."""
    x, at, n, before = series.means[:, 0] / series.scale, series.at, series.at.size, series.before
    one = np.ones(n) if not series.known else (np.arange(n) < before) * 1.0
    # Contrasts that any mean of the past leaves alone: their density is that with the mean integrated out.
    keep = np.linalg.svd(one[None, :])[2][1:] if one.any() else np.eye(n)
    past = np.linalg.svd(np.ones((1, before)))[2][1:] if before > 1 else np.zeros((0, before))
    starts = range(before, n) if rise.each_block else [before]

    def density(contrasts: np.ndarray, spread: float, correlation: float, mean: np.ndarray) -> float:
        m = contrasts.shape[1]
        if not contrasts.shape[0]:
            return 1.0
        cov = spread**2 * correlation ** np.abs(at[:m, None] - at[None, :m]) if correlation else spread**2 * np.eye(m)
        cov = cov + np.diag(np.maximum(series.variances[:m] / series.scale**2, 1e-6))
        return float(stats.multivariate_normal(contrasts @ mean, contrasts @ cov @ contrasts.T).pdf(contrasts @ x[:m]))

    found = []
    for weights, risen in ((dependence.unchanged, False), (dependence.risen, True)):
        whole, early = 0.0, 0.0
        for spread, (correlation, weight) in itertools.product(
            block_test.SPREADS, zip(dependence.autocorrelations, weights, strict=True)
        ):
            early += weight * density(past, spread, correlation, np.zeros(before))
            if not risen:
                whole += weight * density(keep, spread, correlation, np.zeros(n))
                continue
            left = 1.0
            for start, by in itertools.product(starts, rise.shares):
                share = (rise.at_start if start == before else rise.each_block) / len(rise.shares)
                left -= share
                mean = by * (np.arange(n) >= start)
                whole += weight * share * density(keep, spread, correlation, mean)
            whole += weight * max(left, 0.0) * density(keep, spread, correlation, np.zeros(n))
        found.append(math.log(whole) - math.log(early))
    return found[1] - found[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 4), st.booleans(), st.booleans())
def test_evidence_is_the_ratio_of_the_densities(seed: int, before: int, known: bool, late: bool) -> None:
    if not known and not before:
        before = 1
    random = np.random.default_rng(seed)
    n = before + int(random.integers(1, 5))
    series = Series(
        at=np.cumsum(random.integers(1, 4, n)).astype(float), means=random.normal(0.1, 0.2, (n, 1)),
        variances=random.uniform(0.001, 0.02, n), before=before, known=known, scale=0.5,
    )  # fmt: skip
    rise = Rise(shares=(0.1, 0.4), at_start=0.4, each_block=0.1, starts=99) if late else Rise(shares=(0.2, -0.3))
    whole = log_evidence(series, rise, EVEN)
    ours = whole[-1, 0]
    for lately in (1, 3, 100):
        assert log_evidence(series, rise, EVEN, lately=lately) == pytest.approx(whole[-lately:])
    assert ours == pytest.approx(by_definition(series, rise, EVEN), rel=1e-6, abs=1e-8)


def test_evidence_is_one_on_average_without_a_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_test, "SPREADS", (0.2,))
    noise = Dependence(autocorrelations=(0.6,), unchanged=(1.0,), risen=(1.0,))
    drawn = sample_noise(np.random.default_rng(1), blocks=6, streams=20_000, spread=0.2, correlation=0.6)
    series = Series(
        at=np.arange(6.0), means=drawn, variances=np.zeros(6), before=0, known=True, scale=1.0
    )  # fmt: skip
    found = np.exp(log_evidence(series, Rise(shares=(0.1, 0.2)), noise))
    assert found.mean(axis=1) == pytest.approx(1.0, abs=0.05)
    assert (found.max(axis=0) >= 20).mean() <= 0.05


def test_streams_side_by_side_are_streams_by_themselves() -> None:
    random = np.random.default_rng(2)
    means = random.normal(0, 0.1, (12, 3))
    at, variances = np.arange(12.0), np.full(12, 0.002)
    both = log_evidence(
        Series(at=at, means=means, variances=variances, before=5, known=True, scale=0.5), Rise(shares=(0.2,)), EVEN
    )
    for stream in range(3):
        own = Series(at=at, means=means[:, [stream]], variances=variances, before=5, known=True, scale=0.5)
        assert log_evidence(own, Rise(shares=(0.2,)), EVEN)[:, 0] == pytest.approx(both[:, stream])


@pytest.mark.parametrize(("spread", "correlation"), [(0.1, 0.0), (0.1, 0.6), (0.0, 0.0)])
def test_the_likely_noise_is_that_which_was_drawn(spread: float, correlation: float) -> None:
    random = np.random.default_rng(3)
    drawn = sample_noise(random, blocks=400, streams=1, spread=spread, correlation=correlation)
    means = 0.7 + drawn + random.normal(0, 0.03, drawn.shape)
    series = Series(
        at=np.arange(400.0), means=means, variances=np.full(400, 0.03**2), before=400, known=True, scale=1.0
    )
    found, dependence = likely_noise(series, EVEN)
    assert found == pytest.approx(spread, abs=0.021)
    assert dependence == correlation or not spread


def test_large_evidence_is_a_number() -> None:
    assert number_of(1e6) == number_of(1e9) < math.inf
