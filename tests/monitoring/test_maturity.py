"""Outcomes that take their time: figures of decisions that are old enough, whoever said at what age they are final."""

from datetime import timedelta

import numpy as np
import pytest
from tests.monitoring.served import ACTOR, START, Served, move
from tests.registry.cases import evaluated, registered
from tests.serving.late import FakeReleases, route

from trimtab.evaluation import Maturity
from trimtab.kernel import digest_of_bytes
from trimtab.monitoring import (
    Outcome,
    expected,
    lately,
    level_test,
    mature_until,
    maturity_of,
    paired,
    performance,
    record_outcomes,
    watch,
)
from trimtab.monitoring.exposition import Metrics, expose
from trimtab.monitoring.quality import label_signs
from trimtab.serving import EndpointStatus, get_endpoint
from trimtab.store import Store

DAY = timedelta(days=1)
DAY_S = 86400.0
DAYS, A_DAY, SLOW = 63, 40, 20.0
NOW = START + DAYS * DAY
WEEK = 7 * DAY


class World:
    """Days in which nothing changes: a yes is known after two days on average, a no after twenty."""

    def __init__(
        self, store: Store, *, never: float = 0.0, seed: int = 1, days: range = range(DAYS), told: int = DAYS
    ) -> None:
        self.store, random = store, np.random.default_rng(seed)
        served = Served(store, seed=seed)
        self.day = np.repeat(days, A_DAY * days.step)
        self.p = random.beta(2, 5, self.day.size)
        self.y = random.random(self.day.size) < self.p
        self.late = np.where(self.y, random.exponential(2, self.day.size), SLOW)
        self.known = (self.day + self.late <= told) & (random.random(self.day.size) >= never)
        ids: list[str] = []
        for day in days:
            move(store, START + day * DAY)
            ids += served.decide(self.p[self.day == day].tolist(), at=START + day * DAY)
        move(store, NOW)
        watch(store, "late", until=NOW)
        said = [
            Outcome(decision=id_, value=float(self.y[i]), known_at=START + (self.day[i] + self.late[i]) * DAY)
            for i, id_ in enumerate(ids)
            if self.known[i]
        ]
        record_outcomes(store, "late", said, actor=ACTOR)

    def loss(self, first: float, last: float) -> float:
        """Return the log loss of the days [first, last), whether or not their outcomes are known."""
        mine = (self.day >= first) & (self.day < last)
        return float(-np.log(np.where(self.y, self.p, 1 - self.p))[mine].mean())


def declared(store: Store, days: float) -> None:
    registered(store, evaluation_id=evaluated(store, maturity=Maturity(after_s=days * DAY_S, by="declared")))


@pytest.mark.parametrize("who", ["declared", "measured"])
def test_figures_are_of_decisions_that_are_old_enough(store: Store, who: str) -> None:
    world = World(store)
    if who == "declared":
        declared(store, SLOW)
    found = lately(store, "late", version=1, over=WEEK)
    assert (found.matures_s, found.mature_until) == (SLOW * DAY_S, NOW - SLOW * DAY)
    assert found.until == mature_until(store, "late", at=NOW) == NOW - SLOW * DAY
    assert found.decisions == found.labelled == 7 * A_DAY
    first = DAYS - SLOW - 7
    assert found.value("log_loss") == pytest.approx(world.loss(first, first + 7), rel=1e-9)


def test_what_is_too_young_is_counted_and_nothing_more(store: Store) -> None:
    world = World(store)
    declared(store, SLOW)
    week = performance(store, "late", version=1, since=NOW - WEEK, until=NOW, metrics=("auc",))
    assert (week.decisions, week.labelled, week.waiting) == (7 * A_DAY, 0, 1.0)
    assert week.metrics["log_loss"].why == "no outcome is final yet: that takes 20d from the decision"
    assert week.value("auc") is None
    month = performance(store, "late", version=None, since=NOW - 30 * DAY, until=NOW)
    assert (month.decisions, month.labelled) == (30 * A_DAY, 10 * A_DAY)
    assert month.value("log_loss") == pytest.approx(world.loss(DAYS - 30, DAYS - SLOW), rel=1e-9)


def test_judged_too_early_the_figure_would_be_another(store: Store) -> None:
    world = World(store)
    declared(store, 1 / 24)
    assert performance(store, "late", version=1, since=NOW - WEEK, until=NOW).value("log_loss") > 1.3 * world.loss(
        0, 63
    )  # type: ignore[operator]


@pytest.mark.parametrize("never", [0.0, 0.3])
def test_an_endpoint_learns_from_its_outcomes_when_they_are_final(store: Store, never: float) -> None:
    World(store, never=never)
    found = maturity_of(store, "late", at=NOW)
    assert (found.by, found.after_s) == ("measured", SLOW * DAY_S)
    by_name = {one.outcome: one for one in found.outcomes}
    assert by_name["False"].median_s == pytest.approx(SLOW * DAY_S)
    assert by_name["True"].median_s == pytest.approx(2 * DAY_S * np.log(2), rel=0.3)
    assert maturity_of(store, "late", at=START) == Maturity()  # nothing was known yet


def test_an_endpoint_that_is_asked_once_a_week_learns_it_too(store: Store) -> None:
    World(store, days=range(1, DAYS, 7))
    assert maturity_of(store, "late", at=NOW).after_s == SLOW * DAY_S


def test_an_endpoint_of_another_name_judges_by_the_age_of_its_model(store: Store) -> None:
    declared(store, SLOW)
    assert maturity_of(store, "late-eu", at=NOW).after_s == 0
    releases = FakeReleases()
    releases.release(store, 1, None, digest=digest_of_bytes(b"model"))
    route(store, releases, endpoint="late-eu")
    assert mature_until(store, "late-eu", at=NOW) == NOW - SLOW * DAY
    found = performance(store, "late-eu", version=1, since=START, until=START + DAY)
    assert (found.matures_s, found.decisions) == (SLOW * DAY_S, 0)


def test_while_the_source_of_outcomes_stands_still_nothing_becomes_final(store: Store) -> None:
    """Without a word for 15 days: of the newest that are old enough, the quick outcomes are known and no others."""
    world, told = World(store, told=DAYS - 15), DAYS - 15
    declared(store, SLOW)
    found = lately(store, "late", version=1, over=WEEK)
    assert found.until == found.mature_until == START + (told - SLOW) * DAY
    assert found.decisions == found.labelled == 7 * A_DAY
    first = told - SLOW - 7
    assert found.value("log_loss") == pytest.approx(world.loss(first, first + 7), rel=1e-9)
    level = level_test(store, "late", version=1, at=NOW)
    assert level is not None
    assert {n for _, n, _ in level.days} == {A_DAY}
    assert not level.evidence.alarmed


def test_an_endpoint_that_is_asked_no_more_is_judged_in_full_when_all_is_known(store: Store) -> None:
    world = World(store, days=range(30))
    declared(store, SLOW)
    assert mature_until(store, "late", at=NOW) == NOW - SLOW * DAY
    found = performance(store, "late", version=1, since=START, until=NOW)
    assert found.labelled == world.day.size


def test_the_longer_age_holds_and_a_declared_one_before_both(store: Store) -> None:
    World(store)
    registered(store, evaluation_id=evaluated(store, maturity=Maturity(after_s=40 * DAY_S)))
    assert maturity_of(store, "late", at=NOW).after_s == 40 * DAY_S
    registered(store, model=b"other", evaluation_id=evaluated(store, model=b"other", maturity=Maturity(after_s=DAY_S)))
    assert maturity_of(store, "late", at=NOW).after_s == SLOW * DAY_S
    third = Maturity(after_s=10 * DAY_S, by="declared")
    registered(store, model=b"third", evaluation_id=evaluated(store, model=b"third", maturity=third))
    found = maturity_of(store, "late", at=NOW)
    assert (found.after_s, found.by, found.is_too_soon) == (10 * DAY_S, "declared", True)


def test_the_level_test_waits_for_days_to_be_final(store: Store) -> None:
    World(store)
    declared(store, SLOW)
    found = level_test(store, "late", version=1, at=NOW)
    assert found is not None
    assert len(found.days) == DAYS - SLOW
    assert {n for _, n, _ in found.days} == {A_DAY}
    assert not found.evidence.alarmed


def test_pairs_count_once_they_are_final(store: Store) -> None:
    served, random = Served(store), np.random.default_rng(3)
    declared(store, 10)
    said: list[Outcome] = []
    for day in range(20):
        move(store, START + day * DAY)
        p = random.beta(2, 5, 30)
        ids = served.decide(p.tolist(), at=START + day * DAY)
        served.decide((p**1.2).tolist(), at=START + day * DAY, version=2, stage="shadow", mirrors=ids)
        y = random.random(30) < p
        said += [
            Outcome(decision=id_, value=float(v), known_at=START + (day + (1 if v else 10)) * DAY)
            for id_, v in zip(ids, y, strict=True)
            if day + (1 if v else 10) <= 20
        ]
    end = START + 20 * DAY
    move(store, end)
    watch(store, "late", until=end)
    record_outcomes(store, "late", said, actor=ACTOR)
    found = paired(store, "late", challenger=2, champion=1, since=START, until=end)
    assert (found.rows, found.n) == (600, 11 * 30)
    early = paired(store, "late", challenger=2, champion=1, since=START, until=START + 9 * DAY)
    assert early.n == 0


def test_estimates_are_calibrated_by_final_outcomes(store: Store) -> None:
    """Young outcomes are almost all positive here: learnt from, they would raise every probability."""
    world = World(store)
    declared(store, SLOW)
    found = expected(store, "late", version=1, since=NOW - WEEK, until=NOW)
    assert found is not None
    assert found.metrics["log_loss"].value == pytest.approx(world.loss(0, DAYS), rel=0.1)


def test_metrics_that_are_scraped_say_at_what_age(store: Store) -> None:
    World(store)
    declared(store, SLOW)
    releases = FakeReleases()
    releases.release(store, 1, None, digest=digest_of_bytes(b"model"))
    route(store, releases)
    routing = get_endpoint(store, "late").routing
    metrics = Metrics()
    status = EndpointStatus(endpoint="late", routing=routing, ready=True, figures=(), problems=())
    expose(metrics, store, [status])
    text = metrics.text()
    assert f'trimtab_outcome_maturity_seconds{{endpoint="late",version="1"}} {SLOW * DAY_S}' in text
    week = lately(store, "late", version=1, over=WEEK)
    assert f'trimtab_performance_7d{{endpoint="late",version="1",metric="log_loss"}} {week.value("log_loss")!r}' in text
    assert f'trimtab_decisions_7d{{endpoint="late",version="1"}} {7 * A_DAY}' in text


def test_a_monitor_says_what_nobody_declared_or_what_was_declared_too_short(store: Store) -> None:
    World(store)
    (sign,) = label_signs(store, "late", "late", at=NOW)
    assert (sign.group, sign.severity) == ("quality:labels", "note")
    assert sign.title.endswith("and their age was measured: figures take those of 20d")
    assert sign.lines[0].startswith("False after 20 days, 99 % after 20 days (")
    assert sign.lines[-1] == 'write matures="20d" beside the label'
    declared(store, 7)
    (sign,) = label_signs(store, "late", "late", at=NOW)
    assert sign.title.endswith("and that is later than was declared: figures take those of 7d")
    registered(
        store,
        model=b"b",
        evaluation_id=evaluated(store, model=b"b", maturity=Maturity(after_s=20 * DAY_S, by="declared")),
    )
    assert label_signs(store, "late", "late", at=NOW) == []
