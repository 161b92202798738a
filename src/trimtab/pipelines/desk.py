"""The tasks in the hands of workers: hand them over, hear from them, end them in time, notice when a worker dies."""

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import assert_never

import msgspec

from trimtab.kernel import Clock
from trimtab.pipelines import lease
from trimtab.pipelines.lease import Lease
from trimtab.pipelines.logs import note as add_note
from trimtab.pipelines.pool import Pool, Worker
from trimtab.pipelines.protocol import Advanced, Do, Done, Failed, Ready, Said, Sent, Stale, from_worker_of
from trimtab.pipelines.records import Outcome, StepError
from trimtab.pipelines.view import RunView
from trimtab.store import Store

PROGRESS_ROW_EVERY_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Task:
    """A claimed attempt, from the claim until its end is written down. Times are of the machine's monotonic clock."""

    view: RunView
    lease: Lease
    do: Do
    cache_key: str | None
    timeout_s: float | None
    is_isolated: bool
    worker: Worker | None = None
    began: float = 0.0
    noted: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Ended:
    """How a task ended; kept until the database has taken it."""

    task: Task
    outcome: Outcome
    done: Done | None = None
    error: StepError | None = None
    is_final: bool = False
    seconds: float = 0.0


class Desk:
    """What one runner's workers do just now. ``report(task, message)`` is called with what their bodies say."""

    def __init__(
        self, store: Store, pool: Pool, *, machine: Clock, report: Callable[[Task, Said | Advanced], None]
    ) -> None:
        self.ended: list[Ended] = []
        """How tasks ended, oldest first, for the engine to write down."""
        self._store = store
        self._pool = pool
        self._machine = machine
        self._report = report
        self._tasks: dict[int, Task] = {}
        self._held: list[Task] = []

    @property
    def tasks(self) -> list[Task]:
        """Return what is claimed and has not ended."""
        return [*self._tasks.values(), *self._held]

    def drop(self, task: Task) -> None:
        """Kill what a task runs and forget it."""
        if task in self._held:
            self._held.remove(task)
        elif task.worker is not None:
            self._stop(task.worker)

    def drop_all(self) -> None:
        """Kill whatever runs, and forget it and what has ended."""
        self.ended.clear()
        self._held.clear()
        for task in list(self._tasks.values()):
            self.drop(task)

    def note(self, task: Task, text: str) -> None:
        """Say in a task's log what Trimtab did with it."""
        with contextlib.suppress(OSError):
            add_note(self._store.settings, task.lease.run_id, task.lease.step, task.lease.attempt, text)

    def send_held(self) -> int:
        """Hand claimed tasks, whose worker went before the body began, to others; return how many still wait."""
        unserved = 0
        for task in list(self._held):
            worker = self._pool.take(fresh=task.is_isolated, waiting=unserved)
            if worker is None:
                unserved += 1
                continue
            lease.hand_to(self._store, task.lease, worker_pid=worker.pid, worker_started=worker.started)
            self._held.remove(task)
            self.hand(task, worker)
        return unserved

    def hand(self, task: Task, worker: Worker) -> None:
        """Let a worker do a task; when the worker turns out to be gone, the task is held for another."""
        try:
            worker.ask(task.do)
        except OSError:
            self._held.append(task)
            self._pool.kill(worker)
            return
        task.worker = worker
        task.began = task.noted = self._machine.monotonic()
        self._tasks[worker.pid] = task

    def wait(self, wake: int, longest_s: float) -> bool:
        """Wait for workers and timeouts, at most ``longest_s``; say whether ``wake`` (a descriptor) was touched."""
        woken = False
        now = self._machine.monotonic()
        for task in self._tasks.values():
            if task.timeout_s is not None:
                longest_s = min(longest_s, max(0.0, task.began + task.timeout_s - now))
        # A child that the body left behind may hold the channel open: that a worker has ended is watched by itself.
        by_file = {worker.channel.fileno(): worker for worker in self._pool.workers}
        by_file |= {worker.ending: worker for worker in self._pool.workers if worker.ending >= 0}
        ready = wait([*by_file, wake], longest_s)
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
            woken = True
        for worker in dict.fromkeys(by_file[file] for file in ready if file != wake):  # type: ignore[index]
            self._hear(worker)
        now = self._machine.monotonic()
        for task in list(self._tasks.values()):
            if task.timeout_s is not None and task.worker is not None and now >= task.began + task.timeout_s:
                self._end_by_timeout(task.worker, now - task.began)
        return woken

    def _hear(self, worker: Worker) -> None:
        # Before its messages are read: what it has said is heard, whether or not it has ended since.
        has_ended = worker.has_ended
        try:
            found, is_there = worker.channel.receive()
            for data in found:
                if worker not in self._pool.workers:
                    return  # one of its messages has ended it
                self._take(worker, from_worker_of(data))
        except (OSError, msgspec.DecodeError):
            is_there = False
        if worker in self._pool.workers and (has_ended or not is_there):
            self._hear_of_death(worker)

    def _take(self, worker: Worker, sent: Sent) -> None:
        task = self._tasks.get(worker.pid)
        if isinstance(sent.message, Ready) and not worker.process:
            worker.process = sent.pid
            self._pool.came_up(worker)
            return
        if task is None or sent.pid != worker.process or sent.about != task.do.id:
            self._refuse(worker, sent, task)
            return
        match sent.message:
            case Ready():
                return
            case Stale():
                self._held.append(self._stop(worker))
            case Said() | Advanced() as message:
                self._hear_from_body(task, message)
            case Done() as message:
                self._end(worker, outcome=Outcome.SUCCEEDED, done=message, seconds=message.seconds)
            case Failed() as message:
                self._end(
                    worker, outcome=Outcome.INTERRUPTED if message.is_away else Outcome.FAILED, error=message.error,
                    is_final=message.is_final, seconds=message.seconds,
                )  # fmt: skip
            case _:
                assert_never(sent.message)

    def _refuse(self, worker: Worker, sent: Sent, task: Task | None) -> None:
        """Drop what is no answer of this worker about its present attempt, and say so where that is looked for."""
        kind = type(sent.message).__name__
        about = "no step" if sent.about is None else f"attempt {sent.about.attempt} of step {sent.about.step}"
        text = f"process {sent.pid} said {kind} about {about}, and was not heard: it is not its to say"
        if isinstance(sent.message, Said | Advanced):
            _log.info("worker %d: %s", worker.process, text)  # a thread of a step that is over, which talks on
            return
        _log.warning("worker %d: %s", worker.process, text)
        if task is not None:
            self.note(task, text)

    def _hear_from_body(self, task: Task, message: Said | Advanced) -> None:
        self._report(task, message)
        now = self._machine.monotonic()
        if isinstance(message, Advanced) and now - task.noted >= PROGRESS_ROW_EVERY_S:
            task.noted = now
            lease.note_progress(self._store, task.lease, done=message.done, total=message.total, unit=message.unit)

    def _hear_of_death(self, worker: Worker) -> None:
        task = self._tasks.get(worker.pid)
        if task is None:
            self._pool.kill(worker)
            return
        self._forget(worker)
        status = self._pool.kill(worker)
        ending = _ending(status)
        self.note(task, f"the worker process {ending}")
        error = StepError(
            type="WorkerDied",
            code="pipelines.worker-died",
            what=f"the worker process {ending}",
            where=f"step {task.lease.step}, {task.do.function}",
            why="Its process was ended from outside: by the system when memory ran out, or by a fault in C code.",
            next=f"trimtab logs {task.lease.run_id} {task.lease.step}",
        )
        seconds = self._machine.monotonic() - task.began
        self.ended.append(Ended(task=task, outcome=Outcome.CRASHED, error=error, seconds=seconds))

    def _end_by_timeout(self, worker: Worker, seconds: float) -> None:
        task = self._stop(worker)
        self.note(task, f"killed after {seconds:.1f} s, timeout_s is {task.timeout_s:g}")
        error = StepError(
            type="TimedOut",
            code="pipelines.step-timed-out",
            what=f"the step ran longer than {task.timeout_s:g} s and was killed",
            where=f"step {task.lease.step}, {task.do.function}",
            why="Its timeout_s allows no more for one attempt.",
            next=f"raise timeout_s, or see what takes so long: trimtab logs {task.lease.run_id} {task.lease.step}",
        )
        self.ended.append(Ended(task=task, outcome=Outcome.TIMEOUT, error=error, seconds=seconds))

    def _end(
        self,
        worker: Worker,
        *,
        outcome: Outcome,
        seconds: float,
        done: Done | None = None,
        error: StepError | None = None,
        is_final: bool = False,
    ) -> None:
        task = self._forget(worker)
        self.ended.append(Ended(task=task, outcome=outcome, done=done, error=error, is_final=is_final, seconds=seconds))
        if task.is_isolated:
            self._pool.kill(worker)
        else:
            self._pool.is_free(worker)

    def _stop(self, worker: Worker) -> Task:
        """Kill a worker with all that it started, and return what it was doing."""
        task = self._forget(worker)
        self._pool.kill(worker)
        return task

    def _forget(self, worker: Worker) -> Task:
        task = self._tasks.pop(worker.pid)
        task.worker = None
        return task


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    names = {member.value: member.name for member in signal.Signals}
    return f"was killed by {names.get(-status, f'signal {-status}')}"
