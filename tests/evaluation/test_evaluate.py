"""What an evaluation holds, what it leaves without a value and why, and what cannot be measured at all."""

import math
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.cases import NOW, RESAMPLES, measured, rows

from trimtab.evaluation import (
    CLASSIFICATION,
    REGRESSION,
    Evaluation,
    NotMeasurable,
    curves,
    evaluate,
    gap,
    rows_digest,
    worst,
)
from trimtab.kernel import canonical


def test_every_metric_has_a_value_an_interval_and_a_method() -> None:
    found = measured()
    assert tuple(found.metrics) == CLASSIFICATION
    for name, value in found.metrics.items():
        assert value.value is not None, name
        assert value.low is not None
        assert value.high is not None
        assert value.low <= value.value <= value.high, name
        assert value.method, name
        assert 0 < value.n <= 400


def test_regression_has_its_own_metrics() -> None:
    y, p, group = rows()
    label = 30 * p + y
    found = evaluate(
        task="regression", y=label, prediction=30 * p, slices={"group": group}, measured_at=NOW, resamples=RESAMPLES
    )
    assert tuple(found.metrics) == REGRESSION
    assert all(value.low is not None for value in found.metrics.values())
    assert (found.positives, found.roc, found.reliability, found.fairness) == (None, (), (), {})
    assert found.histogram is not None
    assert sum(found.histogram.counts) == 400


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60))
def test_any_number_of_rows_can_be_measured(seed: int, n: int) -> None:
    found = measured(n, seed, slice_minimum=5)
    for value in found.metrics.values():
        assert (value.value is None) <= bool(value.why)
        assert (value.low is None) == (value.high is None)
        if value.value is not None and value.low is not None and value.high is not None:
            assert value.low <= value.value <= value.high
    # What cannot be written as canonical JSON cannot be kept: NaN would show here.
    assert msgspec.json.decode(canonical(found), type=Evaluation) == found


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e20])
def test_intervals_of_regression_do_not_depend_on_the_unit(scale: float) -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=200)
    prediction = y + random.normal(scale=0.1, size=200)
    plain = evaluate(task="regression", y=y, prediction=prediction, measured_at=NOW, resamples=200).metrics
    found = evaluate(task="regression", y=y * scale, prediction=prediction * scale, measured_at=NOW, resamples=200)
    for name, value in found.metrics.items():
        unit = 1.0 if name == "r2" else scale
        expected = [plain[name].low * unit, plain[name].value * unit, plain[name].high * unit]
        assert [value.low, value.value, value.high] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "values", [[0.1, 0.1 + 1.4e-17], [1.0, 1.0 + 2.3e-16], [1e17], [1e300, -1e300], [1.7e308, -1.7e308], [0.0]]
)
def test_predictions_that_hardly_differ_have_a_histogram(values: list[float]) -> None:
    p = np.resize(np.array(values), 40)
    found = curves.histogram("regression", p, p)
    if found is None:
        assert not math.isfinite(float(p.max()) - float(p.min()))
    else:
        assert sum(found.counts) == 40
        assert np.all(np.diff(found.edges) > 0)


def test_the_same_seed_gives_the_same_bits() -> None:
    assert canonical(measured()) == canonical(measured())
    assert measured(seed=0).metrics["f1"] != measured(seed=1).metrics["f1"]


def test_the_order_of_rows_changes_no_value() -> None:
    y, p, group = rows()
    order = np.random.default_rng(1).permutation(y.size)
    shuffled = measured(y=y[order], prediction=p[order], slices={"group": group[order]})
    for name, value in measured().metrics.items():
        assert shuffled.metrics[name].value == pytest.approx(value.value)
    assert shuffled.rows != measured().rows


def test_a_slice_is_the_evaluation_of_its_rows() -> None:
    y, p, group = rows()
    found = measured()
    assert [one.value for one in found.slices["group"]] == ["a", "b", "c"]
    for one in found.slices["group"]:
        own = group == one.value
        alone = measured(y=y[own], prediction=p[own], slices={})
        assert (one.n, one.positives) == (own.sum(), y[own].sum())
        for name, value in one.metrics.items():
            assert value.value == pytest.approx(alone.metrics[name].value), name
            if value.method in ("Wilson", "DeLong, logit scale"):
                assert (value.low, value.high) == pytest.approx((alone.metrics[name].low, alone.metrics[name].high))


def test_small_slices_are_listed_without_metrics() -> None:
    found = measured(slice_minimum=100)
    small = {one.value: one for one in found.slices["group"]}["c"]
    assert small.metrics == {}
    assert small.why == "fewer than 100 rows"


def test_slices_take_the_null_of_pandas() -> None:
    values = pd.Series(["x", pd.NA] * 200, dtype="string")
    assert [one.value for one in measured(slices={"a": values}).slices["a"]] == ["(missing)", "x"]


def test_slices_take_numbers_and_nulls() -> None:
    y, p, _ = rows(200)
    hour: list[Any] = [None if i % 3 == 0 else i % 2 for i in range(200)]
    found = measured(y=y, prediction=p, slices={"hour": hour})
    assert [one.value for one in found.slices["hour"]] == ["(missing)", "0", "1"]


def test_worst_and_gap_name_the_slices() -> None:
    found = measured()
    recall = {one.value: one.metrics["recall"].value or 0.0 for one in found.slices["group"]}
    lowest, highest = min(recall, key=recall.__getitem__), max(recall, key=recall.__getitem__)
    assert worst(found, "recall", by="group").slices == (lowest,)
    assert gap(found, "recall", by="group").slices == (lowest, highest)
    assert gap(found, "recall", by="group").value.value == pytest.approx(recall[highest] - recall[lowest])
    loss = {one.value: one.metrics["log_loss"].value or 0.0 for one in found.slices["group"]}
    assert worst(found, "log_loss", by="group").slices == (max(loss, key=loss.__getitem__),)


@pytest.mark.parametrize(
    ("metric", "by", "at_least", "why"),
    [
        ("recall", "carrier", 0, "no slices by carrier (it has: group)"),
        ("recall", "group", 1000, "0 of 3 slices by group have at least 1 000 rows"),
        ("selection_rate", "group", 0, "no better or worse side"),
        ("nonsense", "group", 0, "it was not measured"),
    ],
)
def test_worst_says_why_there_is_none(metric: str, by: str, at_least: int, why: str) -> None:
    found = worst(measured(), metric, by=by, at_least=at_least)
    assert found.value.value is None
    assert why in found.value.why


def test_a_slice_without_positives_hides_nothing() -> None:
    y, p, group = rows()
    y = y & (group != "c")
    found = measured(y=y, prediction=p)
    for look in (worst, gap):
        value = look(found, "recall", by="group").value
        assert value.value is None
        assert "recall has no value for group c: there is no positive" in value.why


def test_one_class_leaves_ranking_without_a_value() -> None:
    found = measured(y=np.zeros(400, dtype=bool)).metrics
    assert found["auc"].why == "all 400 labels are false"
    assert found["recall"].why == "there is no positive among 400 rows"
    assert found["accuracy"].value is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_leave_every_metric_without_a_value(bad: float) -> None:
    _, p, _ = rows()
    p[7] = bad
    found = measured(prediction=p)
    for value in [*found.metrics.values(), *(m for s in found.slices["group"] for m in s.metrics.values())]:
        assert (value.value, value.why) == (None, "1 of 400 predictions are not finite numbers")
    assert found.fairness == {}


def test_no_rows_is_no_evaluation() -> None:
    found = measured(y=np.array([], dtype=bool), prediction=np.array([]), slices={"group": np.array([])})
    assert {value.why for value in found.metrics.values()} == {"there are no rows"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"y": np.arange(400) % 3}, "the label has the values 0, 1, 2"),
        ({"y": np.where(np.arange(400) == 1, np.nan, 1.0)}, "1 of 400 labels are unknown"),
        ({"y": np.array(["x"] * 400)}, "y holds values that are no numbers"),
        ({"y": np.ones((400, 2))}, "y has the shape (400, 2)"),
        ({"prediction": np.full(400, 1.5)}, "400 predictions are no probabilities, for example 1.5"),
        ({"prediction": np.ones((400, 3))}, "predictions have 3 columns"),
        ({"prediction": np.ones(399)}, "there are 399 predictions for 400 labels"),
        ({"slices": {"group": ["a"] * 399}}, "slices['group'] has the shape (399,)"),
        ({"slices": {"id": np.arange(400).repeat(2)[:400] + np.arange(400)}}, None),
        ({"task": "ranking"}, "there is no task 'ranking'"),
    ],
)
def test_what_cannot_be_measured_is_named(changes: dict[str, Any], what: str | None) -> None:
    if what is None:
        assert measured(**changes).slices["id"]
        return
    with pytest.raises(NotMeasurable) as raised:
        measured(**changes)
    assert what in raised.value.what
    assert all(raised.value.parts().values())


def test_a_column_with_too_many_values_is_no_slice() -> None:
    y, p, _ = rows(600)
    with pytest.raises(NotMeasurable, match="600 different values"):
        measured(y=y, prediction=p, slices={"tail": [f"N{i}" for i in range(600)]})


def test_labels_come_as_flags_numbers_or_objects() -> None:
    y, _, _ = rows()
    expected = measured().metrics["auc"]
    for form in (y.astype(int), y.astype(float), y.astype(object), y.tolist()):
        assert measured(y=form).metrics["auc"] == expected


def test_curves_are_small_and_whole() -> None:
    y, p, _ = rows(5000)
    found = measured(y=y, prediction=p, slices={})
    assert len(found.roc) <= 200
    ends = (found.roc[0], found.roc[-1])
    assert [(end.false_positive_rate, end.true_positive_rate) for end in ends] == [(0.0, 0.0), (1.0, 1.0)]
    x = np.array([point.false_positive_rate for point in found.roc])
    height = np.array([point.true_positive_rate for point in found.roc])
    assert (np.diff(x) >= 0).all()
    assert (np.diff(height) >= 0).all()
    assert np.trapezoid(height, x) == pytest.approx(found.metrics["auc"].value, abs=2e-3)
    assert sum(one.n for one in found.reliability) == 5000
    assert found.histogram is not None
    assert found.histogram.positives is not None
    assert sum(found.histogram.counts) == 5000
    assert sum(found.histogram.positives) == y.sum()


def test_reliability_gives_the_calibration_error() -> None:
    found = measured()
    weighed = sum(one.n * abs(one.predicted - one.observed) for one in found.reliability) / found.n
    assert weighed == pytest.approx(found.metrics["calibration_error"].value)


def test_rows_digest_knows_keys_labels_and_order() -> None:
    y, keys = np.array([True, False, False]), {"id": np.array(["ab", "c", ""], dtype=object)}
    digest = rows_digest(y, keys)
    assert digest == rows_digest(y.copy(), dict(keys))
    assert len({digest, rows_digest(y), rows_digest(~y, keys), rows_digest(y[::-1], keys),
                rows_digest(y, {"id": np.array(["a", "bc", ""], dtype=object)})}) == 5  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_errors_that_are_no_numbers_are_said_to_be_too_large() -> None:
    y = np.random.default_rng(0).uniform(1.5e308, 1.7e308, 60)
    found = evaluate(task="regression", y=y, prediction=-y, measured_at=NOW, resamples=20).metrics
    assert found["rmse"].value is None
    assert found["rmse"].why == "labels and predictions of 60 rows lie so far apart that the errors are no numbers"
    constant = evaluate(task="regression", y=np.full(60, 1e200), prediction=y, measured_at=NOW, resamples=20).metrics
    assert constant["rmse"].value is not None
    assert constant["r2"].why == "the label does not vary over 60 rows"
