"""What a body, a clock, a terminal or a line can do to its runner: nothing stuck, nothing forged, nothing for ever."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update
from tests.lines import Line
from tests.pipelines.conftest import Hurried, Marks, asker, on_sqlite, runs, step
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import Actor, Settings, SystemClock, Unavailable
from trimtab.pipelines import (
    Outcome,
    PipelineRun,
    Progress,
    Runner,
    RunStatus,
    StepStatus,
    get_pipeline_run,
    list_attempts,
    log_path,
    read_log,
    retry,
)
from trimtab.pipelines.finish import LONGEST_WAIT_S, LOSSES_ALLOWED, finish_step, lose
from trimtab.pipelines.lease import Lease, claim
from trimtab.pipelines.tables import pipeline_leases, pipeline_runners
from trimtab.store import Database, Store, open_store

Ask = Callable[..., PipelineRun]


def is_away(store: Store) -> bool:
    try:
        with store.read() as connection:
            connection.execute(select(1))
    except Unavailable:
        return True
    return False


# --- who answers ---------------------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("past_python", [False, True], ids=["by os.fork", "in C"])
@pytest.mark.parametrize("raises", [False, True])
def test_a_forked_child_that_comes_back_answers_for_nobody(
    store: Store, ask: Ask, marks: Marks, past_python: bool, raises: bool
) -> None:
    run = ask(step("a", "forks_and_returns"), step("b", needs=("a",)), past_python=past_python, raises=raises)
    with Runner(store, workers=1, poll_s=0.05) as runner:
        done = runner.run_until_done(run.id)
    assert done.status is RunStatus.SUCCEEDED
    assert done.outputs["a"] == {"from": "the parent"}
    assert [line[1] for line in marks.lines()] == ["a", "b"]
    assert len({line[4] for line in marks.lines()}) == 1, "the worker goes on"


@on_sqlite
def test_an_answer_of_another_process_or_attempt_is_dropped_and_told(
    store: Store, ask: Ask, marks: Marks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = ask(step("a", "answers_for_others"), step("b", needs=("a",)), file=str(tmp_path / "go"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        marks.wait_for(1)
        wait_until(lambda: sum("was not heard" in record.message for record in caplog.records) == 4, "all are told")
        assert get_pipeline_run(store, run.id).step("a").status is StepStatus.RUNNING
        (tmp_path / "go").touch()
        done = runner.run_until_done(run.id)
    assert done.outputs["a"] == {"from": "the step"}
    assert done.status is RunStatus.SUCCEEDED
    assert read_log(store, run.id, "a").text.count("was not heard") == 4


# --- who is stuck --------------------------------------------------------------------------------------------------


@on_sqlite
def test_half_a_message_keeps_nobody_else_waiting(store: Store, ask: Ask, marks: Marks) -> None:
    stuck = ask(step("a", "says_half_a_message"))
    with Runner(store, workers=2, poll_s=0.05) as runner:
        runner.start()
        marks.wait_for(1)
        other = ask(step("b"))
        wait_until(lambda: get_pipeline_run(store, other.id).status is RunStatus.SUCCEEDED, "the other one is done")
        assert get_pipeline_run(store, stuck.id).status is RunStatus.RUNNING


@on_sqlite
def test_a_worker_that_takes_nothing_is_replaced(
    store: Store, ask: Ask, marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.pipelines.pool._TAKE_S", 0.2)
    with Runner(store, workers=1, poll_s=0.05, idle_s=1e6) as runner:
        runner.run_until_done(ask(step("a")).id)
        first = int(marks.lines()[0][4])
        os.kill(first, signal.SIGSTOP)
        done = runner.run_until_done(ask(step("b", params={"much": "x" * (4 << 20)})).id)
    assert (done.status, done.step("b").attempts) == (RunStatus.SUCCEEDED, 1)
    assert int(marks.lines()[1][4]) != first
    wait_until(lambda: not runs(first), "the first one is killed")


@on_sqlite
def test_a_child_that_holds_what_its_worker_held_does_not_keep_the_step_running(
    store: Store, ask: Ask, marks: Marks, tmp_path: Path
) -> None:
    run = ask(step("a", "leaves_a_holder_and_dies"), pids=str(tmp_path / "pids"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        marks.wait_for(1)
        holder = int((tmp_path / "pids").read_text())
        try:
            wait_until(lambda: list_attempts(store, run.id)[0].outcome is Outcome.CRASHED, "its end is seen")
            assert runs(holder), "it holds the channel still"
        finally:
            os.kill(holder, signal.SIGKILL)


@on_sqlite
def test_a_child_in_its_workers_session_does_not_outlive_even_a_killed_supervisor(
    store: Store, ask: Ask, marks: Marks, tmp_path: Path
) -> None:
    run = ask(step("a", "sleeps_with_child"), pids=str(tmp_path / "pids"))
    with Runner(store, workers=1, poll_s=0.05, idle_s=1e6) as runner:
        runner.start()
        marks.wait_for(1)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        (supervisor,) = [one.pid for one in runner._engine._desk._pool.workers]
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not any(map(runs, pids)), "both have died")
        wait_until(lambda: list_attempts(store, run.id)[0].outcome is Outcome.CRASHED, "that is seen")


# --- output --------------------------------------------------------------------------------------------------------


def small(store: Store, limit: int) -> Store:
    """Open the same store with short logs."""
    return open_store(msgspec.structs.replace(store.settings, step_log_bytes=limit), clock=store.clock)


@on_sqlite
def test_a_log_ends_and_says_how_much_was_left_out(store: Store, ask: Ask) -> None:
    run = ask(step("a", "prints_much"), lines=900)
    bounded = small(store, 200_000)
    with Runner(bounded, workers=1) as runner:
        done = runner.run_until_done(run.id)
    assert done.status is RunStatus.SUCCEEDED
    text = log_path(store.settings, run.id, "a", 1).read_text()
    assert len(text) < 200_200
    assert text.endswith("\ntrimtab: 800,000 bytes more were printed and left out; 200,000 are kept\n")
    bounded.close()


@on_sqlite
def test_output_without_end_fills_nothing_and_its_step_can_be_killed(store: Store, ask: Ask, marks: Marks) -> None:
    run = ask(step("a", "prints_in_c_for_ever", timeout_s=3600.0))
    machine, bounded = Hurried(), small(store, 100_000)
    with Runner(bounded, workers=1, poll_s=0.05, idle_s=1e6, machine=machine) as runner:
        runner.start()
        marks.wait_for(1)
        path = log_path(store.settings, run.id, "a", 1)
        wait_until(lambda: path.exists() and path.stat().st_size >= 100_000, "the log is full")
        machine.ahead_s += 3601.0
        assert runner.run_until_done(run.id).status is RunStatus.FAILED
    text = path.read_text()
    assert len(text) < 100_400
    assert "left out" in text
    assert "killed after" in text
    bounded.close()


# --- without an end ------------------------------------------------------------------------------------------------


def test_a_step_under_which_its_program_always_dies_is_given_up(store: Store, ask: Ask, actor: Actor) -> None:
    run, machine = ask(step("a"), step("b", needs=("a",))), SystemClock()
    waits = []

    def die() -> None:
        with store.read() as connection:
            row = connection.execute(select(pipeline_leases).where(pipeline_leases.c.step == "a")).one()
        seen = Lease(run_id=run.id, step="a", fence=row.fence, attempt=row.attempts, runner="R" * 26)
        held = claim(store, seen, worker_pid=0, worker_started="", at=store.clock.now().isoformat())
        assert held is not None
        before = machine.now()
        assert lose(store, held, why="the program that ran the step has died", machine=machine)
        assert not lose(store, held, why="again", machine=machine)
        due = get_pipeline_run(store, run.id).step("a").not_before
        waits.append(0.0 if due is None else round((due - before).total_seconds()))

    for _ in range(LOSSES_ALLOWED):
        assert get_pipeline_run(store, run.id).step("a").status is StepStatus.WAITING
        die()
    failed = get_pipeline_run(store, run.id)
    assert (failed.status, failed.step("b").status) == (RunStatus.FAILED, StepStatus.SKIPPED)
    assert failed.step("a").error
    assert failed.step("a").error.code == "pipelines.program-died"
    assert {a.outcome for a in list_attempts(store, run.id, step="a")} == {Outcome.LOST}
    assert waits[:2] == [0, 0], "once or twice may be chance"
    assert waits[2:9] == pytest.approx([1, 2, 4, 8, 16, 32, 60], abs=1)
    retry(store, run.id, actor=actor)
    die()
    assert get_pipeline_run(store, run.id).step("a").status is StepStatus.WAITING


@on_sqlite
def test_a_result_that_cannot_be_written_down_is_a_failure_and_not_a_loop(
    store: Store, ask: Ask, marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(store: Store, run: PipelineRun, held: Lease, *given: Any, **named: Any) -> datetime:
        if held.step == "a":
            raise UnicodeError
        return finish_step(store, run, held, *given, **named)

    monkeypatch.setattr("trimtab.pipelines.finish.finish_step", keep)
    run = ask(step("a", retries=5), step("b"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        done = runner.run_until_done(run.id)
    assert (done.step("a").status, done.step("b").status) == (StepStatus.FAILED, StepStatus.SUCCEEDED)
    assert done.step("a").error
    assert done.step("a").error.code == "pipelines.result-not-kept"
    assert marks.started("a") == 1


@on_sqlite
def test_a_fault_of_the_engine_is_told_and_mended(
    store: Store, ask: Ask, marks: Marks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ask(step("a", "waits_for_file"), file=str(tmp_path / "go"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        marks.wait_for(1)
        assert not runner.duty.trouble
        with monkeypatch.context() as patch:
            patch.setattr(runner._engine, "_write_down", lambda: {}["nothing"])
            wait_until(lambda: runner.duty.trouble, "it is told")
        assert runner.duty.trouble == "pipelines: Trimtab made a mistake: KeyError; see trimtab logs"
        (tmp_path / "go").touch()
        wait_until(lambda: get_pipeline_run(store, run.id).status is RunStatus.SUCCEEDED, "it goes on")
        wait_until(lambda: not runner.duty.trouble, "the trouble is over")
    found = list_attempts(store, run.id)
    assert [a.outcome for a in found] == [Outcome.LOST] * (len(found) - 1) + [Outcome.SUCCEEDED]
    assert found[0].error
    assert "KeyError" in found[0].error.what


# --- nobody's failure ----------------------------------------------------------------------------------------------


def test_a_database_that_is_away_for_a_while_fails_nothing(
    postgres_url: str, home: Path, actor: Actor, marks: Marks, tmp_path: Path
) -> None:
    line = Line(postgres_url)
    store = open_store(Settings(home=str(home), database=line.through(postgres_url)))
    run = asker(store, actor, marks)(step("a", "reads_the_store"), step("b", needs=("a",)), file=str(tmp_path / "go"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        marks.wait_for(1)
        line.cut()
        (tmp_path / "go").touch()
        wait_until(lambda: marks.lines("failed"), "the step has found no database")
        line.speak()
        wait_until(lambda: not is_away(store), "the database is back")
        done = runner.run_until_done(run.id)
    assert done.status is RunStatus.SUCCEEDED
    assert [a.outcome for a in list_attempts(store, run.id, step="a")] == [Outcome.INTERRUPTED, Outcome.SUCCEEDED]
    store.close()
    line.close()


def test_a_connection_that_falls_silent_does_not_hang_the_only_runner(
    postgres_url: str, home: Path, actor: Actor, marks: Marks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells it that nobody answers: not even TCP, as behind a proxy that forgot the connection."""
    monkeypatch.setattr("trimtab.store.opened.Database", partial(Database, statement_s=2.0))
    line = Line(postgres_url)
    store = open_store(Settings(home=str(home), database=line.through(postgres_url + "&connect_timeout=2")))
    run = asker(store, actor, marks)(step("a", "waits_for_file"), step("b", needs=("a",)), file=str(tmp_path / "go"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        marks.wait_for(1)
        line.be_silent()
        (tmp_path / "go").touch()
        wait_until(lambda: runner._away_since is not None, "it has given its connection up")
        line.speak()
        wait_until(lambda: not is_away(store), "the database is back")
        done = runner.run_until_done(run.id)
    assert done.status is RunStatus.SUCCEEDED
    assert [(a.step, a.outcome) for a in list_attempts(store, run.id)] == [
        ("a", Outcome.SUCCEEDED), ("b", Outcome.SUCCEEDED),
    ]  # fmt: skip
    store.close()
    line.close()


# --- clocks and terminals ------------------------------------------------------------------------------------------


class SetBack(SystemClock):
    """The machine's clock, which somebody sets back."""

    def __init__(self) -> None:
        self.back = timedelta()

    def now(self) -> datetime:
        return super().now() - self.back


@on_sqlite
def test_a_clock_that_is_set_back_delays_no_retry(store: Store, ask: Ask) -> None:
    machine = SetBack()

    def set_back(progress: Progress) -> None:
        if progress.kind == "retrying":
            machine.back += timedelta(days=1)

    run = ask(step("a", "fails_until", retries=3, backoff_s=0.2), good_at=3)
    with Runner(store, workers=1, poll_s=0.05, machine=machine) as runner:
        done = runner.run_until_done(run.id, on_event=set_back)
    assert (done.status, done.step("a").attempts) == (RunStatus.SUCCEEDED, 3)
    assert machine.back == timedelta(days=2)


@on_sqlite
def test_a_clock_that_was_set_back_before_a_runner_came_delays_it_no_longer_than_any_wait(
    store: Store, ask: Ask, marks: Marks
) -> None:
    run = ask(step("a"))
    tomorrow = SystemClock().now() + timedelta(days=1)
    with store.journal() as journal:
        journal.execute(update(pipeline_leases).values(not_before=tomorrow.isoformat()))
    machine = Hurried()
    with Runner(store, workers=1, poll_s=0.05, idle_s=1e6, machine=machine) as runner:
        runner.start()
        wait_until(lambda: runner._engine.is_open(run.id) and runner._engine._due, "it has seen the step")
        assert marks.started() == 0
        machine.ahead_s += LONGEST_WAIT_S + 1
        wait_until(lambda: get_pipeline_run(store, run.id).status is RunStatus.SUCCEEDED, "it is done")


@on_sqlite
def test_a_listener_that_is_stuck_stops_neither_the_beat_nor_the_step(
    store: Store, ask: Ask, marks: Marks, tmp_path: Path
) -> None:
    """As a terminal that nobody reads: others would take the runner for dead, and begin its step a second time."""
    run = ask(step("a", "waits_for_file"), file=str(tmp_path / "go"))
    stuck, leave = threading.Event(), threading.Event()

    def print_for_ever(_progress: Progress) -> None:
        stuck.set()
        assert leave.wait(PATIENCE_S)

    def beat() -> int:
        with store.read() as connection:
            return int(connection.execute(select(pipeline_runners.c.beat)).scalar_one())

    with Runner(store, workers=1, poll_s=0.05, lease_s=0.6) as runner:
        mine = threading.Thread(target=runner.run_until_done, args=(run.id,), kwargs={"on_event": print_for_ever})
        mine.start()
        assert stuck.wait(PATIENCE_S)
        marks.wait_for(1)
        before = beat()
        wait_until(lambda: beat() >= before + 3, "it shows that it lives")
        (tmp_path / "go").touch()
        wait_until(lambda: get_pipeline_run(store, run.id).status is RunStatus.SUCCEEDED, "the step is done")
        leave.set()
        mine.join()
    assert marks.started() == 1
