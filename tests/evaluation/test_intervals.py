"""Intervals equal their references, and hold the truth as often as they say."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trimtab.evaluation import evaluate, intervals, metrics, resample


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_equals_scipy(whole: int, share: float, confidence: float) -> None:
    part = round(share * whole)
    expected = stats.binomtest(part, whole).proportion_ci(confidence, method="wilson")
    found = intervals.wilson(part, whole, confidence=confidence)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 40))
def test_delong_equals_the_double_loop(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    p = random.integers(0, 10, n) / 10
    y = random.random(n) < 0.5
    y[:2], y[2:4] = True, False
    # DeLong, DeLong and Clarke-Pearson (1988), as written: compare every positive with every negative.
    wins = (p[y][:, None] > p[~y][None, :]) + 0.5 * (p[y][:, None] == p[~y][None, :])
    expected = wins.mean(axis=1).var(ddof=1) / y.sum() + wins.mean(axis=0).var(ddof=1) / (~y).sum()
    assert metrics.auc(y, p) == pytest.approx(wins.mean(), rel=1e-9, abs=1e-12)
    assert intervals.delong_variance(y, p) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_newcombes_published_example() -> None:
    # Newcombe (1998), method 10: 56/70 against 48/80 gives 0.2 with 0.0524 to 0.3339.
    lower = (0.6, *intervals.wilson(48, 80, confidence=0.95))
    higher = (0.8, *intervals.wilson(56, 70, confidence=0.95))
    assert intervals.mover(lower, higher) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_perfect_separation_is_not_certainty() -> None:
    y = np.array([False] * 10 + [True] * 5)
    p = np.arange(15) / 15
    low, high, method = intervals.auc_interval(y, p, auc=1.0, confidence=0.95) or (0, 0, "")
    assert high == 1.0
    assert low == pytest.approx(stats.binomtest(5, 5).proportion_ci(0.95, method="wilson").low)
    assert method == intervals.WILSON_SEPARATED


def test_a_difference_without_variance_is_not_certainty() -> None:
    y = np.array([True, True, False, False])
    right, wrong, equal = np.array([0.9, 0.8, 0.1, 0.2]), np.array([0.1, 0.2, 0.9, 0.8]), np.full(4, 0.5)
    for first, second, difference in ((right, wrong, -1.0), (wrong, right, 1.0), (equal, right, 0.5)):
        low, high = intervals.auc_difference_interval(y, first, second, confidence=0.95) or (0.0, 0.0)
        assert -1.0 <= low <= difference <= high <= 1.0
        assert high - low > 0.5


def test_one_positive_gives_no_interval() -> None:
    assert (
        intervals.auc_interval(np.array([True, False, False]), np.array([0.9, 0.1, 0.5]), auc=1.0, confidence=0.95)
        is None
    )


@pytest.mark.parametrize(("n", "quantile"), [(100, 0.5), (500, 0.99), (400, 0.9), (1000, 0.95)])
def test_quantile_interval_takes_the_tightest_ranks(n: int, quantile: float) -> None:
    found = intervals.quantile_interval(np.arange(1.0, n + 1), quantile, confidence=0.95)
    assert found is not None
    low, high = (int(rank) for rank in found)
    below = stats.binom(n, quantile).cdf
    assert below(low - 1) <= 0.025 < below(low)
    assert 1 - below(high - 1) <= 0.025 < 1 - below(high - 2)


def test_quantile_interval_needs_enough_values() -> None:
    assert intervals.quantile_interval(np.arange(100.0), 0.99, confidence=0.95) is None
    assert intervals.quantile_interval(np.array([]), 0.5, confidence=0.95) is None


def _drawn(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = random.normal(size=n)
    p = 1 / (1 + np.exp(-(x - 1)))
    return random.random(n) < p, p


TRUTH_ROWS = 1_000_000


@pytest.fixture(scope="module")
def truth() -> dict[str, float]:
    y, p = _drawn(np.random.default_rng(99), TRUTH_ROWS)
    names = ("auc", "pr_auc", "log_loss", "brier", "f1")
    return {name: metrics.value_of(name, y, p) for name in names}


@pytest.mark.parametrize("name", ["auc", "pr_auc", "log_loss", "brier", "f1"])
def test_intervals_cover_the_truth(name: str, truth: dict[str, float]) -> None:
    trials, n, covered = 300, 300, 0
    for trial in range(trials):
        y, p = _drawn(np.random.default_rng(trial), n)
        value = metrics.value_of(name, y, p)
        if name == "auc":
            low, high, _ = intervals.auc_interval(y, p, auc=value, confidence=0.95) or (math.nan, math.nan, "")
        else:
            order = np.argsort(-p, kind="stable")
            sample = resample.classification_sample(y[order], p[order], at=0.5)
            drawn = resample.draw([sample], n=n, resamples=300, seed=trial)[0]
            low, high = resample.interval(value, drawn[name], n=n, confidence=0.95) or (math.nan, math.nan)
        covered += low <= truth[name] <= high
    # 95 % promised; below 91 % would have a chance of one in a thousand if the promise held.
    assert 0.91 <= covered / trials <= 0.99, f"{name} covered {covered} of {trials}"


@pytest.mark.parametrize("n", [resample.FEWEST_ROWS, 15, 30])
def test_intervals_of_few_rows_cover_the_truth(n: int) -> None:
    random, covered, trials = np.random.default_rng(n), 0, 300
    for trial in range(trials):
        error = random.exponential(size=n) * random.choice([-1, 1], n)
        order = np.argsort(error)
        sample = resample.regression_sample(error[order], np.zeros(n), quantile=0.5)
        drawn = resample.draw([sample], n=n, resamples=300, seed=trial)[0]["mae"]
        low, high = resample.interval(float(np.abs(error).mean()), drawn, n=n, confidence=0.95) or (math.nan, math.nan)
        covered += low <= 1.0 <= high
    assert covered >= 0.86 * trials, f"{covered} of {trials}"  # percentiles alone have .80 at ten rows


@pytest.mark.parametrize("n", [10, 15, 100, 10_000])
def test_few_rows_are_drawn_out_as_students_t_is(n: int) -> None:
    expected = stats.t(n - 1).ppf(0.975) / stats.norm.ppf(0.975) * math.sqrt(n / (n - 1))
    assert resample._wider(n, 0.95) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("levels", "off"),
    [
        ((0.3,), (0.0,)), ((0.3,), (0.02,)), ((0.2, 0.6), (0.03, -0.03)),
        (tuple(np.linspace(0.05, 0.95, 10)), (0.0,) * 10), (tuple(np.linspace(0.05, 0.95, 10)), (0.05,) * 10),
        (tuple(np.linspace(0.05, 0.95, 10)), (0.1,) + (0.0,) * 9),
    ],
)  # fmt: skip
def test_calibration_interval_covers_the_truth(levels: tuple[float, ...], off: tuple[float, ...]) -> None:
    """Each end leaves the true mean distance out in one of forty samples at most, however the distances lie."""
    trials, random, truth = 400, np.random.default_rng(0), float(np.abs(off).mean())
    missed = np.zeros(2)
    for _ in range(trials):
        at = random.integers(0, len(levels), 1000)
        p, y = np.array(levels)[at], random.random(1000) < (np.array(levels) + off)[at]
        value = metrics.calibration_error(y, p)
        low, high = intervals.calibration_interval(y, p, value=value, confidence=0.95)
        assert low <= value < high
        missed += (low > truth, high < truth)
    assert (missed <= 20).all(), f"{missed} of {trials}"  # more would come once in a thousand times at one in forty


def test_a_calibration_error_of_0_has_an_interval_with_a_width() -> None:
    y = np.arange(100) < 30
    found = evaluate(
        task="classification", y=y, prediction=np.full(100, 0.3), measured_at=datetime(2013, 1, 1, tzinfo=UTC)
    ).metrics["calibration_error"]
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.low == 0.0
    assert found.high == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(0.3 * 0.7 / 100), rel=1e-4)


def test_paired_delong_equals_the_covariance_form() -> None:
    random = np.random.default_rng(3)
    y, first = _drawn(random, 200)
    second = np.clip(first + random.normal(0, 0.1, 200), 0, 1).round(2)
    parts = [intervals.delong_parts(y, p) for p in (first, second)]
    positive = np.cov(parts[0][0], parts[1][0]) / y.sum()
    negative = np.cov(parts[0][1], parts[1][1]) / (~y).sum()
    joint = positive + negative
    variance = joint[0, 0] + joint[1, 1] - 2 * joint[0, 1]
    difference = metrics.auc(y, second) - metrics.auc(y, first)
    half = stats.norm.ppf(0.975) * math.sqrt(variance)
    found = intervals.auc_difference_interval(y, first, second, confidence=0.95)
    assert found == pytest.approx((difference - half, difference + half), rel=1e-9)
