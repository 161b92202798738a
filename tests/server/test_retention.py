"""Each room lets go of what is old; what a version, something in use or a hold needs is there after any gc."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import func, select
from tests.forging import by_sql
from tests.loop.parcels import write_project
from tests.monitoring.served import HOUR, START, Served, move
from tests.registry.cases import lineage, registered
from tests.store.aged import ANN, grow_old, with_ages

from trimtab.data import Snapshot, SnapshotMissing, get_snapshot, keep_snapshot, load_snapshot
from trimtab.data.check import check
from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec, load_project
from trimtab.kernel import SYSTEM, Conflict, Invalid, NotFound, VirtualClock
from trimtab.loop import Trigger, TriggerKind, open_turn
from trimtab.loop.declarations import record_declarations
from trimtab.monitoring import Outcome, record_outcomes, watch
from trimtab.monitoring.tables import monitoring_hours, monitoring_outcomes, monitoring_scores
from trimtab.monitoring.taking import take
from trimtab.server import MakeHold, Rooms, collect_garbage, create_hold, preview_gc
from trimtab.serving import DecisionRemoved, Routing, RoutingChanged, decision_tables, find_decision, sealed_segments
from trimtab.store import Found, ReasonMissing, RowForged, Store, VerificationKind, end_hold, events, verify
from trimtab.tracking import RunMissing, get_run, start_run

DAY = timedelta(days=1)
AGES = {
    "keep_attempts": "1h", "keep_logs": "1d", "keep_snapshots": "1d", "keep_runs": "1d", "keep_decisions": "30d",
}  # fmt: skip


@pytest.fixture
def kept(store: Store) -> Store:
    return with_ages(store, **AGES)


def gc(store: Store, *classes: str) -> dict[str, Found]:
    grow_old(store.settings.home_path / "blobs")
    found = collect_garbage(store, classes=classes, actor=ANN, because="it is old")
    return {one.what: one for one in found.items if one.name in (classes or (one.name,)) and one.before is not None}


def rows(store: Store, table: Any) -> int:
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


# --- decisions ---------------------------------------------------------------------------------------------------


def decided(store: Store, endpoint: str = "late", at: datetime = START) -> list[str]:
    """Decide for an hour, say what came of it, and seal it."""
    served = Served(store, endpoint)
    ids, _, outcomes = served.hour(at, n=6)
    served.log.seal(also_open=None)
    move(store, max(store.clock.now(), at + 3 * HOUR))
    said = [Outcome(decision=id_, value=value) for id_, value in zip(ids, outcomes, strict=True)]
    record_outcomes(store, endpoint, said, actor=ANN, because="it landed")
    return ids


def hours(store: Store) -> list[tuple[Any, ...]]:
    table = monitoring_hours.c
    with store.read() as connection:
        query = select(table.endpoint, table.hour, table.n, table.labelled, table.sums).order_by(table.hour)
        return [tuple(row) for row in connection.execute(query)]


def test_old_decisions_go_with_their_outcomes_and_the_sums_of_hours_stay(kept: Store) -> None:
    old = decided(kept)
    young = decided(kept, at=START + 40 * DAY)
    before = hours(kept)
    digest = sealed_segments(kept, "late")[0].digest
    assert gc(kept, "decisions")["decisions and their outcomes"].count == 1
    gc(kept)
    assert not kept.blobs.has(digest)
    assert (rows(kept, monitoring_scores), rows(kept, monitoring_outcomes)) == (6, 6)
    assert hours(kept) == before
    assert [table.num_rows for table in decision_tables(kept, "late")] == [6]
    assert find_decision(kept, young[0]).id == young[0]
    with pytest.raises(DecisionRemoved, match="is not kept any more") as refused:
        find_decision(kept, old[0])
    assert "by ann, as decisions are kept for 30d: it is old" in refused.value.why
    kept.checkpoint()
    assert verify(kept).kind is VerificationKind.INTACT


def test_watching_goes_on_behind_removed_decisions(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from trimtab.serving import unread

    decided(kept)
    decided(kept, at=START + 40 * DAY)
    gc(kept, "decisions")
    asked: list[str] = []
    sealed = unread._sealed
    monkeypatch.setattr(unread, "_sealed", lambda *a, since: (asked.append(since), sealed(*a, since=since))[1])
    decided(kept, at=START + 41 * DAY)
    take(kept, "late")
    assert "" not in asked, "the whole log was looked through again"
    assert [(n, labelled) for _, _, n, labelled, _ in hours(kept)] == [(6, 6)] * 3
    watch(kept, "late", until=kept.clock.now())


def test_decisions_that_nobody_watched_are_counted_before_they_go(kept: Store) -> None:
    served = Served(kept)
    served.hour(START, n=6)
    served.log.seal(also_open=None)
    move(kept, START + 40 * DAY)
    gc(kept, "decisions")
    assert [n for _, _, n, *_ in hours(kept)] == [6]
    assert rows(kept, monitoring_scores) == 0


def test_decisions_of_governed_models_have_an_age_of_their_own(kept: Store) -> None:
    registered(kept, name="late", approve_by="ops-lead")
    decided(kept, "late")
    decided(kept, "quick", at=START + 2 * HOUR)
    move(kept, START + 100 * DAY)
    assert gc(kept)["decisions and their outcomes"].count == 1
    assert (len(sealed_segments(kept, "late")), sealed_segments(kept, "quick")) == (1, [])
    with_ages(kept, keep_governed_decisions="183d")
    gc(kept)
    assert len(sealed_segments(kept, "late")) == 1
    move(kept, START + 200 * DAY)
    gc(kept)
    assert sealed_segments(kept, "late") == []


# --- snapshots ---------------------------------------------------------------------------------------------------

CONTRACT = ContractSpec(
    name="Weather",
    fields=(
        FieldSpec(name="origin", kind=FieldKind.KEY), FieldSpec(name="at", kind=FieldKind.EVENT_TIME),
        FieldSpec(name="temp", kind=FieldKind.FLOAT),
    ),
)  # fmt: skip


def snapshot(store: Store, temp: float, source: str = "weather") -> Snapshot:
    spec = SourceSpec(name=source, contract=CONTRACT, function="weather")
    table = pa.table({"origin": ["EWR"], "at": [datetime.fromisoformat("2013-01-01T00:00Z")], "temp": [temp]})
    return keep_snapshot(store, spec, check(CONTRACT, table), actor=ANN, because="read")


def test_superseded_snapshots_go_a_day_after_the_next_one(kept: Store, clock: VirtualClock) -> None:
    first = snapshot(kept, 1.0)
    clock.sleep(10 * 86_400)
    second = snapshot(kept, 2.0)
    assert gc(kept)["superseded snapshots"].count == 0
    clock.sleep(2 * 86_400)
    assert gc(kept)["superseded snapshots"].count == 1
    assert not kept.blobs.has(first.digest)
    with pytest.raises(SnapshotMissing) as refused:
        get_snapshot(kept, first.id)
    assert "as snapshots are kept for 1d" in refused.value.why
    assert load_snapshot(kept, second).num_rows == 1


def test_a_snapshot_that_came_back_is_the_newest(kept: Store, clock: VirtualClock) -> None:
    first, second = snapshot(kept, 1.0), snapshot(kept, 2.0)
    assert snapshot(kept, 1.0).id == first.id
    clock.sleep(2 * 86_400)
    gc(kept)
    assert load_snapshot(kept, first).num_rows == 1
    with pytest.raises(SnapshotMissing):
        get_snapshot(kept, second.id)


@pytest.mark.parametrize("named_by", ["snapshots", "data"])
def test_the_snapshots_of_any_version_stay(kept: Store, clock: VirtualClock, named_by: str) -> None:
    first = snapshot(kept, 1.0)
    snapshot(kept, 2.0)
    of = (
        {"snapshots": (first.id,), "data": ()}
        if named_by == "snapshots"
        else {"snapshots": (), "data": (first.digest,)}
    )
    registered(kept, lineage=lineage(kept, **of))
    clock.sleep(2 * 86_400)
    found = gc(kept)["superseded snapshots"]
    assert (found.count, found.needed) == (0, 1)
    assert load_snapshot(kept, first).num_rows == 1


# --- runs ----------------------------------------------------------------------------------------------------------


def tracked(store: Store, experiment: str = "by hand", **more: Any) -> Any:
    run = start_run(store, experiment=experiment, actor=ANN, params={"rate": 1}, capture=(), **more)
    run.log_metrics({"loss": 0.5}, 1)
    run.log_text(f"of {run.id}\n", "note.txt")
    return run


def test_ended_runs_go_with_those_below_them_and_all_that_they_logged(kept: Store, clock: VirtualClock) -> None:
    parent = tracked(kept)
    child = tracked(kept, parent=parent.id)
    going_on = tracked(kept)
    parent.finish()
    clock.sleep(2 * 86_400)
    assert gc(kept)["tracked runs"].count == 0, "one below it goes on"
    child.finish()
    clock.sleep(2 * 86_400)
    assert gc(kept)["tracked runs"].count == 2
    for run in (parent, child):
        with pytest.raises(RunMissing, match="there is no run") as refused:
            get_run(kept, run.id)
        assert "as runs are kept for 1d" in refused.value.why
    assert len(list((kept.settings.home_path / "blobs").glob("??/*"))) == 1
    going_on.finish()


def test_the_run_of_any_version_stays(kept: Store, clock: VirtualClock) -> None:
    run = tracked(kept)
    run.finish()
    other = tracked(kept)
    other.finish()
    registered(kept, lineage=lineage(kept, run_id=run.id))
    clock.sleep(2 * 86_400)
    found = gc(kept)["tracked runs"]
    assert (found.count, found.needed) == (1, 1)
    assert get_run(kept, run.id).params == {"rate": "1"}


# --- what was forged -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM registry_versions",
        "UPDATE registry_versions SET status = 'revoked'",
        "UPDATE loop_declarations SET spec = replace(spec, 'risk', 'none') WHERE kind = 'policy'",
        "DELETE FROM loop_declarations WHERE kind = 'policy'",
        "DELETE FROM loop_proposals",
        "DELETE FROM loop_turns",
        "UPDATE loop_turns SET open_of = NULL",
    ],
    ids=[
        "no version", "another version", "another policy", "no policy", "no proposal", "no turn", "another turn",
    ],
)  # fmt: skip
def test_gc_removes_nothing_where_a_version_a_policy_or_a_turn_was_forged(
    kept: Store, clock: VirtualClock, tmp_path: Path, attack: str
) -> None:
    file = tmp_path / "parcels.py"
    rule = 'slow.retrain_when(tt.every("30d"), approve=tt.by("risk"))'
    for more in (rule, ""):
        write_project(file)
        file.write_text(f"{file.read_text()}\n{more}\n")
        with kept.change(ANN, "it is declared, and its policy to be given up") as change:
            record_declarations(change, load_project(file).spec, file=file)
    with kept.change(ANN, "it is time") as change:
        open_turn(change, "slow", Trigger(kind=TriggerKind.HAND, text="ann asked for it"))
    run = tracked(kept)
    run.finish()
    first = snapshot(kept, 1.0)
    snapshot(kept, 2.0)
    registered(kept, name="late")
    decided(kept)
    clock.sleep(100 * 86_400)
    by_sql(kept, attack)
    before = len(events(kept, limit=1000))
    for tell in (gc, preview_gc):
        with pytest.raises(RowForged):
            tell(kept)
    assert (has_run(kept, run.id), has_snapshot(kept, first.id), rows(kept, monitoring_scores)) == (True, True, 6)
    assert len(sealed_segments(kept, "late")) == 1
    assert len(events(kept, limit=1000)) == before
    assert verify(kept).kind is VerificationKind.TAMPERED


# --- holds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["endpoint:late", "model:late", "run:", "all"])
def test_a_hold_keeps_all_of_what_it_is_on(kept: Store, clock: VirtualClock, subject: str) -> None:
    registered(kept, name="late")
    routed(kept, "late")
    run = tracked(kept, experiment="late")
    run.finish()
    decided(kept)
    first = snapshot(kept, 1.0)
    snapshot(kept, 2.0)
    subject = subject + run.id if subject == "run:" else subject
    held = create_hold(kept, MakeHold(subject=subject), actor=ANN, because="case 12")
    clock.sleep(100 * 86_400)
    gc(kept)
    assert has_run(kept, run.id) is not subject.startswith("endpoint")
    assert bool(sealed_segments(kept, "late")) is not subject.startswith("run")
    # Nobody declares the model, so nobody knows which sources are its own.
    assert has_snapshot(kept, first.id) is subject.startswith(("model", "all"))
    end_hold(kept, held.id, actor=ANN, because="the case is over")
    gc(kept)
    assert (has_run(kept, run.id), sealed_segments(kept, "late"), has_snapshot(kept, first.id)) == (False, [], False)


def test_a_hold_on_what_is_not_there_is_refused(kept: Store) -> None:
    for subject in ("model:lat", "endpoint:none", "run:01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        with pytest.raises(NotFound, match="there is no"):
            create_hold(kept, MakeHold(subject=subject), actor=ANN, because="case 12")
    for subject in ("late", "source:weather", "model:", ""):
        with pytest.raises(Invalid, match="no hold can be on"):
            create_hold(kept, MakeHold(subject=subject), actor=ANN, because="case 12")
    create_hold(kept, MakeHold(subject="all"), actor=ANN, because="case 12")
    with pytest.raises(Conflict):
        create_hold(kept, MakeHold(subject="all"), actor=ANN, because="case 12")


def test_without_a_reason_nothing_is_removed(kept: Store) -> None:
    with pytest.raises(ReasonMissing):
        collect_garbage(kept, actor=ANN, because=" ")
    assert preview_gc(kept).done is False
    assert events(kept) == []


def has_run(store: Store, id_: str) -> bool:
    return there(lambda: get_run(store, id_))


def has_snapshot(store: Store, id_: str) -> bool:
    return there(lambda: load_snapshot(store, id_))


def there(find: Callable[[], Any]) -> bool:
    try:
        find()
    except NotFound:
        return False
    return True


def routed(store: Store, endpoint: str) -> None:
    """Record that an endpoint was routed, as whoever routes it does."""
    now = Routing(endpoint=endpoint, model=endpoint, champion=1)
    with store.change(ANN, "it answers") as change:
        change.record(RoutingChanged(endpoint=endpoint, revision=1, was=None, now=now, releases={}))


def test_the_server_removes_by_itself_only_when_it_is_told_to(kept: Store, clock: VirtualClock) -> None:
    assert Rooms(kept).beside == []
    run = tracked(kept)
    run.finish()
    clock.sleep(2 * 86_400)
    with_ages(kept, gc_every="1d")
    (duty,) = Rooms(kept).beside
    assert (duty.name, duty.every_s) == ("gc", 86_400.0)
    duty.work()
    assert not has_run(kept, run.id)
    (told,) = events(kept, type="store.removed")
    assert (told.actor, told.because) == (SYSTEM, "every 1d, by the settings")
