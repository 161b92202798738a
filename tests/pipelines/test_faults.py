"""Real faults: killed workers, killed programs, timeouts, runners that were thought dead, two at once."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import update
from tests.pipelines.conftest import Hurried, Marks, Programs, asker, on_sqlite, runs, step
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import Actor, VirtualClock
from trimtab.pipelines import (
    FenceLost,
    Outcome,
    PipelineRun,
    Runner,
    RunStatus,
    StepStatus,
    WorkersFail,
    cancel,
    get_pipeline_run,
    list_attempts,
    read_log,
    retry,
)
from trimtab.pipelines.finish import LOSSES_ALLOWED, finish_step
from trimtab.pipelines.lease import Lease, Owner, Watch, claim, hand_back, register
from trimtab.pipelines.process import end_worker, is_alive, machine, started
from trimtab.pipelines.protocol import Done
from trimtab.pipelines.tables import pipeline_leases
from trimtab.store import Store, events

Ask = Callable[..., PipelineRun]
KILLS = {"sqlite": 20, "postgresql": 6}
STARTERS = ["sleeps_with_child", "sleeps_with_detached"]
"""Bodies that write down who they are and whom they started."""


# --- the worker dies -----------------------------------------------------------------------------------------------


def test_a_step_whose_worker_is_killed_is_tried_again(store: Store, runner: Runner, ask: Ask, marks: Marks) -> None:
    run = ask(step("a", "kills_itself_once", backoff_s=0.01), step("b", needs=("a",)))
    done = runner.run_until_done(run.id)
    assert done.status is RunStatus.SUCCEEDED
    assert [a.outcome for a in list_attempts(store, run.id, step="a")] == [Outcome.CRASHED, Outcome.SUCCEEDED]
    assert marks.started("a") == 2
    assert "SIGKILL" in read_log(store, run.id, "a", attempt=1).text


@on_sqlite
def test_a_step_that_always_kills_its_worker_is_given_up_and_a_retry_gives_it_new_chances(
    store: Store, runner: Runner, ask: Ask, marks: Marks
) -> None:
    run = ask(step("a", "kills_itself", backoff_s=0.01, retries=9), step("b", needs=("a",)))
    done = runner.run_until_done(run.id)
    assert (done.status, marks.started()) == (RunStatus.FAILED, 3)
    error = done.step("a").error
    assert error
    assert (error.code, "SIGKILL" in error.what) == ("pipelines.worker-died", True)
    retry(store, run.id, actor=Actor("x"))
    assert runner.run_until_done(run.id).step("a").attempts == 6


@on_sqlite
@pytest.mark.parametrize(("body", "retries", "count"), [("never_ends", 1, 2), ("never_ends_in_c", 0, 1)])
def test_a_timeout_kills_whatever_the_step_does(
    store: Store, ask: Ask, marks: Marks, tmp_path: Path, body: str, retries: int, count: int
) -> None:
    run = ask(step("a", body, timeout_s=3600.5, retries=retries, backoff_s=0.01), pids=str(tmp_path / "pids"))
    machine = Hurried()
    with Runner(store, workers=1, poll_s=0.05, idle_s=1e6, machine=machine) as runner:
        runner.start()
        for attempt in range(count):
            marks.wait_for(attempt + 1)
            wait_until(lambda: runner._engine._desk.tasks, "its time runs")
            machine.ahead_s += 3601.0
        done = runner.run_until_done(run.id)
    assert done.status is RunStatus.FAILED
    assert [a.outcome for a in list_attempts(store, run.id)] == [Outcome.TIMEOUT] * count
    error = done.step("a").error
    assert error
    assert (error.code, "3600.5 s" in error.what) == ("pipelines.step-timed-out", True)
    assert not any(runs(int(line[4])) for line in marks.lines())


@on_sqlite
@pytest.mark.parametrize("body", STARTERS)
def test_a_timeout_kills_what_the_step_started(store: Store, ask: Ask, marks: Marks, tmp_path: Path, body: str) -> None:
    run = ask(step("a", body, timeout_s=3600.0), step("b"), pids=str(tmp_path / "pids"))
    machine = Hurried()
    with Runner(store, workers=1, poll_s=0.05, idle_s=1e6, machine=machine) as runner:
        runner.start()
        wait_until(lambda: marks.started("a"), "the step has begun")
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(map(runs, pids))
        wait_until(lambda: runner._engine._desk.tasks, "its time runs")
        machine.ahead_s += 3600.0
        assert runner.run_until_done(run.id).step("a").status is StepStatus.FAILED
    wait_until(lambda: not any(map(runs, pids)), "all are killed")
    assert get_pipeline_run(store, run.id).step("b").status is StepStatus.SUCCEEDED


@on_sqlite
def test_a_cancelled_step_takes_along_what_it_started(
    store: Store, actor: Actor, ask: Ask, marks: Marks, tmp_path: Path
) -> None:
    run = ask(step("a", "sleeps_with_detached"), pids=str(tmp_path / "pids"))
    with Runner(store, workers=1, poll_s=0.05, idle_s=1e6) as runner:
        runner.start()
        wait_until(lambda: marks.started("a"), "the step has begun")
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        cancel(store, run.id, actor=actor, because="a test")
        wait_until(lambda: not any(map(runs, pids)), "all are killed")


@on_sqlite
def test_a_worker_that_dies_takes_along_what_it_started(store: Store, ask: Ask, marks: Marks, tmp_path: Path) -> None:
    run = ask(step("a", "sleeps_with_detached"), pids=str(tmp_path / "pids"), crashes=True)
    with Runner(store, workers=1) as runner:
        done = runner.run_until_done(run.id)
    assert [a.outcome for a in list_attempts(store, run.id)] == [Outcome.CRASHED] * 3
    assert done.status is RunStatus.FAILED
    assert marks.started() == 3
    wait_until(lambda: not any(runs(int(pid)) for pid in (tmp_path / "pids").read_text().split()), "none is left")


@on_sqlite
def test_a_killed_supervisor_takes_its_worker_along(store: Store, ask: Ask, marks: Marks, tmp_path: Path) -> None:
    run = ask(step("a", "sleeps_with_child"), pids=str(tmp_path / "pids"))
    with Runner(store, workers=1, poll_s=0.05, idle_s=1e6) as runner:
        runner.start()
        wait_until(lambda: marks.started("a"), "the step has begun")
        worker = int((tmp_path / "pids").read_text().split()[0])
        (supervisor,) = [one.pid for one in runner._engine._desk._pool.workers]
        assert supervisor != worker
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not runs(worker), "the worker has died")
        wait_until(lambda: list_attempts(store, run.id)[0].outcome is Outcome.CRASHED, "that is seen")


def test_workers_that_cannot_start_are_an_error_that_says_so(
    sqlite_store: Store, actor: Actor, marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asker(sqlite_store, actor, marks)(step("a"))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        with Runner(sqlite_store, workers=1) as runner, pytest.raises(WorkersFail, match="worker"):
            runner.run_until_done(run.id)
    with Runner(sqlite_store, workers=1) as runner:
        assert runner.run_until_done(run.id).step("a").attempts == 1


def test_a_background_runner_goes_on_when_the_system_has_processes_again(
    sqlite_store: Store, actor: Actor, marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_args: object, **_named: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    run = asker(sqlite_store, actor, marks)(step("a"))
    with Runner(sqlite_store, workers=1, poll_s=0.05) as runner:
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", none_left)
            runner.start()
            wait_until(lambda: isinstance(runner.duty.error, WorkersFail), "no worker can be started")
        wait_until(lambda: get_pipeline_run(sqlite_store, run.id).status is RunStatus.SUCCEEDED, "it is done")
        wait_until(lambda: not runner.duty.trouble, "the trouble is over")


# --- the program dies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [*STARTERS, "never_ends_in_c"])
def test_workers_and_what_they_started_die_with_their_program(
    sqlite_store: Store, actor: Actor, marks: Marks, tmp_path: Path, body: str
) -> None:
    run = asker(sqlite_store, actor, marks)(step("a", body), pids=str(tmp_path / "pids"))
    programs = Programs(sqlite_store)
    try:
        program = programs.start(run)
        marks.wait_for(1)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(map(runs, pids))
        programs.kill(program)
        wait_until(lambda: not any(map(runs, pids)), "they have died")
    finally:
        programs.close()


def test_killed_programs_go_on_and_nothing_finished_runs_again(
    store: Store, actor: Actor, ask: Ask, marks: Marks, programs: Programs, tmp_path: Path
) -> None:
    """Kill the whole program again and again; compare with a run that nothing disturbed."""
    steps = (
        step("a", "work"),
        step("b", "work", needs=("a",)),
        step("c", "work", needs=("a",)),
        step("d", "work", needs=("b", "c")),
        step("e", "work", needs=("d",)),
        step("f", "work", needs=("d", "a")),
        step("g", "work", needs=("e", "f")),
    )
    chance = random.Random(2013)
    kills, ended = 0, []
    enough = KILLS[store.database.dialect]
    while kills < enough:
        seed = len(ended)
        run = ask(*steps, seed=seed, sleep_s=0.02)
        while not get_pipeline_run(store, run.id).status.is_final:
            pid = programs.start(run, workers=1 + (kills % 4 == 0))
            if kills < enough:
                kill_somewhere(chance, pid, programs, marks)
                kills += 1
            else:
                wait_until(lambda pid=pid: not runs(pid), "it is done")  # type: ignore[misc]
        ended.append((seed, run.id))
    calm = Marks(tmp_path / "calm")
    with Runner(store, workers=2) as runner:
        for seed, run_id in ended:
            disturbed = get_pipeline_run(store, run_id)
            assert disturbed.status is RunStatus.SUCCEEDED
            undisturbed = runner.run_until_done(asker(store, actor, calm)(*steps, seed=seed, sleep_s=0.0).id)
            assert disturbed.outputs == undisturbed.outputs
            assert_each_finished_once(store, disturbed, marks)
    lost = [a for _, run_id in ended for a in list_attempts(store, run_id) if a.outcome is Outcome.LOST]
    assert lost, "no kill hit a running step"


def kill_somewhere(chance: random.Random, pid: int, programs: Programs, marks: Marks) -> None:
    """Kill while the program starts, or after it has begun some steps: in a body, or between two transactions."""
    more = marks.started() + chance.randint(0, 2)
    wait_until(lambda: marks.started() >= more or not runs(pid), "it has begun some steps")
    time.sleep(chance.uniform(0.0, 0.06))
    programs.kill(pid)


def assert_each_finished_once(store: Store, run: PipelineRun, marks: Marks) -> None:
    """Hold the side file against the rows: what began was counted before, and nothing began after it had finished."""
    counted = {(a.step, a.attempt): a for a in list_attempts(store, run.id)}
    began = [(line[1], int(line[2]), int(line[3])) for line in marks.lines() if line[0] == run.id]
    assert max(Counter(began).values()) == 1, "an attempt ran twice"
    for name, attempt, fence in began:
        assert counted[name, attempt].fence == fence
    for each in run.steps:
        mine = [a for (name, _), a in sorted(counted.items()) if name == each.name]
        assert [a.outcome for a in mine] == [Outcome.LOST] * (len(mine) - 1) + [Outcome.SUCCEEDED]
        assert max(attempt for name, attempt, _ in began if name == each.name) == mine[-1].attempt
    finished = [
        event.data["step"] for event in events(store, subject=("pipeline-run", run.id), type="pipelines.step-finished")
    ]
    assert sorted(finished) == sorted(each.name for each in run.steps)
    assert len(events(store, subject=("pipeline-run", run.id), type="pipelines.run-finished")) == 1


@on_sqlite
def test_a_step_that_always_kills_its_program_is_given_up(
    store: Store, ask: Ask, marks: Marks, programs: Programs
) -> None:
    run = ask(step("a", "kills_its_program"), step("b", needs=("a",)), step("c"))
    died = []
    with Runner(store, workers=1) as calm:
        while get_pipeline_run(store, run.id).step("a").status is not StepStatus.FAILED:
            assert len(died) < LOSSES_ALLOWED, "it is begun for ever"
            died.append(programs.start(run))
            wait_until(lambda: not runs(died[-1]), "the step has killed its program")
            assert marks.started("a") == len(died)
            assert calm.recover() == 1
            with store.journal() as journal:
                journal.execute(update(pipeline_leases).values(not_before=None))  # the wait before the next is over
        done = calm.run_until_done(run.id)
    assert len(died) == LOSSES_ALLOWED
    assert [a.outcome for a in list_attempts(store, run.id, step="a")] == [Outcome.LOST] * LOSSES_ALLOWED
    assert (done.status, done.step("b").status) == (RunStatus.FAILED, StepStatus.SKIPPED)
    assert done.step("c").status is StepStatus.SUCCEEDED
    error = done.step("a").error
    assert error
    assert error.code == "pipelines.program-died"


@on_sqlite
def test_a_running_program_takes_over_from_a_killed_one_at_once(
    store: Store, ask: Ask, marks: Marks, programs: Programs, tmp_path: Path
) -> None:
    run = ask(step("a", "waits_for_file"), step("b", needs=("a",)), file=str(tmp_path / "go"))
    first = programs.start(run)
    marks.wait_for(1)
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        wait_until(lambda: runner._engine.is_open(run.id), "it has looked at what others do")
        assert [a.outcome for a in list_attempts(store, run.id)] == [None], "it took a step of a living program"
        programs.kill(first)
        marks.wait_for(2)
        (tmp_path / "go").touch()
        assert runner.run_until_done(run.id).status is RunStatus.SUCCEEDED
    assert [a.outcome for a in list_attempts(store, run.id, step="a")] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert len(marks.lines("end")) == 1


@on_sqlite
def test_a_stopped_program_loses_its_steps_after_the_lease_and_can_write_nothing_when_it_wakes(
    store: Store, ask: Ask, marks: Marks, programs: Programs, tmp_path: Path
) -> None:
    run = ask(step("a", "waits_for_file"), file=str(tmp_path / "go"))
    first = programs.start(run)
    marks.wait_for(1)
    os.kill(first, signal.SIGSTOP)
    with Runner(store, workers=1, poll_s=0.05, lease_s=0.6) as runner:
        runner.start()
        marks.wait_for(2)
        (tmp_path / "go").touch()
        done = runner.run_until_done(run.id)
        assert done.step("a").attempts == 2
        os.kill(first, signal.SIGCONT)
        wait_until(lambda: not runs(first), "it has woken and ended")
    assert get_pipeline_run(store, run.id) == done
    assert [a.outcome for a in list_attempts(store, run.id)] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert len(events(store, type="pipelines.step-finished")) == 1


@on_sqlite
def test_a_runner_that_was_idle_for_longer_than_a_lease_keeps_its_next_step(
    store: Store, ask: Ask, marks: Marks, tmp_path: Path
) -> None:
    """Another runner last saw it alive before it was idle: that says nothing about the step that it has just taken."""
    machine = Hurried()
    with (
        Runner(store, workers=1, poll_s=0.05, lease_s=3600.0, idle_s=1e6, machine=machine) as mine,
        Runner(store, workers=1, poll_s=0.05, lease_s=3600.0, idle_s=1e6, machine=machine) as other,
    ):
        first = ask(step("a", "waits_for_file"), file=str(tmp_path / "first"))
        mine.start()
        marks.wait_for(1)
        other.start()
        seen = other._engine._watch._seen
        wait_until(lambda: seen, "the other one has seen it")
        other.stop()
        (tmp_path / "first").touch()
        wait_until(lambda: get_pipeline_run(store, first.id).status is RunStatus.SUCCEEDED, "it is idle")
        before = dict(seen)
        machine.ahead_s += 3601.0
        second = ask(step("b", "waits_for_file"), file=str(tmp_path / "second"))
        marks.wait_for(2)
        other.start()
        wait_until(lambda: seen != before, "the other one has seen it again")
        (tmp_path / "second").touch()
        wait_until(lambda: get_pipeline_run(store, second.id).status is RunStatus.SUCCEEDED, "it is done")
    assert [a.outcome for a in list_attempts(store, second.id)] == [Outcome.SUCCEEDED]


@on_sqlite
def test_interrupting_hands_running_steps_back(store: Store, ask: Ask, marks: Marks, tmp_path: Path) -> None:
    run = ask(step("a", "waits_for_file"), file=str(tmp_path / "go"))

    def interrupt(_progress: object) -> None:
        raise KeyboardInterrupt

    with Runner(store, workers=1, poll_s=0.05) as runner:
        with pytest.raises(KeyboardInterrupt):
            runner.run_until_done(run.id, on_event=interrupt)
        assert [a.outcome for a in list_attempts(store, run.id)] == [Outcome.INTERRUPTED]
        (tmp_path / "go").touch()
        with Runner(store, workers=1) as other:
            assert other.run_until_done(run.id).status is RunStatus.SUCCEEDED


@on_sqlite
def test_stop_lets_running_steps_finish_for_a_while(store: Store, ask: Ask, marks: Marks, tmp_path: Path) -> None:
    run = ask(step("a", "waits_for_file"), step("b", needs=("a",)), file=str(tmp_path / "go"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        marks.wait_for(1)
        stopping = threading.Thread(target=runner.stop, kwargs={"drain_s": PATIENCE_S})
        stopping.start()
        wait_until(lambda: not runner._engine.takes_new, "it takes no more steps")
        (tmp_path / "go").touch()
        stopping.join()
    found = get_pipeline_run(store, run.id)
    assert (found.status, found.step("b").attempts) == (RunStatus.RUNNING, 0)
    assert [a.outcome for a in list_attempts(store, run.id)] == [Outcome.SUCCEEDED]


# --- two at once ---------------------------------------------------------------------------------------------------


def test_two_programs_on_one_store_never_run_the_same_attempt(
    store: Store, ask: Ask, marks: Marks, programs: Programs
) -> None:
    run = ask(*(step(f"s{i}", "work") for i in range(10)), seed=1, sleep_s=0.01)
    for _ in range(2):
        programs.start(None, workers=1)
    wait_until(lambda: get_pipeline_run(store, run.id).status.is_final, "it is over")
    done = get_pipeline_run(store, run.id)
    assert {s.status for s in done.steps} == {StepStatus.SUCCEEDED}
    assert {s.attempts for s in done.steps} == {1}
    assert marks.started() == 10
    assert_each_finished_once(store, done, marks)


def test_of_many_claims_one_wins_and_the_fence_refuses_the_overtaken(store: Store, ask: Ask) -> None:
    run = ask(step("a"))
    me = Owner(id="R" * 26, machine=machine(), pid=os.getpid(), process_started=started(os.getpid()), beat=0)
    register(store, me)
    seen = Lease(run_id=run.id, step="a", fence=0, attempt=0, runner=me.id)
    first = claim(store, seen, worker_pid=0, worker_started="", at="2013-03-01T00:00:00+00:00")
    assert first
    assert claim(store, seen, worker_pid=0, worker_started="", at="2013-03-01T00:00:00+00:00") is None
    assert hand_back(store, first)
    assert not hand_back(store, first)
    second = claim(
        store, msgspec.structs.replace(first), worker_pid=0, worker_started="", at="2013-03-01T00:00:00+00:00"
    )
    assert second
    assert (second.fence, second.attempt) == (2, 2)
    done = Done(outputs=msgspec.Raw(b'{"x":1}'), blobs=(), seconds=1.0)
    with pytest.raises(FenceLost):
        finish_step(store, run, first, done, cache_key=None, durable=False)
    assert get_pipeline_run(store, run.id).step("a").outputs is None
    finish_step(store, run, second, done, cache_key=None, durable=False)
    with pytest.raises(FenceLost):
        finish_step(store, run, second, done, cache_key=None, durable=False)
    assert get_pipeline_run(store, run.id).status is RunStatus.SUCCEEDED
    assert len(events(store, type="pipelines.step-finished")) == 1


# --- who is dead ---------------------------------------------------------------------------------------------------


def test_who_counts_as_dead(clock: VirtualClock) -> None:
    watch = Watch(clock, lease_s=30.0, is_one_machine=False)
    here = Owner(id="a", machine=machine(), pid=os.getpid(), process_started=started(os.getpid()), beat=0)
    assert not watch.is_dead(here)
    assert watch.is_dead(msgspec.structs.replace(here, process_started="12345"))
    elsewhere = msgspec.structs.replace(here, id="b", machine="other/boot/pid", pid=1)
    assert not watch.is_dead(elsewhere)
    clock.sleep(29)
    assert not watch.is_dead(elsewhere)
    clock.sleep(2)
    assert not watch.is_dead(msgspec.structs.replace(elsewhere, beat=1))
    clock.sleep(29)
    assert not watch.is_dead(msgspec.structs.replace(elsewhere, beat=1))
    clock.sleep(2)
    assert watch.is_dead(msgspec.structs.replace(elsewhere, beat=1))
    # Users of one SQLite file are on one machine: another boot is a past one.
    assert Watch(clock, lease_s=30.0, is_one_machine=True).is_dead(elsewhere)


def test_a_pid_that_was_given_to_another_process_is_not_killed() -> None:
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as other:
        since = started(other.pid)
        assert since
        assert not end_worker(other.pid, "1")
        assert is_alive(other.pid, since)
        assert end_worker(other.pid, since)
        other.wait()
        assert started(other.pid) == ""
