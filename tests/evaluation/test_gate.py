"""The gate: every form of a condition, in words, and everything that must not pass in silence."""

import operator
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.cases import NOW, measured, rows

from trimtab.declare import AtApproval, Condition, Metric, Scaled, Threshold
from trimtab.evaluation import (
    Evaluation,
    EvidenceLine,
    MetricValue,
    compare,
    judge,
    latency_of,
    refused_conditions,
)
from trimtab.kernel import canonical, digest_of

AUC = Metric(name="auc")
LOSS = Metric(name="log_loss")


def condition(left: Any, op: Any, right: Any) -> Condition:
    return Condition(left=left, op=op, right=Threshold(value=right) if isinstance(right, float) else right)


def line(asked: Condition, **changes: Any) -> EvidenceLine:
    values: dict[str, Any] = {"candidate": measured(), "now": NOW}
    return judge((asked,), **(values | changes)).lines[0]


def changed(name: str, **value: Any) -> Evaluation:
    """The usual evaluation with one metric replaced."""
    found = measured()
    metric = msgspec.structs.replace(found.metrics[name], **value)
    return msgspec.structs.replace(found, metrics=found.metrics | {name: metric})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([">=", "<=", ">", "<"]), st.floats(0.0, 1.0))
def test_a_line_passes_exactly_when_its_condition_holds(op: str, threshold: float) -> None:
    compare_ = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}[op]
    found = line(condition(AUC, op, threshold))
    assert found.observed is not None
    assert found.passed is compare_(found.observed, threshold)
    assert ("not " in found.text) is not found.passed


def test_a_line_reads_aloud() -> None:
    found = line(condition(AUC, ">=", 0.65))
    value = measured().metrics["auc"]
    assert found.text == (f"AUC is {value.value:.4g} ({value.low:.4g} to {value.high:.4g}, 400 rows), at least 0.65")
    assert (found.observed, found.low, found.high, found.n) == (value.value, value.low, value.high, 400)
    assert line(condition(AUC, ">", 0.9)).text.endswith("rows), not above 0.9")


def test_values_that_differ_read_differently() -> None:
    found = line(condition(AUC, ">=", 0.65), candidate=changed("auc", value=0.6499999, low=0.6, high=0.7))
    assert not found.passed
    assert "AUC is 0.6499999 " in found.text


def test_the_verdict_needs_every_line_and_names_its_policy() -> None:
    accept = (condition(AUC, ">=", 0.5), condition(AUC, ">=", 0.99))
    verdict = judge(accept, candidate=measured(), now=NOW)
    assert [one.passed for one in verdict.lines] == [True, False]
    assert not verdict.passed
    assert verdict.policy == digest_of(accept)
    assert canonical(verdict)


def test_a_gate_that_asked_for_nothing_passes_nothing() -> None:
    verdict = judge((), candidate=measured(), now=NOW)
    assert not verdict.passed
    assert [one.text for one in verdict.lines] == [
        "no condition was declared, so nothing was asked: its approval needs an override"
    ]


def test_a_gate_of_which_no_condition_applied_passes_nothing() -> None:
    against = condition(LOSS, "<=", Metric(name="log_loss", of="champion"))
    verdict = judge((against,), candidate=measured(), now=NOW)
    assert [one.passed for one in verdict.lines] == [True, False]
    assert verdict.lines[-1].text.startswith("no condition could be applied, so nothing was shown")
    assert not verdict.passed
    assert judge((against, condition(AUC, ">=", 0.0)), candidate=measured(), now=NOW).passed
    assert judge((against,), candidate=measured(), champion=measured(), now=NOW).passed


def test_no_champion_yet_passes_and_says_so() -> None:
    found = line(condition(LOSS, "<=", Metric(name="log_loss", of="champion")))
    assert found.passed
    assert found.text.startswith("log loss is 0.")
    assert found.text.endswith("log loss is at most the champion's log loss: passed, no champion yet")
    assert line(condition(Metric(name="log_loss", of="champion"), ">=", LOSS)).passed


def test_no_champion_does_not_excuse_a_missing_value() -> None:
    asked = condition(LOSS, "<=", Metric(name="log_loss", of="champion"))
    found = line(asked, candidate=changed("log_loss", value=None, why="gone"))
    assert (found.passed, found.why) == (False, "gone")


def test_the_champion_is_compared_on_the_same_rows() -> None:
    y, p, _ = rows()
    worse = np.clip(p + np.random.default_rng(2).normal(0, 0.2, p.size), 0.01, 0.99)
    champion = measured(prediction=worse)
    both = compare(task="classification", y=y, champion=worse, challenger=p, champion_rows=champion.rows, resamples=50)
    asked = condition(LOSS, "<=", Metric(name="log_loss", of="champion"))
    found = line(asked, champion=champion, comparison=both)
    assert found.passed
    assert found.threshold == champion.metrics["log_loss"].value
    assert "at most the champion's log loss, which is" in found.text
    assert "; candidate minus champion, paired: -0." in found.text
    reverse = line(asked, candidate=champion, champion=measured())
    assert not reverse.passed


def test_a_champion_on_other_rows_fails() -> None:
    asked = condition(LOSS, "<=", Metric(name="log_loss", of="champion"))
    found = line(asked, champion=measured(seed=5))
    assert (found.passed, found.why) == (False, "the champion was measured on other rows than the candidate")


def test_scaled_sides() -> None:
    champion = measured()
    value = champion.metrics["log_loss"].value or 0.0
    times = Scaled(metric=Metric(name="log_loss", of="champion"), factor=1.03, plus=-0.001)
    found = line(condition(LOSS, "<=", times), champion=champion)
    assert found.threshold == pytest.approx(value * 1.03 - 0.001)
    assert "1.03 times the champion's log loss minus 0.001" in found.text
    left = line(condition(Scaled(metric=LOSS, factor=-2.0), "<=", 0.0))
    assert left.observed == pytest.approx(-2 * value)
    assert left.low is not None
    assert left.high is not None
    assert left.low <= left.observed <= left.high


def test_at_approval_repeats_the_other_side() -> None:
    approved = changed("log_loss", value=0.5, low=0.4, high=0.6)
    approved = msgspec.structs.replace(approved, measured_at=NOW - timedelta(days=400))
    asked = condition(LOSS, "<=", Scaled(metric=AtApproval(), factor=1.1))
    assert line(asked, at_approval=approved).threshold == pytest.approx(0.55)
    assert line(condition(LOSS, "<=", AtApproval()), at_approval=approved).threshold == 0.5
    assert line(condition(LOSS, "<=", Metric(name="log_loss", of="at_approval")), at_approval=approved).threshold == 0.5
    without = line(asked)
    assert without.passed
    assert without.why == "nothing was approved yet"


# --- slices and fairness ---------------------------------------------------------------------------------------------


def test_worst_and_gap_name_their_slices() -> None:
    worst = line(condition(Metric(name="auc", over_slices="worst", slice_by="group", at_least=100), ">=", 0.5))
    assert worst.text.startswith("AUC worst by group (at least 100 rows) is 0.")
    gap = line(condition(Metric(name="recall", over_slices="gap", slice_by="group"), "<=", 0.9))
    assert gap.passed
    assert "recall gap by group is" in gap.text
    assert "chance alone gives up to 0." in gap.text
    proven = line(condition(Metric(name="recall", over_slices="gap_beyond_chance", slice_by="group"), "<=", 0.05))
    assert proven.text.startswith("recall gap by group beyond chance is ")
    assert "the gap is 0." in proven.text
    assert proven.observed == proven.low
    odds = line(condition(Metric(name="equalised_odds", over_slices="gap", slice_by="group"), "<=", 0.9))
    assert odds.text.startswith("equalised odds gap by group is")


@pytest.mark.parametrize(
    "metric",
    [
        Metric(name="recall", over_slices="worst", slice_by="group"),
        Metric(name="recall", over_slices="gap", slice_by="group"),
        Metric(name="equal_opportunity", over_slices="gap", slice_by="group"),
    ],
)
def test_a_rate_of_few_rows_in_a_large_slice_fails(metric: Metric) -> None:
    y = np.array([True, False] * 200)
    y[200:] = False
    y[399] = True  # the only one of its group
    p = np.where(y, 0.9, 0.1)
    p[399] = 0.2
    group = np.repeat(["many", "one"], 200)
    found = measured(y=y, prediction=p, slices={"group": group})
    judged = line(condition(metric, "<=", 1.0), candidate=found)
    assert not judged.passed
    assert "of group one rests on 1 row, and at least 20 are needed" in judged.why


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (
            Metric(name="auc", over_slices="worst", slice_by="group", at_least=5000),
            "0 of 3 slices by group have at least 5 000",
        ),
        (Metric(name="auc", over_slices="gap", slice_by="carrier"), "no slices by carrier"),
        (Metric(name="selection_rate", over_slices="worst", slice_by="group"), "no better or worse side"),
        (Metric(name="equalised_odds"), "write .gap(by=...)"),
        (Metric(name="recall", slice_by="group"), "only half of how to look at slices"),
        (Metric(name="drift.of_prediction"), "watched on live traffic"),
        (Metric(name="errors"), "watched on live traffic"),
        (Metric(name="log_loss", over_s=7 * 86400.0), "log loss over 7 days is watched on live traffic"),
        (Metric(name="acu"), "no metric is called 'acu'"),
        (Metric(name="rmse"), "RMSE is not a metric of classification"),
        (Metric(name="latency.p99"), "latency p99 was not measured"),
        (Metric(name="latency.p99", of="champion"), "the champion's latency p99 was not measured"),
        (Metric(name="latency.p99", over_slices="worst", slice_by="group"), "over all calls"),
    ],
)
def test_what_cannot_be_answered_fails_with_the_reason(metric: Metric, why: str) -> None:
    found = line(condition(metric, ">=", 0.0), champion=measured())
    assert not found.passed
    assert why in found.why
    assert f": failed, because {found.why}" in found.text


# --- what must fail --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"value": None, "why": "all 400 labels are true"}, "all 400 labels are true"),
        ({"value": float("nan")}, "AUC is nan, not a finite number"),
        ({"value": float("inf")}, "AUC is inf, not a finite number"),
        ({"low": None, "high": None, "why": ""}, "no interval was given with it"),
        ({"n": 29}, "it rests on 29 rows, and at least 30 are needed"),
    ],
)
def test_a_value_that_cannot_carry_a_decision_fails(value: dict[str, Any], why: str) -> None:
    for asked in (condition(AUC, ">=", 0.0), condition(AUC, "<=", 1e9), condition(AUC, ">=", Metric(name="auc"))):
        found = line(asked, candidate=changed("auc", **value))
        assert (found.passed, found.why) == (False, why)


def test_a_metric_that_was_not_measured_fails() -> None:
    found = measured()
    without = msgspec.structs.replace(found, metrics={k: v for k, v in found.metrics.items() if k != "auc"})
    assert line(condition(AUC, ">=", 0.0), candidate=without).why == "AUC was not measured"


@pytest.mark.parametrize(
    ("measured_at", "why"),
    [
        (NOW - timedelta(days=8), "it is stale: measured 8.0 days ago, and 7 days are allowed"),
        (NOW + timedelta(seconds=301), "it was measured at 2013-03-01T00:05:01+00:00, which is still to come"),
        (None, "nobody recorded when it was measured"),
    ],
)
def test_stale_evidence_fails(measured_at: Any, why: str) -> None:
    stale = msgspec.structs.replace(measured(), measured_at=measured_at)
    assert line(condition(AUC, ">=", 0.0), candidate=stale).why == why
    other = condition(LOSS, "<=", Metric(name="log_loss", of="champion"))
    assert line(other, champion=stale).why == why
    assert line(condition(AUC, ">=", 0.0), candidate=stale, fresh_for_s=1e9).passed is (
        measured_at == NOW - timedelta(days=8)
    )


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), float("-inf")])
def test_a_threshold_that_is_no_number_fails(threshold: float) -> None:
    # digest_of refuses such a policy, so it is judged as a line of its own
    from trimtab.evaluation.gate import _line
    from trimtab.evaluation.reading import Evidence

    evidence = Evidence(
        candidate=measured(), champion=None, at_approval=None, latency=None, champion_latency=None, now=NOW,
        fresh_for_s=1.0, minimum_rows=1,
    )  # fmt: skip
    found = _line(condition(AUC, ">=", threshold), evidence, None)
    assert not found.passed
    assert "not a finite number" in found.why


# --- latency ---------------------------------------------------------------------------------------------------------

P99 = Metric(name="latency.p99")


def test_latency_is_held_to_the_unit_that_was_written() -> None:
    times = np.linspace(0.001, 0.019, 1000)
    asked = condition(P99, "<=", Threshold(value=0.02, text="20ms"))
    found = line(asked, latency=latency_of(times, measured_at=NOW))
    assert found.passed
    assert found.text.startswith("latency p99 is 18.82 ms (")
    assert found.text.endswith(" ms, 1 000 calls), at most 20ms")
    assert not line(asked, latency=latency_of(times * 2, measured_at=NOW)).passed
    assert line(condition(P99, "<=", 3.0), latency=latency_of(times * 100, measured_at=NOW)).text.startswith(
        "latency p99 is 1.882 s"
    )


def test_latency_from_too_few_calls_or_long_ago_fails() -> None:
    asked = condition(P99, "<=", 1.0)
    few = line(asked, latency=latency_of([0.001] * 99, measured_at=NOW))
    assert (few.passed, few.why) == (False, "p99 needs at least 100 calls, and 99 were measured")
    one = line(condition(Metric(name="latency.mean"), "<=", 1.0), latency=latency_of([0.001], measured_at=NOW))
    assert (one.passed, one.why) == (False, "it rests on 1 call, and at least 30 are needed")
    old = line(asked, latency=latency_of([0.001] * 500, measured_at=NOW - timedelta(days=30)))
    assert "stale" in old.why
    assert (
        "there is no latency 'p42'"
        in line(
            condition(Metric(name="latency.p42"), "<=", 1.0), latency=latency_of([0.001] * 500, measured_at=NOW)
        ).why
    )


def test_a_latency_that_a_standing_clock_gave_is_not_measured() -> None:
    still = latency_of(np.zeros(500), measured_at=NOW)
    found = line(condition(P99, "<=", Threshold(value=0.05, text="50ms")), latency=still)
    assert (found.passed, found.observed, found.low) == (True, None, None)
    assert found.text == (
        "latency p99 is at most 50ms: passed, not measured: the clock stood still during the calls, as in a replay"
    )
    against = condition(P99, "<=", Scaled(metric=Metric(name="latency.p99", of="champion"), factor=1.5))
    assert line(against, latency=still, champion=measured(), champion_latency=still).why == found.why


def test_latency_is_compared_with_the_champions() -> None:
    asked = condition(P99, "<=", Scaled(metric=Metric(name="latency.p99", of="champion"), factor=1.5))
    fast, slow = (latency_of(np.full(200, seconds), measured_at=NOW) for seconds in (0.001, 0.002))
    assert line(asked, latency=slow).why == "no champion yet"
    assert not line(asked, latency=slow, champion=measured(), champion_latency=fast).passed
    held = line(asked, latency=fast, champion=measured(), champion_latency=slow)
    assert held.passed
    assert held.text.endswith("at most 1.5 times the champion's latency p99, which is 3 ms")


# --- before training -------------------------------------------------------------------------------------------------


def test_a_plan_can_show_what_no_evaluation_could_answer() -> None:
    accept = (
        condition(AUC, ">=", 0.5),
        condition(Metric(name="drift.of_prediction"), "<=", 0.1),
        condition(LOSS, "<=", Scaled(metric=Metric(name="rmse", of="champion"), factor=2.0)),
    )
    found = refused_conditions(accept, task="classification")
    assert len(found) == 2
    assert found[0].startswith("drift of prediction is at most 0.1: ")
    assert found[1].endswith("RMSE is not a metric of classification")


@settings(max_examples=100, deadline=None)
@given(st.none() | st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 100), st.booleans())
def test_only_a_finite_value_with_an_interval_and_rows_passes(value: float | None, n: int, bounded: bool) -> None:
    """Whatever a metric holds, ``auc >= -1e308`` passes only on evidence that can carry a decision."""
    bounds = (value, value) if bounded else (None, None)
    metric = MetricValue(value=value, low=bounds[0], high=bounds[1], n=n)
    found = measured()
    candidate = msgspec.structs.replace(found, metrics=found.metrics | {"auc": metric})
    passed = line(condition(AUC, ">=", -1e308), candidate=candidate).passed
    assert passed is (value is not None and bool(np.isfinite(value)) and value >= -1e308 and bounded and n >= 30)
