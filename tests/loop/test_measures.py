"""What policies read of a version in its rollout: no word about rates that rest on a few requests."""

from datetime import timedelta

import pytest
from tests.monitoring.test_figures import counted

from trimtab.declare import Metric
from trimtab.kernel import VirtualClock
from trimtab.loop.measures import LEAST_ERRORS, LEAST_REQUESTS, in_rollout
from trimtab.loop.policy import Measured
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
