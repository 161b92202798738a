"""When a turn begins: the policy holds, steadily, not too soon after the last one, and within the budget."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.loop.parcels import write_project

import trimtab as tt
from trimtab.declare import ModelSpec, Project, RetrainingSpec, load_project
from trimtab.kernel import Actor, SystemClock, VirtualClock
from trimtab.loop import Trigger, TriggerKind, TurnState, apply_project, each_turn, list_turns, open_turn, run_one
from trimtab.loop.triggers import due, start_turn
from trimtab.loop.turns import TurnOpen
from trimtab.loop.wording import how_often
from trimtab.pipelines import Outcome, PipelineSpec, StepError, StepSpec, submit
from trimtab.pipelines.finish import fail_attempt
from trimtab.pipelines.lease import Lease, claim
from trimtab.store import Store

DAY = 86400.0


def model_with(project: Project, **policy: Any) -> ModelSpec:
    when = policy.pop("when", tt.every("2d"))
    return msgspec.structs.replace(project.spec.models[0], retraining=RetrainingSpec(when=when.spec, **policy))


def begun(store: Store, actor: Actor, kind: TriggerKind = TriggerKind.SCHEDULE) -> None:
    with store.change(actor, "again") as change:
        open_turn(change, "slow", Trigger(kind=kind, text="again"), state=TurnState.REFUSED)


def test_a_schedule_counts_from_the_last_turn(
    store: Store, project: Project, actor: Actor, clock: VirtualClock
) -> None:  # fmt: skip
    model, since = model_with(project), clock.now()
    clock.sleep(2 * DAY - 1)
    assert due(store, model, version=1, since=since) is None
    clock.sleep(1)
    trigger = due(store, model, version=1, since=since)
    assert trigger is not None
    assert (trigger.kind, trigger.text) == (TriggerKind.SCHEDULE, "every 2d: 2.0 d since 2013-03-01 00:00")
    start_turn(store, "slow", trigger, actor=actor)
    with pytest.raises(TurnOpen):
        start_turn(store, "slow", trigger, actor=actor)
    assert due(store, model, version=1, since=since) is None
    assert [turn.trigger for turn in list_turns(store)] == [trigger]


def test_it_begins_at_most_so_often(sqlite_store: Store, project: Project, actor: Actor, clock: VirtualClock) -> None:
    model, since = model_with(project, at_most_s=7 * DAY), clock.now()
    clock.sleep(3 * DAY)
    begun(sqlite_store, actor, TriggerKind.HAND)
    clock.sleep(6 * DAY)
    assert due(sqlite_store, model, version=1, since=since) is None
    clock.sleep(DAY)
    assert due(sqlite_store, model, version=1, since=since) is not None


def failed(store: Store, actor: Actor, *, is_outside: bool) -> None:
    """Begin a turn whose training ends with an error."""
    run = submit(store, PipelineSpec(name="train-slow", steps=(StepSpec(name="a", function="m:f"),)), actor=actor)
    error = StepError(
        type="X", code="x", what="the source is away", where="test", why="It is.", next="wait", is_outside=is_outside
    )
    machine = SystemClock()
    free = Lease(run_id=run.id, step="a", fence=0, attempt=0, runner="R" * 26)
    held = claim(store, free, worker_pid=0, worker_started="", at=store.clock.now().isoformat())
    assert held is not None
    assert fail_attempt(store, run, held, outcome=Outcome.FAILED, error=error, is_final=True, machine=machine) is None
    with store.change(actor, "again") as change:
        trigger = Trigger(kind=TriggerKind.SCHEDULE, text="again")
        open_turn(change, "slow", trigger, state=TurnState.FAILED, run=run.id)


@pytest.mark.parametrize("policy", [{"at_most_s": 21 * DAY}, {"budget": 1}])
def test_what_was_away_outside_uses_up_neither_frequency_nor_budget(
    store: Store, project: Project, actor: Actor, clock: VirtualClock, policy: dict[str, Any]
) -> None:
    model, since = model_with(project, **policy), clock.now()
    clock.sleep(22 * DAY)
    for _ in range(3):
        assert due(store, model, version=1, since=since) is not None
        failed(store, actor, is_outside=True)
        clock.sleep(3599)
        assert due(store, model, version=1, since=since) is None, "not again and again"
        clock.sleep(1)
    failed(store, actor, is_outside=False)
    clock.sleep(20 * DAY)
    assert due(store, model, version=1, since=since) is None


def test_a_policy_must_hold_steadily(sqlite_store: Store, project: Project, actor: Actor, clock: VirtualClock) -> None:
    model, since = model_with(project, steady_s=12 * 3600.0), clock.now()
    clock.sleep(2 * DAY)
    assert due(sqlite_store, model, version=1, since=since) is None, "it holds from here on"
    clock.sleep(6 * 3600)
    begun(sqlite_store, actor)  # by which it holds no more
    assert due(sqlite_store, model, version=1, since=since) is None
    clock.sleep(2 * DAY)
    assert due(sqlite_store, model, version=1, since=since) is None
    clock.sleep(12 * 3600)
    assert due(sqlite_store, model, version=1, since=since) is not None


def test_what_held_before_the_last_turn_is_no_longer_steady(
    sqlite_store: Store, project: Project, actor: Actor, clock: VirtualClock
) -> None:
    model, since = model_with(project, steady_s=12 * 3600.0, at_most_s=5 * DAY), clock.now()
    clock.sleep(5 * DAY)
    assert due(sqlite_store, model, version=1, since=since) is None, "it holds from here on"
    clock.sleep(12 * 3600)
    assert due(sqlite_store, model, version=1, since=since) is not None
    begun(sqlite_store, actor)
    for _ in range(6):  # nobody looks at the policy as long as no turn may begin
        clock.sleep(DAY)
    assert due(sqlite_store, model, version=2, since=since) is None, "it is looked at anew"
    clock.sleep(12 * 3600)
    assert due(sqlite_store, model, version=2, since=since) is not None


def test_a_budget_bounds_the_turns_of_a_year(
    sqlite_store: Store, project: Project, actor: Actor, clock: VirtualClock
) -> None:  # fmt: skip
    model, since = model_with(project, budget=2), clock.now()
    for kind in (TriggerKind.HAND, TriggerKind.SCHEDULE):
        begun(sqlite_store, actor, kind)
        clock.sleep(3 * DAY)
    assert due(sqlite_store, model, version=1, since=since) is not None, "what people begin is not counted"
    begun(sqlite_store, actor)
    clock.sleep(3 * DAY)
    assert due(sqlite_store, model, version=1, since=since) is None
    clock.sleep(360 * DAY)
    assert due(sqlite_store, model, version=1, since=since) is not None


def test_turns_are_read_to_the_last_however_many_there_are(
    sqlite_store: Store, project: Project, actor: Actor, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("trimtab.loop.turns.MOST", 2)
    model, since = model_with(project, budget=3), clock.now()
    for kind in (TriggerKind.SCHEDULE,) * 2 + (TriggerKind.HAND,) * 4 + (TriggerKind.SCHEDULE,):
        assert due(sqlite_store, model, version=1, since=since - timedelta(days=3)) is not None
        begun(sqlite_store, actor, kind)
        clock.sleep(3 * DAY)
    assert due(sqlite_store, model, version=1, since=since) is None
    turns = list_turns(sqlite_store, "slow", limit=None)
    assert list(each_turn(sqlite_store, "slow")) == turns
    assert len(turns) == 7


def test_what_is_not_measured_triggers_nothing(sqlite_store: Store, project: Project, clock: VirtualClock) -> None:
    model, since = model_with(project, when=tt.log_loss.over("7d") > tt.at_approval * 1.1), clock.now()
    for days in (3, 30):
        clock.sleep(days * DAY)
        assert due(sqlite_store, model, version=1, since=since) is None
    assert due(sqlite_store, project.spec.models[0], version=1, since=since - timedelta(days=90)) is None


def test_new_data_is_a_reason(
    sqlite_store: Store, project: Project, project_file: Path, actor: Actor, clock: VirtualClock
) -> None:
    apply_project(sqlite_store, project, actor=actor, because="the parcels of early 2013")
    model = model_with(project, when=tt.new_rows >= 100)
    assert due(sqlite_store, model, version=1, since=clock.now()) is None
    grown = load_project(write_project(project_file, **{"ROWS = 3000": "ROWS = 3150"}))
    clock.sleep(5 * DAY)
    run_one(sqlite_store, grown, "parcels", actor=actor, because="they have grown")
    trigger = due(sqlite_store, model, version=1, since=clock.now())
    assert trigger is not None
    assert (trigger.kind, trigger.text) == (TriggerKind.DATA, "new rows at least 100: 150 (3 149 rows) >= 100")


def test_limits_are_said_in_words() -> None:
    policy = RetrainingSpec(when=tt.every("2d").spec, at_most_s=7 * DAY, steady_s=3600.0, budget=12)
    assert how_often(policy) == "at most every 7d, when it holds for 1h, at most 12 times a year"
