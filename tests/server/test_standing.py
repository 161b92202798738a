"""How a project stands: one definition of what needs a person, whole however much there is."""

from datetime import timedelta

import msgspec
import pytest
from tests.registry.cases import ANN, BOB, approved, artifacts, evaluated, lineage, registered

from trimtab.kernel import Actor, VirtualClock
from trimtab.loop import Trigger, TriggerKind, TurnState, move_turn, open_turn
from trimtab.monitoring import Sign
from trimtab.monitoring.alerts import settle
from trimtab.pipelines import PipelineSpec, StepSpec, cancel, submit
from trimtab.registry import all_models, all_versions, get_model, register_version, set_alias, waiting_versions
from trimtab.server import needs_of, standing_of
from trimtab.store import Store, event_times, events

MANY = 130
"""More than any page of a listing held when nobody said how many."""


def many_versions(store: Store, name: str, count: int, *, passes: bool | None, first: int = 0) -> None:
    """Register versions that differ by a param, in one change; ``passes`` None: without an evaluation."""
    evaluation = None if passes is None else evaluated(store, passes=passes)
    made, came = artifacts(store), lineage(store)
    with store.change(ANN, "a sweep") as change:
        for n in range(first, first + count):
            params = {"n": n, "passes": passes}
            register_version(
                change, model=name, artifacts=made, lineage=came, params=params, evaluation_id=evaluation
            )  # fmt: skip


def test_a_version_waits_when_it_passed_its_gate_and_is_newer_than_the_champion(store: Store) -> None:
    many_versions(store, "late", 3, passes=True)
    approved(store, BOB, params={"champion": 1})
    with store.change(BOB, "it answers") as change:
        set_alias(change, "late@4", "champion")
    many_versions(store, "late", MANY, passes=True, first=10)
    many_versions(store, "late", 4, passes=False)
    many_versions(store, "late", 5, passes=None)
    waiting = waiting_versions(store, get_model(store, "late"))
    assert [version.number for version in waiting] == list(range(4 + MANY, 4, -1))
    assert needs_of(store).waiting == tuple(waiting)
    found = standing_of(store)
    assert (found.models[0].versions, found.models[0].champion, found.models[0].waiting) == (13 + MANY, 4, MANY)
    assert [one.version for one in found.waiting] == [version.ref for version in waiting]


def test_what_was_decided_waits_no_more(store: Store) -> None:
    version, _ = approved(store, BOB)
    assert waiting_versions(store, get_model(store, version.model)) == []


def test_every_model_and_every_version_is_read_page_by_page(store: Store) -> None:
    many_versions(store, "late", 3, passes=None)
    made, came = artifacts(store), lineage(store)
    with store.change(ANN, "many") as change:
        for n in range(MANY):
            register_version(change, model=f"m{n:03}", artifacts=made, lineage=came)
    assert [model.name for model in all_models(store)] == ["late", *(f"m{n:03}" for n in range(MANY))]
    assert [version.number for version in all_versions(store, "late")] == [3, 2, 1]
    assert len(standing_of(store).models) == MANY + 1


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_of_any_size_lose_no_version(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:  # fmt: skip
    monkeypatch.setattr("trimtab.registry.find._PAGE", size)
    many_versions(sqlite_store, "late", 6, passes=None)
    assert [version.number for version in all_versions(sqlite_store, "late")] == [6, 5, 4, 3, 2, 1]
    registered(sqlite_store, name="other")
    registered(sqlite_store, name="third")
    assert [model.name for model in all_models(sqlite_store)] == ["late", "other", "third"]


def test_alerts_turns_and_runs_are_all_there(store: Store, actor: Actor, clock: VirtualClock) -> None:
    signs = [
        Sign(kind="drift", group=f"drift:{n}", severity="page" if n % 2 else "note", title=f"{n} drifted")
        for n in range(MANY)
    ]
    settle(store, "late", signs, kinds=["drift"], at=clock.now())
    trigger = Trigger(kind=TriggerKind.HAND, text="look")
    with store.change(actor, "look") as change:
        turns = [open_turn(change, f"m{n}", trigger) for n in range(MANY)]
        move_turn(change, turns[0], TurnState.FAILED, "it failed")
    spec = PipelineSpec(name="nightly", steps=(StepSpec(name="one", function="nothing:here"),))
    runs = [submit(store, spec, actor=actor, because="look").id for _ in range(60)]
    cancel(store, runs[0], actor=actor, because="enough")
    found = needs_of(store)
    assert len(found.alerts) == MANY
    assert {alert.title for alert in found.alerts} == {sign.title for sign in signs}
    assert [alert.severity for alert in found.alerts] == ["page"] * (MANY // 2) + ["note"] * (MANY // 2)
    assert {turn.model for turn in found.turns} == {f"m{n}" for n in range(1, MANY)}
    assert [run.id for run in found.running] == runs[:0:-1]
    assert found.failed == ()


def test_a_failure_is_news_for_a_day(sqlite_store: Store, actor: Actor, clock: VirtualClock) -> None:
    from trimtab.pipelines import Runner

    spec = PipelineSpec(name="nightly", steps=(StepSpec(name="one", function="trimtab.nothing_here:run"),))
    run = submit(sqlite_store, spec, actor=actor, because="look")
    with Runner(sqlite_store, workers=1) as runner:
        runner.run_until_done(run.id)
    (failed,) = standing_of(sqlite_store).failed
    assert (failed.run, failed.steps_done, failed.steps) == (run.id, 1, 1)
    assert failed.error
    clock.sleep(timedelta(days=1, seconds=1).total_seconds())
    assert standing_of(sqlite_store).failed == ()


def test_the_times_of_events_are_those_that_are_listed(store: Store, clock: VirtualClock) -> None:
    start = clock.now()
    many_versions(store, "late", 3, passes=True)
    clock.sleep(10)
    registered(store, BOB, name="other")
    for narrowed in ({}, {"type": "registry."}, {"actor": "bob"}, {"subject": ("model", "other")}):
        listed = events(store, since=start, limit=1000, **narrowed)  # type: ignore[arg-type]
        assert event_times(store, since=start, **narrowed) == [(one.at, one.type) for one in listed]  # type: ignore[arg-type]
        assert listed, narrowed
    later = event_times(store, since=clock.now())
    assert later
    assert {at for at, _ in later} == {clock.now()}


def test_how_it_stands_is_data(store: Store) -> None:
    registered(store)
    found = msgspec.json.decode(msgspec.json.encode(standing_of(store)))
    assert found["models"] == [{"model": "late", "versions": 1, "champion": None, "waiting": 1}]
    assert found["events"] == len(events(store, limit=1000))
