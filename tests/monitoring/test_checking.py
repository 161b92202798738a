"""Checks: what is wrong with an endpoint becomes an alert, once, and ends when it is over."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from tests.loop.test_power import compared
from tests.monitoring.served import ACTOR, HOUR, ORIGINS, START, Served, move
from tests.monitoring.test_drift import kept
from tests.registry.cases import registered
from tests.serving.late import FakeReleases, route

from trimtab.kernel import digest_of_bytes
from trimtab.monitoring import Outcome, alerts, check, level_power, level_test, mind, record_outcomes, watch
from trimtab.monitoring.levels import LEAST_LABELLED
from trimtab.monitoring.quality import request_signs, volume_signs
from trimtab.serving.counting import Counting
from trimtab.serving.statistics import Tally
from trimtab.store import Store

DAY = timedelta(days=1)


@pytest.fixture
def routed(store: Store) -> Store:
    """A store with an endpoint whose champion has a reference."""
    releases = FakeReleases()
    releases.release(store, 1, None, digest=digest_of_bytes(b"model"))
    route(store, releases)
    kept(store)
    return store


class Life:
    """Days of decisions at an endpoint, ordinary unless said otherwise."""

    def __init__(self, store: Store) -> None:
        self.store, self.served = store, Served(store)
        self.random = np.random.default_rng(2)

    def day(self, number: int, *, n: int = 480, shift: float = 0.0, lost: str = "", worse: float = 0.0) -> None:
        """Live a day; outcomes of its decisions become known at its end. ``worse`` is how often one is turned round."""
        start = START + number * DAY
        said: list[Outcome] = []
        for hour in range(24):
            move(self.store, start + hour * HOUR)
            scores = self.random.beta(2 + 4 * shift, 6, n // 24)
            values = [self._row(shift, lost) for _ in scores]
            ids = self.served.decide(scores.tolist(), at=start + hour * HOUR, values=values)
            y = (self.random.random(scores.size) < scores) ^ (self.random.random(scores.size) < worse)
            known_at = start + DAY
            said += [Outcome(decision=i, value=float(v), known_at=known_at) for i, v in zip(ids, y, strict=True)]
        move(self.store, start + DAY)
        watch(self.store, "late", until=start + DAY)
        record_outcomes(self.store, "late", said, actor=ACTOR)

    def _row(self, shift: float, lost: str) -> list[Any]:
        row: dict[str, Any] = {
            "distance": float(self.random.gamma(2, 400 * (1 + shift))),
            "origin": str(self.random.choice(ORIGINS)),
        }
        return [None if name == lost else value for name, value in row.items()]


def now(store: Store) -> datetime:
    return store.clock.now()


def open_groups(store: Store) -> set[str]:
    return {alert.group for alert in alerts(store, states=("open",))}


def test_an_ordinary_day_raises_nothing(routed: Store) -> None:
    life = Life(routed)
    for number in range(2):
        life.day(number)
        assert check(routed, "late", now(routed)).signs == ()


def test_a_day_of_drift_is_one_page_and_ends_with_the_next_ordinary_day(routed: Store) -> None:
    life = Life(routed)
    life.day(0, shift=0.6)
    found = check(routed, "late", now(routed))
    assert {one.group: one.severity for one in found.raised}["drift"] == "page"
    assert found.raised[0].title.startswith("prediction")
    raised = open_groups(routed)
    for hours in (1, 12, 23):
        again = check(routed, "late", now(routed) + hours * HOUR)
        assert (again.raised, again.resolved) == ((), ())
    life.day(1)
    over = check(routed, "late", now(routed))
    assert {one.group for one in over.resolved} == raised
    assert open_groups(routed) == set()


def test_a_column_that_is_missing_all_day(routed: Store) -> None:
    Life(routed).day(0, lost="distance")
    check(routed, "late", now(routed))
    assert "quality:missing:distance" in open_groups(routed)


def test_far_fewer_decisions_than_usual(routed: Store) -> None:
    life = Life(routed)
    for number in range(8):
        life.day(number, n=240)
    assert volume_signs(routed, "late", day=START + 7 * DAY) == []
    life.day(8, n=48)
    (sign,) = volume_signs(routed, "late", day=START + 8 * DAY)
    assert (sign.severity, sign.title) == ("page", "48 decisions on 2013-03-09, usually it is 240")
    life.day(9, n=1200)
    (more,) = volume_signs(routed, "late", day=START + 9 * DAY)
    assert more.severity == "note"


@pytest.mark.parametrize("sealed", [False, True])
def test_rows_that_were_answered_and_break_their_contract(routed: Store, sealed: bool) -> None:
    life = Life(routed)
    life.day(0)
    assert request_signs(routed, "late", day=START) == []
    text = "distance 9000, promised 0 to 5000"
    # Clearly within the first day, so that no other day counts it.
    ids = life.served.decide([0.5, 0.5], at=START + 5 * HOUR, broken=[[text], None])
    life.served.decide([0.5], at=START + 5 * HOUR, version=2, stage="shadow", mirrors=ids[:1], broken=[[text]])
    if sealed:
        life.served.log.seal(also_open=None)
    watch(routed, "late", until=START + DAY)
    (sign,) = request_signs(routed, "late", day=START)
    assert (sign.severity, sign.group) == ("note", "quality:requests")
    assert sign.title == "1 of 482 rows that were answered on 2013-03-01 break their contract"
    assert sign.lines == (f"distance: 1 rows, such as {text} (decision {ids[0]})",)
    life.served.decide([0.5] * 10, at=START + 6 * HOUR, broken=[[text]] * 10)
    (more,) = request_signs(routed, "late", day=START)
    assert more.severity == "page"
    assert request_signs(routed, "late", day=START + DAY) == []


def test_requests_that_fail(routed: Store) -> None:
    tally = Tally()
    for _ in range(90):
        tally.answered(1, 0.001)
    tally.errors = 10
    Counting(routed, {("late", 1, ""): tally}).flush()
    move(routed, START + 0.5 * HOUR)
    check(routed, "late", now(routed))
    assert open_groups(routed) == {"service:errors"}
    move(routed, START + 3 * HOUR)
    check(routed, "late", now(routed))
    assert open_groups(routed) == set()


def test_a_loss_above_its_level_at_approval_is_found_within_days(routed: Store) -> None:
    registered(routed)
    life = Life(routed)
    for number in range(3):
        life.day(number, n=240)
    healthy = level_test(routed, "late", version=1, at=now(routed))
    assert healthy is not None
    assert len(healthy.days) == 1  # the last two days still wait for outcomes
    assert healthy.days[0][1] == 240
    assert not healthy.evidence.alarmed
    for number in range(3, 15):
        life.day(number, n=240, worse=0.95)
    ill = level_test(routed, "late", version=1, at=now(routed))
    assert ill is not None
    assert ill.evidence.alarmed
    check(routed, "late", now(routed))
    (alert,) = (one for one in alerts(routed, states=("open",)) if one.kind == "performance")
    assert "log loss of late@1 is above its level at approval" in alert.title


def test_the_days_of_the_test_span_tell_what_is_usual(routed: Store) -> None:
    registered(routed, evaluation_id=compared(routed))
    life = Life(routed)
    for number in range(6):
        life.day(number, n=240)
    healthy = level_test(routed, "late", version=1, at=now(routed))
    assert healthy is not None
    assert (healthy.past_days, healthy.evidence.n) == (14, len(healthy.days))
    assert not healthy.evidence.alarmed
    for number in range(6, 11):
        life.day(number, n=240, worse=0.95)
    ill = level_test(routed, "late", version=1, at=now(routed))
    assert ill is not None
    assert ill.evidence.alarmed, "three days of twice the loss"
    assert ill.evidence.mean == pytest.approx(np.mean([loss for _, _, loss in ill.days[-7:]]))


def test_what_the_level_test_can_find_rests_on_the_test_span_and_the_service_so_far(routed: Store) -> None:
    before = level_power(routed, "late", version=1, at=now(routed))
    assert (before.found, "evaluation on 5 days or more" in before.why) == (None, True)
    registered(routed, evaluation_id=compared(routed))
    before = level_power(routed, "late", version=1, at=now(routed))
    assert (before.served_days, before.rows_a_day, before.past_days) == (0, 400, 14)
    life = Life(routed)
    for number in range(6):
        life.day(number, n=240)
    served = level_power(routed, "late", version=1, at=now(routed))
    test = level_test(routed, "late", version=1, at=now(routed))
    assert test is not None
    assert (served.served_days, served.rows_a_day, served.past_days) == (test.evidence.n, 240, test.past_days)
    assert 0 < (before.found or 9) <= (served.found or 9), "fewer rows a day find no less"


def test_days_with_few_outcomes_are_not_bet_on(routed: Store) -> None:
    registered(routed)
    assert level_test(routed, "late", version=1, at=START + 5 * DAY) is None
    ids = Served(routed).decide([0.5] * (LEAST_LABELLED - 1), at=START)
    record_outcomes(routed, "late", [Outcome(decision=id_, value=1) for id_ in ids], actor=ACTOR)
    Life(routed).day(1, n=24)
    move(routed, START + 6 * DAY)
    found = level_test(routed, "late", version=1, at=now(routed))
    assert found is not None
    assert [n for _, n, _ in found.days] == [24]


def test_an_endpoint_that_is_gone_has_no_open_alerts(routed: Store) -> None:
    from trimtab.serving import remove_endpoint

    Life(routed).day(0, shift=0.6)
    check(routed, "late", now(routed))
    with routed.change(ACTOR, "nobody asks it") as change:
        remove_endpoint(change, "late")
    assert "drift" in {one.group for one in check(routed, "late", now(routed)).resolved}
    assert open_groups(routed) == set()
    assert check(routed, "nobody", now(routed)).signs == ()


def test_minding_does_it_all(routed: Store) -> None:
    served = Served(routed)
    served.decide([0.5], at=START)
    move(routed, START + HOUR)
    mind(routed)
    mind(routed)
    assert watch(routed, "late", until=START + HOUR) == ()  # it was watched already
