"""Outcomes from the sources: each at the moment at which it became known, and only of what was decided."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from tests.monitoring.served import START, Served
from tests.waiting import PATIENCE_S

from trimtab.data import check, keep_snapshot, read_source
from trimtab.declare import Project, load_project
from trimtab.kernel import Actor, VirtualClock
from trimtab.loop import apply_project, list_turns, run_one
from trimtab.loop.declarations import InForce, in_force, record_declarations
from trimtab.loop.marks import get_mark
from trimtab.loop.outcomes import KnownOutcomes, OutcomeDesk, answering_since, outcomes_of
from trimtab.loop.records import Trigger, TriggerKind, TurnState
from trimtab.loop.schedule import refresh
from trimtab.loop.turns import open_turn
from trimtab.monitoring import performance
from trimtab.pipelines import list_pipeline_runs
from trimtab.store import Store

BEGAN = datetime(2013, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def known(project: Project) -> KnownOutcomes:
    (source,) = project.spec.sources
    kept = check(source.contract, read_source(source, project.namespace), set_aside_limit=0.1).kept
    return outcomes_of(project.spec.models[0], kept, "one")


def test_each_outcome_has_its_moment(known: KnownOutcomes) -> None:
    assert known.table.column_names == ["key_parcel_id", "value", "known_at", "at"]
    assert known.table.num_rows == 2999
    first = known.table.slice(0, 1).to_pylist()[0]
    assert first == {"key_parcel_id": "p0", "value": first["value"], "known_at": BEGAN + timedelta(hours=2), "at": None}
    assert set(known.table["value"].to_pylist()) == {0.0, 1.0}


def test_a_span_holds_what_became_known_after_its_begin_and_not_after_its_end(known: KnownOutcomes) -> None:
    at = BEGAN + timedelta(hours=4)
    assert known.between(at - timedelta(hours=1), at)["key_parcel_id"].to_pylist() == ["p3", "p4"]
    assert known.between(at, at).num_rows == 0
    assert known.between(at, at - timedelta(hours=1)).num_rows == 0
    assert known.between(BEGAN, BEGAN + timedelta(days=400)).num_rows == known.table.num_rows


def test_nothing_is_brought_where_nothing_answers(sqlite_store: Store, project: Project, actor: Actor) -> None:
    apply_project(sqlite_store, project, actor=actor, because="the parcels of early 2013")
    applied = in_force(sqlite_store, "parcels")
    assert applied is not None
    assert applied.spec == project.spec
    assert answering_since(sqlite_store, "slow") is None
    desk = OutcomeDesk(sqlite_store, actor=actor)
    assert desk.bring(applied, applied.spec.models[0], until=sqlite_store.clock.now()) == 0
    assert [turn.state.value for turn in list_turns(sqlite_store)] == ["waiting"]


def test_features_and_outcomes_are_brought_as_often_as_the_sources_promise(
    sqlite_store: Store, project: Project, actor: Actor, clock: VirtualClock
) -> None:
    apply_project(sqlite_store, project, actor=actor, because="the parcels of early 2013")
    applied = in_force(sqlite_store, "parcels")
    assert applied is not None
    view = applied.spec.views[0]
    assert refresh(sqlite_store, applied, view, actor=actor) is None, "applying did it just now"
    clock.sleep(3599)
    assert refresh(sqlite_store, applied, view, actor=actor) is None
    clock.sleep(1)
    submitted = refresh(sqlite_store, applied, view, actor=actor)
    assert submitted is not None
    assert refresh(sqlite_store, applied, view, actor=actor) is None
    run, _ = run_one(sqlite_store, project, "parcel", actor=actor, because="now")
    assert run is not None
    assert run.id == submitted.id, "the same work goes on with the run that is there"
    assert run.outputs["outcomes-slow"] == {"told": 0}
    assert len(list_pipeline_runs(sqlite_store, pipeline="materialise-parcel")) == 1
    assert performance(sqlite_store, "slow", version=None, since=BEGAN, until=clock.now()).decisions == 0


def test_the_key_says_which_row_is_meant_and_else_the_moment_of_decision(project: Project) -> None:
    (source,) = project.spec.sources
    kept = check(source.contract, read_source(source, project.namespace), set_aside_limit=0.1).kept.slice(0, 4)
    names = pa.array(["a", "b", "a", "c"])
    found = outcomes_of(project.spec.models[0], kept.set_column(0, "parcel_id", names), "one").table
    sent = kept["sent"].to_pylist()
    assert dict(zip(found["known_at"].to_pylist(), found["at"].to_pylist(), strict=True)) == {
        sent[0] + timedelta(hours=2): sent[0], sent[1] + timedelta(hours=2): None,
        sent[2] + timedelta(hours=2): sent[2], sent[3] + timedelta(hours=2): None,
    }  # fmt: skip


Tell = Callable[..., int]
"""Takes a state of the source (a line for each parcel: hours when it is sent and arrives, and its delay), brings."""


@pytest.fixture
def tell(store: Store, project: Project, actor: Actor, clock: VirtualClock) -> Tell:
    """Six parcels answered hour by hour at an endpoint, and a source that is read as it is given."""
    (source,), model = project.spec.sources, project.spec.models[0]
    with store.change(actor, "the first version") as change:
        open_turn(
            change, "slow", Trigger(kind=TriggerKind.HAND, text="first"), state=TurnState.FULL, version=1
        )  # fmt: skip
    served = Served(store, "slow")
    for i in range(6):
        served.decide([0.5], at=START + i * HOUR, keys=[{"parcel_id": f"p{i}"}])
    desk = OutcomeDesk(store, actor=actor)
    clock.sleep(86400)

    def told(*lines: tuple[int, int, float]) -> int:
        rows = pd.DataFrame([
            {"parcel_id": f"p{sent}", "sent": START + sent * HOUR, "depot": "north", "weight": 1.0,
             "arrived": START + arrived * HOUR, "delay": delay}
            for sent, arrived, delay in lines
        ])  # fmt: skip
        checked = check(source.contract, pa.Table.from_pandas(rows), set_aside_limit=1.0)
        keep_snapshot(store, source, checked, actor=actor, because="read again")
        clock.sleep(3600)
        return desk.bring(InForce(project.path, project.spec), model, until=clock.now())

    return told


def observed(store: Store) -> tuple[int, Any]:
    found = performance(store, "slow", version=None, since=START, until=START + 10 * HOUR)
    return found.labelled, found.value("observed")


def test_what_a_source_tells_late_is_brought_as_well(tell: Tell, store: Store) -> None:
    """An outage, and a row that came after the snapshot and before the look: the source catches up, backdated."""
    assert tell((0, 7, 60.0)) == 1
    assert tell((0, 7, 60.0)) == 0
    assert observed(store) == (1, 1.0)
    assert tell((0, 7, 60.0), (1, 8, 10.0), (2, 9, 70.0), (3, 20, 10.0)) == 3
    assert observed(store) == (4, 0.5)
    assert tell((0, 7, 60.0), (1, 8, 90.0), (2, 9, 70.0), (3, 20, 10.0)) == 1, "corrected, and known as early as before"
    assert observed(store) == (4, 0.75)
    assert tell((0, 7, 60.0), (1, 8, 90.0), (2, 9, 70.0), (3, 20, 10.0)) == 0


def test_a_state_that_comes_back_is_told_again(tell: Tell, store: Store) -> None:
    one, other = ((0, 7, 60.0),), ((0, 7, 60.0), (1, 8, 60.0))
    assert [tell(*one), tell(*other), tell(*one), tell(*other)] == [1, 1, 0, 1]
    assert observed(store) == (2, 1.0)


def test_more_outcomes_than_one_step_records_are_brought_in_parts(
    tell: Tell, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said of one parcel at one moment stays together: the two that contradict each other count nowhere."""
    monkeypatch.setattr("trimtab.loop.outcomes.AT_ONCE", 2)
    rows = [(0, 7, 60.0), (1, 7, 60.0), (1, 7, 10.0), (2, 7, 60.0), (3, 7, 60.0), (4, 8, 10.0)]
    assert tell(*rows) == 6
    assert observed(store) == (4, 0.75)


def test_a_key_may_have_any_name(project_file: Path) -> None:
    text = project_file.read_text("utf-8")
    for name in ("decision", "value", "at"):
        project_file.write_text(text.replace("parcel_id", name), "utf-8")
        project = load_project(project_file)
        (source,) = project.spec.sources
        kept = check(source.contract, read_source(source, project.namespace), set_aside_limit=0.1).kept
        found = outcomes_of(project.spec.models[0], kept, "one").table
        assert found.column_names == [f"key_{name}", "value", "known_at", "at"]
        assert found[f"key_{name}"][0].as_py() == "p0"


def test_two_servers_that_find_it_due_at_once_bring_it_once(
    store: Store, project: Project, actor: Actor, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.change(actor, "the parcels of early 2013") as change:
        record_declarations(change, project.spec, file=project.path)
    applied = in_force(store, "parcels")
    assert applied is not None
    view = applied.spec.views[0]
    assert refresh(store, applied, view, actor=actor) is None
    clock.sleep(3600)
    seen = Barrier(2)

    def get_together(*given: Any) -> datetime | None:
        found = get_mark(*given)
        seen.wait(PATIENCE_S)
        return found

    monkeypatch.setattr("trimtab.loop.schedule.get_mark", get_together)
    monkeypatch.setattr("trimtab.loop.schedule.resume", lambda *_args, **_named: None)  # neither sees the other's run
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: refresh(store, applied, view, actor=actor), range(2)))
    assert sum(run is not None for run in runs) == 1
    assert len(list_pipeline_runs(store)) == 1
