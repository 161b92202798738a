"""A run starts and ends once, is sealed, can be continued and tagged, and is found when its process is gone."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from trimtab.kernel import Conflict, Invalid
from trimtab.store.tables import ledger_events
from trimtab.tracking import (
    BadName,
    Batch,
    DatasetLink,
    FinishRun,
    MetricPoint,
    RunMissing,
    RunNotRunning,
    RunStatus,
    StartRun,
    check_seal,
    close_run,
    find_lost,
    get_run,
    list_experiments,
    log_artifact,
    log_batch,
    open_run,
    read_console,
    resume_run,
    runs,
    tag_run,
)
from trimtab.tracking.process import is_alive, this_host, this_process
from trimtab.tracking.tables import tracking_points


def types(store):
    store.sequence()
    with store.read() as connection:
        rows = connection.execute(ledger_events.select().order_by(ledger_events.c.position))
        return [(row.type, msgspec.json.decode(row.body)["data"]) for row in rows]


def test_the_first_run_makes_its_experiment(store, actor, clock):
    run = open_run(store, StartRun(experiment="late", name="first", params={"a": "1"}, tags={"t": "x"}), actor=actor)
    assert run.status is RunStatus.RUNNING
    assert (run.experiment, run.name, run.params, run.tags) == ("late", "first", {"a": "1"}, {"t": "x"})
    assert run.started_at == clock.now()
    open_run(store, StartRun(experiment="late"), actor=actor)
    assert [e.name for e in list_experiments(store)] == ["late"]
    assert [type_ for type_, _ in types(store)] == [
        "tracking.experiment-created", "tracking.run-started", "tracking.run-started",
    ]  # fmt: skip


def test_many_first_runs_at_once_make_one_experiment(store, actor):
    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda _: open_run(store, StartRun(experiment="late"), actor=actor), range(6)))
    assert len({run.id for run in runs}) == 6
    assert [type_ for type_, _ in types(store)].count("tracking.experiment-created") == 1


def test_starting_twice_with_one_id_is_starting_once(store, actor):
    start = StartRun(experiment="late", id=store.ids.new(), params={"a": "1"})
    first = open_run(store, start, actor=actor)
    assert open_run(store, start, actor=actor) == first
    assert len(types(store)) == 2
    with pytest.raises(Conflict, match="exists already"):
        open_run(store, msgspec.structs.replace(start, experiment="other"), actor=actor)
    with pytest.raises(Invalid, match="cannot be the id"):
        open_run(store, StartRun(id="../etc"), actor=actor)


def test_a_child_needs_its_parent(store, opened):
    parent = opened()
    assert opened(parent_id=parent.id).parent_id == parent.id
    with pytest.raises(RunMissing):
        opened(parent_id="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    with pytest.raises(RunMissing):
        opened(parent_id="nul\x00")


@pytest.mark.parametrize("bad", [{"host": "h" * 256}, {"host": "nul\x00"}, {"process": "p" * 81}])
def test_where_it_runs_is_refused_when_no_column_can_hold_it(store, opened, bad):
    with pytest.raises(BadName):
        opened(**bad)
    assert list_experiments(store) == []


@pytest.mark.parametrize("name", ["x" * 300, "a\nb"])
def test_names_that_cannot_be_kept(store, opened, name):
    with pytest.raises(BadName):
        opened(experiment=name)
    with pytest.raises(BadName):
        opened(name=name)
    assert list_experiments(store) == []


def test_the_end_seals_what_was_logged(store, opened, actor, clock):
    run = opened(params={"a": "1"})
    log_batch(
        store,
        run.id,
        Batch(
            writer="w",
            number=1,
            points=(MetricPoint("x", 0, 0, 1.0), MetricPoint("x", 1, 0, "nan")),
            console="one\n",
            datasets=(DatasetLink(digest="sha256:" + "1" * 64),),
        ),
    )
    log_batch(store, run.id, Batch(writer="w", number=2, console="two\x00\ud800\n"))
    assert read_console(store, run.id).startswith("one\ntwo")
    clock.sleep(5)
    ended = close_run(store, run.id, FinishRun(status=RunStatus.FAILED, error="ValueError: no"), actor=actor)
    assert (ended.status, ended.error, ended.duration_s) == (RunStatus.FAILED, "ValueError: no", 5)
    assert ended.seal.points == 2
    assert read_console(store, run.id).startswith("one\ntwo")
    assert types(store)[-1] == (
        "tracking.run-finished", {"run_id": run.id, "status": "failed", "seal": msgspec.to_builtins(ended.seal)},
    )  # fmt: skip
    assert check_seal(store, run.id) == ()
    count = len(types(store))
    assert close_run(store, run.id, FinishRun(status=RunStatus.FAILED), actor=actor) == ended
    assert len(types(store)) == count
    with pytest.raises(RunNotRunning, match="has ended already: failed"):
        close_run(store, run.id, FinishRun(), actor=actor)
    with pytest.raises(Invalid):
        close_run(store, run.id, FinishRun(status=RunStatus.RUNNING), actor=actor)


def test_a_changed_point_breaks_the_seal(store, opened, actor):
    run = opened()
    log_batch(store, run.id, Batch(writer="w", number=1, points=(MetricPoint("x", 0, 0, 1.0),)))
    close_run(store, run.id, FinishRun(), actor=actor)
    with store.journal() as journal:
        journal.execute(update(tracking_points).values(value=2.0))
    assert check_seal(store, run.id) == ("metrics",)
    with pytest.raises(RunMissing):
        check_seal(store, "nothing")


some = st.lists(
    st.builds(MetricPoint, st.sampled_from(["a", "ä", "B"]), st.integers(0, 2), st.integers(0, 2),
              st.sampled_from([0.0, -0.0, 1.5, "nan", "inf"])),
    min_size=1, max_size=10,
)  # fmt: skip


def test_the_seal_does_not_depend_on_how_points_were_written(store, opened, actor):
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(some, st.randoms())
    def check(points, random):
        shuffled = list(points)
        random.shuffle(shuffled)
        cut = random.randint(0, len(shuffled))
        first, second = opened(), opened()
        log_batch(store, first.id, Batch(writer="w", number=1, points=tuple(points)))
        log_batch(store, second.id, Batch(writer="w", number=1, points=tuple(shuffled[:cut])))
        log_batch(store, second.id, Batch(writer="v", number=1, points=tuple(shuffled[cut:])))
        seals = [close_run(store, run.id, FinishRun(), actor=actor).seal for run in (first, second)]
        assert seals[0] == seals[1]

    check()


def test_a_run_can_go_on_and_is_sealed_again(store, opened, actor):
    run = opened()
    first = close_run(store, run.id, FinishRun(), actor=actor)
    going = resume_run(store, run.id, actor=actor, because="more epochs")
    assert (going.status, going.seal, going.finished_at) == (RunStatus.RUNNING, None, None)
    assert resume_run(store, run.id, actor=actor) == going
    log_batch(store, run.id, Batch(writer="w", number=1, points=(MetricPoint("x", 0, 0, 1.0),)))
    second = close_run(store, run.id, FinishRun(), actor=actor)
    assert second.seal.metrics != first.seal.metrics
    assert [type_ for type_, _ in types(store)][-2:] == ["tracking.run-resumed", "tracking.run-finished"]
    with pytest.raises(RunMissing):
        resume_run(store, "nothing", actor=actor)


def test_tags_may_change_after_the_end_and_the_seal_follows(store, opened, actor):
    run = opened(tags={"keep": "1", "drop": "2"})
    close_run(store, run.id, FinishRun(), actor=actor)
    tagged = tag_run(store, run.id, {"drop": "", "new": "secret"}, actor=actor)
    assert tagged.tags == {"keep": "1", "new": "secret"}
    assert check_seal(store, run.id) == ()
    type_, data = types(store)[-1]
    assert type_ == "tracking.run-tagged"
    assert data["keys"] == ["drop", "new"]
    assert "secret" not in str(data)
    with pytest.raises(RunMissing):
        tag_run(store, "nothing", {"a": "b"}, actor=actor)


def test_runs_of_dead_processes_are_found(store, opened, actor, clock):
    here = this_host()
    alive = opened(host=here, process=this_process())
    dead = opened(host=here, process="999999999:1")
    reused = opened(host=here, process=f"{this_process().split(':')[0]}:1")
    far = opened(host="elsewhere", process="1:1")
    nameless = opened()
    log_batch(store, far.id, Batch(writer="w", number=1, console="printed\n"))
    assert {run.id for run in find_lost(store)} == {dead.id, reused.id}
    clock.sleep(59)
    assert find_lost(store) == []
    clock.sleep(2)
    (lost,) = find_lost(store)
    assert lost.id == far.id
    assert lost.status is RunStatus.LOST
    assert lost.duration_s == 0  # it ended when it was last heard of
    assert "elsewhere" in lost.error
    assert read_console(store, far.id) == "printed\n"
    assert {get_run(store, run.id).status for run in (alive, nameless)} == {RunStatus.RUNNING}


def test_a_run_that_ends_while_the_dead_are_sought_is_not_lost(store, opened, actor, monkeypatch):
    run = opened(host=this_host(), process="999999999:1")

    def ends_meanwhile(_process):
        close_run(store, run.id, FinishRun(), actor=actor)
        return False

    monkeypatch.setattr(runs, "is_alive", ends_meanwhile)
    assert find_lost(store) == []
    assert get_run(store, run.id).status is RunStatus.FINISHED


def test_a_process_lives_until_it_does_not():
    assert is_alive(this_process())
    assert is_alive("not a pid")
    assert not is_alive("999999999:")
    assert is_alive("1:")  # somebody else's


def test_artifacts_are_part_of_the_seal(store, opened, actor):
    seals = []
    for data in (b"one", b"two"):
        run = opened()
        log_artifact(store, run.id, "a", data, media_type="text/plain")
        seals.append(close_run(store, run.id, FinishRun(), actor=actor).seal)
    assert seals[0].artifacts != seals[1].artifacts
    assert seals[0].metrics == seals[1].metrics
