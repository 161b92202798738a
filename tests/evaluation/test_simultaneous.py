"""Gaps between groups that were picked: intervals that hold whichever they are, and what chance alone gives."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.evaluation.cases import NOW

from trimtab.evaluation import Evaluation, evaluate, fairness_gap, gap, wilson, worst
from trimtab.evaluation.records import MetricValue
from trimtab.evaluation.simultaneous import chance_gap, gap_bounds, range_quantile

RATES = ("recall", "selection_rate", "accuracy")


@pytest.mark.parametrize("groups", [2, 3, 10, 50])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_range_of_normal_values_equals_scipys(groups: int, confidence: float) -> None:
    assert range_quantile(groups, confidence) == pytest.approx(
        stats.studentized_range.ppf(confidence, groups, np.inf), abs=2e-3
    )


def grouped(random: np.random.Generator, rates: np.ndarray, sizes: np.ndarray) -> list[MetricValue]:
    found = []
    for part, n in zip(random.binomial(sizes, rates).tolist(), sizes.tolist(), strict=True):
        low, high = wilson(part, n, confidence=0.95)
        found.append(MetricValue(value=part / n, low=low, high=high, n=n, method="Wilson"))
    return found


def intervals_of(rates: np.ndarray, sizes: np.ndarray, *, trials: int = 400, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.array(
        [gap_bounds(grouped(random, rates, sizes), metric="accuracy", confidence=0.95) for _ in range(trials)]
    )


@pytest.mark.parametrize("sizes", [np.full(10, 100), np.array([40, 60, 100, 500, 2000]), np.full(40, 50)])
@pytest.mark.parametrize("rate", [0.3, 0.03])
def test_without_a_true_gap_one_in_twenty_intervals_leaves_zero_out(sizes: np.ndarray, rate: float) -> None:
    found = intervals_of(np.full(sizes.size, rate), sizes)
    assert (found[:, 0] > 0).mean() <= 0.075  # .057 at most, and what 400 can show


@pytest.mark.parametrize(
    ("rates", "sizes"),
    [
        (np.linspace(0.2, 0.5, 10), np.full(10, 100)),
        (np.array([0.1, 0.1, 0.4]), np.array([50, 3000, 80])),
        (np.array([0.5] * 9 + [0.7]), np.full(10, 200)),
    ],
)
def test_the_interval_covers_the_largest_true_gap(rates: np.ndarray, sizes: np.ndarray) -> None:
    found = intervals_of(rates, sizes)
    true = np.ptp(rates)
    assert ((found[:, 0] <= true) & (true <= found[:, 1])).mean() >= 0.94


def test_a_true_gap_is_found() -> None:
    found = intervals_of(np.array([0.2] * 5 + [0.6] * 5), np.full(10, 100))
    assert (found[:, 0] > 0).mean() >= 0.95


@pytest.mark.parametrize("rate", [0.3, 0.05])
def test_chance_gives_such_a_gap_in_one_of_twenty_cases(rate: float) -> None:
    random, sizes = np.random.default_rng(1), np.array([100] * 8 + [40, 700])
    exceeded, said = 0, []
    for _ in range(300):
        values = grouped(random, np.full(10, rate), sizes)
        known = [one.value or 0.0 for one in values]
        said.append(chance_gap(values, confidence=0.95) or 0.0)
        exceeded += max(known) - min(known) > said[-1]
    assert exceeded / 300 <= 0.08
    assert np.std(said) < 0.2 * np.mean(said)


def test_other_metrics_have_a_gap_by_chance_too() -> None:
    values = [MetricValue(value=0.7, low=0.7 - 0.05 * k, high=0.7 + 0.05 * k, n=100, method="x") for k in (1, 2, 1)]
    random = np.random.default_rng(0)
    drawn = random.normal(0, np.array([1, 2, 1]) * 0.05 / 1.96, (100_000, 3))
    assert chance_gap(values, confidence=0.95) == pytest.approx(
        np.quantile(np.ptp(drawn, axis=1), 0.95), rel=0.05
    )  # fmt: skip


def test_a_group_without_an_interval_leaves_the_gap_without_one() -> None:
    known = MetricValue(value=0.5, low=0.4, high=0.6, n=100)
    unknown = MetricValue(value=0.2, n=1, why="too few rows")
    assert gap_bounds([known, unknown], metric="accuracy", confidence=0.95) is None
    assert chance_gap([known, unknown], confidence=0.95) is None


def measured(seed: int, groups: int = 10, n: int = 100, **more: Any) -> Evaluation:
    random = np.random.default_rng(seed)
    p = random.uniform(0.05, 0.95, groups * n)
    y, group = random.random(p.size) < p, np.repeat([f"g{k}" for k in range(groups)], n)
    return evaluate(
        task="classification", y=y, prediction=p, measured_at=NOW, slices={"group": group},
        **({"resamples": 20} | more),
    )  # fmt: skip


def test_measured_gaps_of_equal_groups_seldom_leave_zero_out() -> None:
    left_out = dict.fromkeys(("demographic_parity", "equal_opportunity", "equalised_odds"), 0)
    large = 0
    for seed in range(60):
        fairness = measured(seed).fairness["group"]
        for name in left_out:
            found = getattr(fairness, name)
            assert found.value.low <= found.value.value <= found.value.high
            left_out[name] += found.value.low > 0
            large += found.value.value > found.chance
    assert max(left_out.values()) <= 60 * 0.1
    assert large <= 3 * 60 * 0.12


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.sampled_from(["recall", "auc", "log_loss", "f1"]))
def test_two_groups_widen_least(seed: int, groups: int, name: str) -> None:
    found = measured(seed, groups=groups)
    wide, chance = gap(found, name, by="group"), gap(found, name, by="group").chance
    assert wide.value.low is not None
    assert 0 <= wide.value.low <= wide.value.value <= wide.value.high  # type: ignore[operator]
    assert chance is not None
    assert chance > 0
    values = [one.metrics[name] for one in found.slices["group"]]
    two = sorted(values, key=lambda one: one.value or 0.0)
    narrow = gap_bounds([two[0], two[-1]], metric="accuracy", confidence=0.95)
    assert narrow is not None
    assert wide.value.high >= narrow[1] - 1e-12  # type: ignore[operator]


def test_the_worst_of_many_has_an_interval_that_knows_it_was_picked() -> None:
    covered = 0
    for seed in range(60):
        found = worst(measured(seed, n=60, resamples=20), "accuracy", by="group").value
        assert found.low is not None
        assert found.high is not None
        # Each group is right with 72.5 % on average: twice the mean of max(p, 1 - p) over the uniform predictions.
        covered += found.low <= 0.725 <= found.high
    assert covered >= 55
    assert "for the worst of 10" in found.method


def test_equalised_odds_covers_both_rates() -> None:
    found = measured(3)
    odds = fairness_gap(found, "equalised_odds", by="group")
    rates = [gap(found, rate, by="group").value for rate in ("true_positive_rate", "false_positive_rate")]
    assert odds.value.value == max(one.value or 0.0 for one in rates)
    assert (odds.value.high or 0.0) >= max(one.high or 0.0 for one in rates)
    assert (odds.value.low or 0.0) <= max(one.low or 0.0 for one in rates)
