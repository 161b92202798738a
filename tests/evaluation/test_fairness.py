"""Fairness gaps equal fairlearn's, and say when a group is missing."""

import numpy as np
import pytest
from fairlearn import metrics as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.cases import measured, rows

from trimtab.evaluation import fairness_gap


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.5, 0.7]))
def test_gaps_equal_fairlearn(seed: int, at: float) -> None:
    y, p, group = rows(600, seed)
    found = measured(600, seed, at=at, resamples=20).fairness["group"]
    decided = p >= at
    given_ = {"sensitive_features": group}
    expected = {
        "demographic_parity": theirs.demographic_parity_difference(y, decided, **given_),
        "equal_opportunity": theirs.equal_opportunity_difference(y, decided, **given_),
        "equalised_odds": theirs.equalized_odds_difference(y, decided, **given_),
        "recall_gap": theirs.MetricFrame(
            metrics=theirs.true_positive_rate, y_true=y, y_pred=decided, **given_
        ).difference(),
    }
    for name, value in expected.items():
        measure = getattr(found, name)
        assert measure.value.value == pytest.approx(value, rel=1e-9), name
        assert measure.value.low <= value <= measure.value.high


def test_groups_below_the_minimum_play_no_part() -> None:
    found = measured()
    with_all = fairness_gap(found, "demographic_parity", by="group")
    large = fairness_gap(found, "demographic_parity", by="group", at_least=100)
    assert set(large.slices) == {"a", "b"}
    assert (large.value.value or 0) <= (with_all.value.value or 0)


def test_a_group_without_positives_leaves_equal_opportunity_open() -> None:
    y, p, group = rows()
    found = measured(y=y & (group != "b"), prediction=p).fairness["group"]
    assert found.equal_opportunity.value.value is None
    assert "true_positive_rate has no value for group b" in found.equal_opportunity.value.why
    assert found.equalised_odds.value.value is None
    assert found.demographic_parity.value.value is not None


def test_one_group_has_no_gap() -> None:
    found = measured(slices={"group": np.full(400, "a")}).fairness["group"]
    assert found.demographic_parity.value.why == "fewer than two groups are large enough"
