"""Outcomes from the sources: each at the moment at which it became known, and only of what was decided."""

from datetime import UTC, datetime, timedelta

import pytest

from trimtab.data import check, read_source
from trimtab.declare import Project
from trimtab.kernel import Actor, VirtualClock
from trimtab.loop import apply_project, list_turns, run_one
from trimtab.loop.declarations import in_force
from trimtab.loop.outcomes import KnownOutcomes, OutcomeDesk, answering_since, outcomes_of
from trimtab.loop.schedule import refresh
from trimtab.monitoring import performance
from trimtab.pipelines import list_pipeline_runs
from trimtab.store import Store

BEGAN = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def known(project: Project) -> KnownOutcomes:
    (source,) = project.spec.sources
    kept = check(source.contract, read_source(source, project.namespace), set_aside_limit=0.1).kept
    return outcomes_of(project.spec.models[0], {source.contract.name: kept}, ("one",))


def test_each_outcome_has_its_moment(known: KnownOutcomes) -> None:
    assert known.table.column_names == ["parcel_id", "value", "known_at"]
    assert known.table.num_rows == 2999
    first = known.table.slice(0, 1).to_pylist()[0]
    assert first == {"parcel_id": "p0", "value": first["value"], "known_at": BEGAN + timedelta(hours=2)}
    assert set(known.table["value"].to_pylist()) == {0.0, 1.0}


def test_a_span_holds_what_became_known_after_its_begin_and_not_after_its_end(known: KnownOutcomes) -> None:
    at = BEGAN + timedelta(hours=4)
    assert known.between(at - timedelta(hours=1), at)["parcel_id"].to_pylist() == ["p3", "p4"]
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
