"""Champion against challenger: the difference is paired, and other rows are refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.cases import rows

from trimtab.evaluation import CLASSIFICATION, Comparison, OtherRows, compare, rows_digest


def compared(champion: Any, challenger: Any, y: Any, **changes: Any) -> Comparison:
    return compare(
        **(
            {"task": "classification", "y": y, "champion": champion, "challenger": challenger, "resamples": 200}
            | changes
        )
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_swapping_sides_turns_every_difference_round(seed: int) -> None:
    y, p, _ = rows(150, seed)
    other = np.clip(p + np.random.default_rng(seed).normal(0, 0.2, 150), 0.001, 0.999)
    there, back = compared(p, other, y), compared(other, p, y)
    for name in CLASSIFICATION:
        first, second = there.metrics[name].difference, back.metrics[name].difference
        assert first.value == pytest.approx(-(second.value or 0.0), abs=1e-12)
        assert first.low == pytest.approx(-(second.high or 0.0), abs=1e-6)
        assert first.low is not None
        assert first.high is not None
        assert first.low <= first.value <= first.high


def test_the_same_predictions_differ_by_nothing() -> None:
    y, p, _ = rows()
    for name, found in compared(p, p.copy(), y).metrics.items():
        assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0), name
        assert found.better == "undecided"


def test_a_better_challenger_is_seen_although_the_intervals_overlap() -> None:
    y, p, _ = rows(2000)
    worse = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + np.random.default_rng(1).normal(0, 0.5, 2000))))
    found = compared(worse, p, y).metrics
    assert found["auc"].better == "challenger"
    assert found["log_loss"].better == "challenger"  # lower is better there
    assert found["auc"].difference.method == "paired DeLong"
    assert compared(p, worse, y).metrics["log_loss"].better == "champion"


def test_the_paired_interval_covers_the_true_difference() -> None:
    """Two models of the same rows: the difference of their log losses is known by a very large sample."""

    def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, p, _ = rows(n, seed)
        return y, p, 0.9 * p + 0.05

    y, first, second = drawn(999, 500_000)
    names = ("auc", "log_loss", "brier")
    truth = {name: compared(first, second, y, resamples=1).metrics[name].difference.value or 0.0 for name in names}
    covered = dict.fromkeys(names, 0)
    for trial in range(150):
        y, first, second = drawn(trial, 300)
        found = compared(first, second, y, resamples=200, seed=trial).metrics
        for name in names:
            low, high = found[name].difference.low, found[name].difference.high
            assert low is not None
            assert high is not None
            covered[name] += low - 1e-12 <= truth[name] <= high + 1e-12
    assert covered["log_loss"] >= 134  # 142.5 expected
    assert covered["brier"] >= 134
    assert covered["auc"] == 150  # a monotone change moves no rank


def test_other_rows_are_refused() -> None:
    y, p, _ = rows()
    digests = {"champion_rows": rows_digest(y), "challenger_rows": rows_digest(~y)}
    with pytest.raises(OtherRows) as raised:
        compared(p, p, y, **digests)
    assert raised.value.next.startswith("predict the champion's and the challenger's answers for the same rows")
    with pytest.raises(OtherRows, match="the champion predicted 399 rows, the challenger 400"):
        compared(p[1:], p, y)
    assert compared(p, p, y, champion_rows=rows_digest(y), challenger_rows=rows_digest(y)).rows == rows_digest(y)


def test_a_prediction_that_is_not_finite_leaves_the_question_open() -> None:
    y, p, _ = rows()
    broken = p.copy()
    broken[0] = np.nan
    found = compared(p, broken, y).metrics["auc"]
    assert (found.difference.value, found.better) == (None, "undecided")
    assert "not finite" in found.difference.why


def test_a_metric_that_one_side_does_not_have() -> None:
    y, p, _ = rows()
    found = compared(p, np.zeros_like(p), y).metrics["precision"]
    assert (found.challenger, found.difference.value) == (None, None)
    assert "precision of the challenger is not defined" in found.difference.why


def test_regression_is_compared_by_bootstrap() -> None:
    y, p, _ = rows(500)
    label = 10 * p + y
    found = compared(10 * p, 10 * p + 0.5, label, task="regression").metrics
    assert found["mae"].difference.method.startswith("paired bootstrap")
    assert found["rmse"].better == "challenger"


def test_no_model_is_better_on_a_few_rows() -> None:
    """Of two equal models one is closer on both of two rows half of the time."""
    y, p = np.array([1.0, 2.0]), np.array([1.1, 2.1])
    found = compare(task="regression", y=y, champion=p, challenger=p + np.array([0.1, 0.2]), resamples=50).metrics[
        "rmse"
    ]
    assert found.difference.low is None
    assert found.difference.why == "too few rows for an interval"
    assert found.better == "undecided"
