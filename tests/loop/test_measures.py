"""What policies read of a version in its rollout: no word about rates that rest on a few requests."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.monitoring.test_figures import counted

from trimtab.declare import Metric
from trimtab.evaluation import evaluate, gap
from trimtab.kernel import VirtualClock
from trimtab.loop.measures import LEAST_ERRORS, LEAST_REQUESTS, in_rollout, over_slices
from trimtab.loop.policy import Measured
from trimtab.monitoring import Estimate, Performance, SlicePerformance
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


def test_a_gap_in_service_beyond_chance_is_the_lower_end_of_its_interval() -> None:
    random = np.random.default_rng(0)
    p = random.uniform(0, 1, 2000)
    y, group = random.random(2000) < p, np.arange(2000) % 5
    at = datetime(2013, 3, 1, tzinfo=UTC)
    measured = evaluate(task="classification", y=y, prediction=p, measured_at=at, slices={"g": group}, resamples=20)
    slices = tuple(SlicePerformance(value=one.value, n=one.n, metrics=one.metrics) for one in measured.slices["g"])
    found = Performance(
        endpoint="late", version=1, since=at, until=at, task="classification", decisions=2000, labelled=2000,
        waiting=0.0, slices={"g": slices},
    )  # fmt: skip
    for name in ("recall", "log_loss"):
        whole = over_slices(found, Metric(name, over_slices="gap", slice_by="g"))
        proven = over_slices(found, Metric(name, over_slices="gap_beyond_chance", slice_by="g"))
        expected = gap(measured, name, by="g").value
        assert whole.value == pytest.approx(expected.value)
        assert proven.value == pytest.approx(expected.low)
        assert (proven.value or 0.0) < (whole.value or 0.0)
        assert proven.chance == whole.chance == pytest.approx(gap(measured, name, by="g").chance, rel=0.1)


def test_what_cannot_be_read_off_slices_says_why() -> None:
    at = datetime(2013, 3, 1, tzinfo=UTC)
    groups = tuple(
        SlicePerformance(value=name, n=n, metrics={"selection_rate": Estimate(value=share, n=n)})
        for name, n, share in (("a", 500, 0.2), ("b", 300, 0.6), ("c", 20, 0.9))
    )
    found = Performance(
        endpoint="late", version=1, since=at, until=at, task="classification", decisions=820, labelled=820,
        waiting=0.0, slices={"g": groups},
    )  # fmt: skip

    def read(look: str, at_least: int = 0) -> Measured:
        return over_slices(found, Metric("selection_rate", over_slices=look, slice_by="g", at_least=at_least))

    assert read("gap").value == pytest.approx(0.4)
    assert read("worst") == Measured(value=None, why="selection_rate has no better or worse side; look at its gap")
    assert read("gap", at_least=400) == Measured(value=None, why="only one slice of g has 400 labelled decisions")
    assert read("gap", at_least=900) == Measured(value=None, why="no slice of g has 900 labelled decisions")
