"""The writer behind a recorder loses nothing while the store is away, or when somebody else ends the run."""

import pytest
from tests.waiting import wait_until

from trimtab.kernel import Unavailable
from trimtab.tracking import (
    ParamChanged,
    RunNotRunning,
    RunRecorder,
    RunStatus,
    get_metric,
    get_run,
    resume_run,
)
from trimtab.tracking.backend import StoreBackend


class Flaky(StoreBackend):
    """A store that does not answer for a while."""

    def __init__(self, store, actor):
        super().__init__(store, actor)
        self.down = False
        self.asked = 0

    def log(self, run_id, batch):
        self.asked += 1
        super().log(run_id, batch)
        if self.down:  # after it was written: the answer is what is lost
            raise Unavailable("away", where="test", why="It is a test.", next="wait")

    def finish(self, run_id, finish):
        if self.down:
            self.asked += 1
            self.down = self.asked < 12
            raise Unavailable("away", where="test", why="It is a test.", next="wait")
        return super().finish(run_id, finish)


def flaky_run(sqlite_store, actor, opened_run):
    backend = Flaky(sqlite_store, actor)
    return backend, RunRecorder(backend, opened_run)


def test_nothing_is_lost_or_doubled_while_the_store_is_away(sqlite_store, actor, monkeypatch):
    from trimtab.tracking import StartRun, open_run

    monkeypatch.setattr("trimtab.tracking.writer.WRITE_EVERY_S", 0.01)
    backend, run = flaky_run(sqlite_store, actor, open_run(sqlite_store, StartRun(), actor=actor))
    backend.down = True
    for n in range(50):
        run.log_metric("x", n)
    with pytest.raises(Unavailable):
        run.flush()
    wait_until(lambda: backend.asked >= 5, "it has been tried again and again")
    backend.down = False
    run.log_metric("x", 50)
    run.finish()
    assert [p.step for p in get_metric(sqlite_store, run.id, "x").items] == list(range(51))


def test_the_end_waits_for_a_store_that_is_away(sqlite_store, actor, monkeypatch):
    from trimtab.tracking import StartRun, open_run

    backend, run = flaky_run(sqlite_store, actor, open_run(sqlite_store, StartRun(), actor=actor))
    run.log_metric("x", 1.0)
    run.flush()
    backend.down, backend.asked = True, 9
    assert run.finish().status is RunStatus.FINISHED


def test_a_run_that_was_taken_for_lost_goes_on(sqlite_store, record, actor):
    from trimtab.tracking import FinishRun, close_run

    with record() as run:
        run.log_metric("x", 1.0)
        run.flush()
        close_run(sqlite_store, run.id, FinishRun(status=RunStatus.LOST), actor=actor)
        run.log_metric("x", 2.0)
        run.flush()
        assert get_run(sqlite_store, run.id).status is RunStatus.RUNNING
        close_run(sqlite_store, run.id, FinishRun(status=RunStatus.LOST), actor=actor)
    found = get_run(sqlite_store, run.id)
    assert (found.status, found.metrics["x"].points) == (RunStatus.FINISHED, 2)


def test_a_run_that_somebody_ended_keeps_its_end_and_says_so(sqlite_store, record, actor):
    from trimtab.tracking import FinishRun, close_run

    run = record()
    close_run(sqlite_store, run.id, FinishRun(status=RunStatus.KILLED), actor=actor)
    run.log_metric("x", 1.0)
    with pytest.raises(RunNotRunning, match="has ended: killed"):
        run.flush()
    with pytest.raises(RunNotRunning):
        run.finish()
    resume_run(sqlite_store, run.id, actor=actor)
    assert run.finish().status is RunStatus.FINISHED


def test_a_parameter_of_another_writer_does_not_cost_what_stands_beside_it(sqlite_store, record):
    from trimtab.tracking import Batch, log_batch

    run = record()
    log_batch(sqlite_store, run.id, Batch(writer="other", number=1, params={"lr": "1"}))
    run.log_params({"lr": "2", "trees": "5", "depth": "3"})
    run.log_metric("x", 1.0)
    with pytest.raises(ParamChanged, match="'lr' is '1' already, not '2'"):
        run.finish()
    found = get_run(sqlite_store, run.id)
    assert (found.status, found.metrics["x"].points) == (RunStatus.FINISHED, 1)
    assert found.params == {"depth": "3", "lr": "1", "trees": "5"}
