"""Rows that are all alike are no proof: no interval has a width of 0."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.cases import NOW

from trimtab.evaluation import CLASSIFICATION, Evaluation, compare, evaluate, wilson
from trimtab.evaluation.zero_variance import f1_interval

ROWS = 60


def measured(y: Any, p: Any, task: Any = "classification") -> Evaluation:
    return evaluate(task=task, y=y, prediction=p, measured_at=NOW, resamples=60)


def assert_no_width_of_zero(found: Evaluation) -> None:
    for name, one in found.metrics.items():
        if one.low is not None:
            assert one.high is not None
            assert one.value is not None
            assert one.low <= one.value <= one.high, name
            assert one.high - one.low > 1e-6 * max(1.0, abs(one.value)), name


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, ROWS),
    st.lists(st.sampled_from([0.0, 0.01, 0.5, 0.9, 1.0]), min_size=1, max_size=3),
    st.integers(0, 99),
)
def test_no_classification_interval_has_a_width_of_zero(positives: int, answers: list[float], seed: int) -> None:
    y = np.arange(ROWS) < positives
    p = np.random.default_rng(seed).choice(answers, ROWS)
    assert_no_width_of_zero(measured(y, p))


@pytest.mark.parametrize("p", [0.0, 0.01, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("positives", [0, 1, 5, ROWS])
def test_one_answer_for_every_row(p: float, positives: int) -> None:
    found = measured(np.arange(ROWS) < positives, np.full(ROWS, p))
    assert_no_width_of_zero(found)
    for name in ("log_loss", "brier", "accuracy", "calibration_error"):
        assert found.metrics[name].low is not None, name


def test_perfect_and_perfectly_wrong_answers() -> None:
    y = np.arange(ROWS) < 6
    for p in (np.where(y, 0.9, 0.1), np.where(y, 1.0, 0.0), np.where(y, 0.1, 0.9)):
        found = measured(y, p)
        assert_no_width_of_zero(found)
        assert found.metrics["f1"].low is not None
        assert found.metrics["pr_auc"].low is not None
    perfect = measured(y, np.where(y, 0.9, 0.1)).metrics
    assert perfect["pr_auc"].high == 1.0
    assert perfect["pr_auc"].low == pytest.approx(wilson(6, 6, confidence=0.95)[0])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([-3.0, 0.0, 1.0, 250.0]), min_size=5, max_size=30), st.sampled_from([-1.0, 0.0, 0.5, 1e6])
)
def test_no_regression_interval_has_a_width_of_zero(y: list[float], off: float) -> None:
    assert_no_width_of_zero(measured(np.array(y), np.array(y) + off, "regression"))


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_the_interval_of_r2_does_not_depend_on_the_unit(size: float) -> None:
    y = np.array([1.0, 2.0, 4.0])
    perfect = measured(y * size, y * size, "regression").metrics["r2"]
    unseen = wilson(0, 3, confidence=0.95)[1]
    assert perfect.low == pytest.approx(1.0 - unseen * 9 / y.var())


def test_one_number_everywhere_has_no_interval_and_says_so() -> None:
    found = measured(np.zeros(ROWS), np.zeros(ROWS), "regression").metrics["rmse"]
    assert (found.value, found.low) == (0.0, None)
    assert "all alike" in found.why


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_the_interval_of_f1_covers_the_truth_of_rare_events(share: float) -> None:
    random, n, trials, covered, known = np.random.default_rng(1), 400, 400, 0, 0
    y = random.random(1_000_000) < share
    decided = np.where(y, random.random(y.size) < 0.6, random.random(y.size) < share / 2)
    truth = 2 * (decided & y).sum() / (decided.sum() + y.sum())
    for trial in range(trials):
        rows = slice(trial * n, (trial + 1) * n)
        found = f1_interval(y[rows], decided[rows].astype(float), at=0.5, confidence=0.95)
        if found is not None:
            known += 1
            covered += found[0] <= truth <= found[1]
    assert covered / known >= 0.92


def test_models_that_are_both_right_may_differ_on_the_next_row() -> None:
    y = np.arange(ROWS) < 20
    first, second = np.where(y, 0.8, 0.2), np.where(y, 0.9, 0.1)
    found = compare(task="classification", y=y, champion=first, challenger=second, resamples=60).metrics
    for name in ("accuracy", "f1", "precision", "recall"):
        difference = found[name].difference
        assert difference.value == 0
        assert difference.low is not None
        assert difference.low < 0 < difference.high, name  # type: ignore[operator]
    same = compare(task="classification", y=y, champion=first, challenger=first.copy(), resamples=60).metrics
    assert (same["accuracy"].difference.low, same["accuracy"].difference.high) == (0.0, 0.0)


def test_a_difference_that_is_the_same_in_every_resample_has_a_width() -> None:
    y = np.arange(ROWS) < 20
    wrong, right = np.full(ROWS, 0.4), np.where(y, 0.9, 0.1)
    found = compare(task="classification", y=y, champion=wrong, challenger=right, resamples=60).metrics
    for name in CLASSIFICATION:
        one = found[name].difference
        if one.low is not None:
            assert one.low < one.value < one.high or one.low < one.value == one.high, name  # type: ignore[operator]
