"""What policies read of a version in its rollout: no word about rates that rest on a few requests."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn import metrics as sk
from tests.monitoring.served import ACTOR, HOUR, ORIGINS, START, Served, move
from tests.monitoring.test_figures import counted
from tests.registry.cases import evaluated, registered

from trimtab.declare import Condition, Metric, Threshold
from trimtab.evaluation import evaluate, fairness_gap, gap
from trimtab.kernel import VirtualClock
from trimtab.loop.measures import LEAST_ERRORS, LEAST_REQUESTS, in_rollout, in_service, over_slices
from trimtab.loop.policy import Measured, judge_policy
from trimtab.monitoring import Estimate, Outcome, SlicePerformance, record_outcomes, watch
from trimtab.store import Store


def measured(store: Store, clock: VirtualClock, metric: str) -> Measured:
    since = clock.now() - timedelta(hours=1)
    measure = in_rollout(store, "late", 2, 1, since=since, now=clock.now() + timedelta(minutes=1))
    return measure(Metric(metric))


@pytest.mark.parametrize(
    ("answers", "errors", "rate"),
    [
        (0, 1, None),
        (LEAST_REQUESTS - LEAST_ERRORS, LEAST_ERRORS - 1, None),
        (LEAST_REQUESTS - 1, 1, 1 / LEAST_REQUESTS),
        (0, LEAST_ERRORS, 1.0),
    ],
)
def test_a_rate_of_errors_is_judged_from_fifty_requests_or_five_failures_on(
    store: Store, clock: VirtualClock, answers: int, errors: int, rate: float | None
) -> None:
    counted(store, 2, "canary", answers=answers, errors=errors)
    found = measured(store, clock, "errors")
    assert found.value == rate
    assert found.why == ("" if rate is not None else f"{answers + errors} requests, fewer than {LEAST_REQUESTS}")


def test_a_latency_is_judged_from_fifty_requests_on(store: Store, clock: VirtualClock) -> None:
    counted(store, 2, "canary", answers=LEAST_REQUESTS - 1, errors=0)
    assert measured(store, clock, "latency.p99").value is None
    counted(store, 2, "canary", answers=1, errors=0)
    assert measured(store, clock, "latency.p99").value == pytest.approx(0.010, rel=0.04)


def test_a_latency_that_a_standing_clock_gave_is_no_latency(store: Store, clock: VirtualClock) -> None:
    counted(store, 2, "canary", answers=LEAST_REQUESTS, errors=0, took_s=0.0)
    found = measured(store, clock, "latency.p99")
    assert (found.value, found.why) == (None, "it was not measured: the clock stood still, as in a replay")


AT = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_gap_in_service_beyond_chance_is_the_lower_end_of_its_interval() -> None:
    random = np.random.default_rng(0)
    p = random.uniform(0, 1, 2000)
    y, group = random.random(2000) < p, np.arange(2000) % 5
    measured = evaluate(task="classification", y=y, prediction=p, measured_at=AT, slices={"g": group}, resamples=20)
    slices = tuple(SlicePerformance(value=one.value, n=one.n, metrics=one.metrics) for one in measured.slices["g"])
    for name in ("recall", "log_loss"):
        whole = over_slices(slices, Metric(name, over_slices="gap", slice_by="g"))
        proven = over_slices(slices, Metric(name, over_slices="gap_beyond_chance", slice_by="g"))
        expected = gap(measured, name, by="g").value
        assert (whole.value, whole.n) == (pytest.approx(expected.value), expected.n)
        assert proven.value == pytest.approx(expected.low)
        assert (proven.value or 0.0) < (whole.value or 0.0)
        assert proven.chance == whole.chance == pytest.approx(gap(measured, name, by="g").chance, rel=0.1)
    odds = over_slices(slices, Metric("equalised_odds", over_slices="gap", slice_by="g"))
    assert odds.value == pytest.approx(fairness_gap(measured, "equalised_odds", by="g").value.value)


def shares(metric: str, *groups: tuple[str, int, float | None, int]) -> tuple[SlicePerformance, ...]:
    """Slices of some rows each, a metric of which is a share of so many of them."""
    return tuple(
        SlicePerformance(value=name, n=n, metrics={metric: Estimate(value=share, n=of)})
        for name, n, share, of in groups
    )  # fmt: skip


def test_what_cannot_be_read_off_slices_says_why() -> None:
    groups = shares("selection_rate", ("a", 500, 0.2, 500), ("b", 300, 0.6, 300), ("c", 20, 0.9, 20))

    def read(look: Any, at_least: int = 0) -> Measured:
        return over_slices(groups, Metric("selection_rate", over_slices=look, slice_by="g", at_least=at_least))

    assert read("gap").value == pytest.approx(0.4)
    assert read("gap").n == 800
    assert read("worst") == Measured(value=None, why="selection_rate has no better or worse side; look at its gap")
    assert read("gap", at_least=400) == Measured(value=None, why="only one slice of g has 400 labelled decisions")
    assert read("gap", at_least=900) == Measured(value=None, why="no slice of g has 900 labelled decisions")


def test_a_group_that_says_nothing_of_a_rate_is_left_out_and_named() -> None:
    """One group without a positive hides nothing of the others, and one with a single positive does not decide."""
    groups = shares(
        "recall", ("a", 500, 0.5, 100), ("b", 500, 0.8, 120), ("c", 900, None, 0), ("d", 900, 0.0, 1), ("e", 9, 0.1, 9)
    )
    found = over_slices(groups, Metric("recall", over_slices="gap", slice_by="g"))
    assert (found.value, found.n) == (pytest.approx(0.3), 1000)
    assert found.left_out == "without g c, d, where recall rests on fewer than 30 rows"
    assert over_slices(groups, Metric("recall", over_slices="worst", slice_by="g")).value == 0.5
    few = over_slices(groups[1:], Metric("recall", over_slices="gap", slice_by="g"))
    assert few == Measured(value=None, why="only one slice of g has 200 labelled decisions, 30 of them for its recall")
    rule = Condition(left=Metric("recall", over_slices="gap", slice_by="g"), op=">", right=Threshold(value=0.2))
    judged = judge_policy(rule, lambda metric: over_slices(groups, metric), last=AT, now=AT)
    assert judged.holds
    assert "0.3 (1 000 rows, without g c, d, where recall rests on fewer than 30 rows) > 0.2" in judged.lines[0]


def served(store: Store, n: int = 400) -> tuple[Any, Any, Any]:
    """Decisions of an hour at ``late`` with outcomes, better in one origin than in the others; return them."""
    random = np.random.default_rng(0)
    origin = np.array(ORIGINS)[np.arange(n) % 2]
    p = random.uniform(0, 1, n)
    y = random.random(n) < np.where(origin == ORIGINS[0], p, 0.5)
    move(store, START)
    ids = Served(store).decide(p.tolist(), at=START, values=[[1.0, one] for one in origin.tolist()])
    move(store, START + HOUR)
    watch(store, "late", until=START + HOUR)
    record_outcomes(
        store, "late", [Outcome(decision=id_, value=float(one)) for id_, one in zip(ids, y, strict=True)], actor=ACTOR
    )
    return y, p, origin


def test_metrics_that_need_the_rows_are_measured_in_service(store: Store) -> None:
    y, p, _ = served(store)
    measure = in_service(store, "late", 1, since=START - 30 * DAY, now=store.clock.now())
    for name, expected in (("auc", sk.roc_auc_score(y, p)), ("recall", sk.recall_score(y, p >= 0.5))):
        assert measure(Metric(name)).value == pytest.approx(expected)
    missing = measure(Metric("recall", over_slices="gap", slice_by="carrier"))
    assert missing == Measured(value=None, why="no decision of late has a feature 'carrier'")


def test_a_gap_at_approval_is_that_of_the_test_span(store: Store) -> None:
    y, p, origin = served(store)
    found = evaluate(
        task="classification", y=y, prediction=p, measured_at=store.clock.now(), slices={"origin": origin}, resamples=20
    )
    registered(store, evaluation_id=evaluated(store, found=found))
    measure = in_service(store, "late", 1, since=START - 30 * DAY, now=store.clock.now())
    for look in ("gap", "worst"):
        metric = Metric("recall", over_slices=look, slice_by="origin", of="at_approval")
        now = measure(msgspec.structs.replace(metric, of="self"))
        assert now.value is not None
        assert measure(metric) == now  # the same rows
    assert measure(Metric("recall", of="at_approval")).value == pytest.approx(sk.recall_score(y, p >= 0.5))
