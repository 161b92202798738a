"""The runner's one loop: look, write down what ended, take what is ready, hand it to workers, wait. One thread only."""

import contextlib
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec
from sqlalchemy import select

from trimtab.kernel import Clock, StartedClock, TrimtabError, Unavailable, VirtualClock
from trimtab.pipelines import cache, finish, lease, process
from trimtab.pipelines.desk import Desk, Ended, Task
from trimtab.pipelines.find import OPEN, read_run
from trimtab.pipelines.lease import FenceLost, Lease, Owner, Watch
from trimtab.pipelines.logs import log_path
from trimtab.pipelines.pool import Pool, Worker
from trimtab.pipelines.protocol import Advanced, AttemptId, Do, Said
from trimtab.pipelines.records import Outcome, Progress, StepError, StepRun, StepStatus
from trimtab.pipelines.tables import pipeline_runs as runs
from trimtab.pipelines.view import RunView
from trimtab.pipelines.vouched import Vouched
from trimtab.store import NotAuthentic, Store

BEATS_A_LEASE = 6
_log = logging.getLogger(__name__)


class Engine:
    """Runs steps of open runs in the pool's workers. Not for sharing between threads."""

    def __init__(
        self,
        store: Store,
        pool: Pool,
        *,
        machine: Clock,
        lease_s: float,
        poll_s: float,
        tell: Callable[[Progress], None],
    ) -> None:
        self._store = store
        self._pool = pool
        self._machine = machine
        self._poll_s = poll_s
        self._beat_s = lease_s / BEATS_A_LEASE
        self._tell = tell
        self._watch = Watch(machine, lease_s=lease_s, is_one_machine=store.database.is_sqlite)
        self._owner = Owner(
            id=store.ids.new(), machine=process.machine(), pid=os.getpid(),
            process_started=process.started(os.getpid()), beat=0,
        )  # fmt: skip
        self.takes_new = True
        self._is_registered = False
        self._beat_at = 0.0
        self._poll_at = 0.0
        self._views: dict[str, RunView] = {}
        self._desk = Desk(store, pool, machine=machine, report=self._report)
        self._missed: dict[tuple[str, str, int], str | None] = {}
        self._due: dict[tuple[str, str, int], float] = {}
        self._vouched = Vouched(store)
        self.refused: dict[str, NotAuthentic] = {}
        """Open runs that are left alone, as somebody wrote them past Trimtab."""

    # --- what a runner calls ----------------------------------------------------------------------------------------

    def turn(self, *, only: str | None, wake: int, longest_s: float) -> None:
        """Do all that can be done now, then wait for workers, for ``wake`` (a file descriptor), or for the next time.

        ``only`` keeps to one run. Raises ``Unavailable`` when the database is away; what ended is kept for later.
        """
        now = self._machine.monotonic()
        if self._desk.tasks:
            self._beat_if_due()
        self._write_down()
        if now >= self._poll_at:
            self._poll(only)
            self._poll_at = now + self._poll_s
        next_at = self._assign()
        if only is None or only in self._views:
            left_s = min(next_at, self._poll_at) - self._machine.monotonic()
            if self._desk.wait(wake, min(longest_s, max(0.0, left_s))):
                self.poll_soon()

    def _beat_if_due(self) -> None:
        now = self._machine.monotonic()
        if now >= self._beat_at:
            lease.beat(self._store, self._owner.id)
            self._beat_at = now + self._beat_s

    def poll_soon(self) -> None:
        """Let the next turn look at the database."""
        self._poll_at = 0.0

    def is_open(self, run_id: str) -> bool:
        """Say whether a run was not over when it was last seen."""
        return run_id in self._views

    @property
    def is_busy(self) -> bool:
        return bool(self._desk.tasks or self._desk.ended)

    def recover(self) -> int:
        """Take the steps of dead runners away from them; return how many."""
        with self._store.read() as connection:
            found = lease.others(connection, self._owner.id)
        count = 0
        for held, owner in found.items():
            if owner is None or self._watch.is_dead(owner):
                if owner is not None:
                    lease.end_worker_of(self._store, held, owner)
                count += finish.lose(
                    self._store, held, why="the program that ran the step has died", machine=self._machine
                )
        if count:
            self._bury()
        return count

    def _bury(self) -> None:
        """Forget runners of this machine whose processes are gone and that hold nothing."""
        with self._store.read() as connection:
            idle = lease.idle_runners(connection)
        for owner in idle:
            if owner.machine == process.machine() and not process.is_alive(owner.pid, owner.process_started):
                lease.leave(self._store, owner.id)

    def let_go(self) -> None:
        """Kill what runs and hand it back, so that another runner, or this one later, begins it anew at once."""
        with contextlib.suppress(TrimtabError):
            self._write_down()
        self._forget_all()
        if self._is_registered:
            with contextlib.suppress(Unavailable):
                self._square_leases()
                lease.leave(self._store, self._owner.id)
                self._is_registered = False

    def give_up(self, fault: BaseException) -> None:
        """Begin with nothing, after a fault of Trimtab's own: what runs is killed, and counted as lost by it."""
        self._forget_all()
        if self._is_registered:
            why = f"Trimtab made a mistake while the step ran: {type(fault).__name__}"
            with contextlib.suppress(Unavailable):
                with self._store.read() as connection:
                    mine = lease.held_by(connection, self._owner.id)
                for held in mine:
                    finish.lose(self._store, held, why=why, machine=self._machine)

    def _forget_all(self) -> None:
        self._desk.drop_all()
        for kept in (self._views, self._missed, self._due):
            kept.clear()

    # --- looking ----------------------------------------------------------------------------------------------------

    def _poll(self, only: str | None) -> None:
        self.recover()
        self._pool.end_idle()
        if self._is_registered:
            self._square_leases()
        query = select(runs.c.id).where(runs.c.status == OPEN).order_by(runs.c.id)
        if only is not None:
            query = query.where(runs.c.id == only)
        with self._store.read() as connection:
            found = [row.id for row in connection.execute(query)]
            new = [read_run(connection, run_id) for run_id in found if run_id not in self._views]
        for run in new:
            if self._holds(run.id, partial(self._vouched.check_run, run)):
                self._views[run.id] = RunView(run)
        for view in list(self._views.values()):
            self._look(view)

    def _holds(self, run_id: str, check: Callable[[], None]) -> bool:
        """Say whether a run may be done; one that somebody wrote past Trimtab is left alone, and told once."""
        try:
            check()
        except NotAuthentic as error:
            if run_id not in self.refused:
                _log.error("pipeline run %s is not done: %s", run_id, error)
            self.refused[run_id] = error
            self._views.pop(run_id, None)
            return False
        self.refused.pop(run_id, None)
        return True

    def _look(self, view: RunView, step: str | None = None) -> None:
        """Read a run, or one step of it, again; tell what changed, and forget the run when it is over."""
        with self._store.read() as connection:
            told = list(view.look(connection, step))
        # Told first: whoever follows the run from another thread waits until it is not open here any more.
        for progress in told:
            self._tell(progress)
        if view.is_over and view.run.id in self._views:
            del self._views[view.run.id]
            self._vouched.forget(view.run.id)
            self._missed = {place: key for place, key in self._missed.items() if place[0] != view.run.id}
            self._due = {place: at for place, at in self._due.items() if place[0] != view.run.id}
            if self._is_registered:
                self._square_leases()

    def _put(self, view: RunView, step: StepRun) -> None:
        """Take over what was just written about a step, without reading it; the run itself only when it may be over."""
        for progress in view.put(step):
            self._tell(progress)
        if view.is_complete:
            self._look(view)

    def _square_leases(self) -> None:
        """Stop what was cancelled or taken over, and hand back what was claimed but is not being done.

        The first happens by others' hands, the second when a turn was interrupted between a claim and its start.
        """
        with self._store.read() as connection:
            mine = lease.held_by(connection, self._owner.id)
        for task in self._desk.tasks:
            if task.lease not in mine:
                self._desk.drop(task)
                self._desk.note(task, "stopped: the run was cancelled, or another runner took the step over")
        known = {task.lease for task in [*self._desk.tasks, *(ended.task for ended in self._desk.ended)]}
        for orphan in sorted(mine - known, key=lambda held: (held.run_id, held.step)):
            lease.hand_back(self._store, orphan)

    # --- taking and handing out -------------------------------------------------------------------------------------

    def _assign(self) -> float:
        """Hand ready steps to idle workers; return when the next step that waits for a retry is due (monotonic)."""
        next_at = float("inf")
        unserved = self._desk.send_held()
        if not self.takes_new:
            return next_at
        for view in list(self._views.values()):
            while self._adopt(view):
                pass
            for step in view.ready():
                due = self._due_at(view, step)
                if due > self._machine.monotonic():
                    next_at = min(next_at, due)
                elif unserved < self._pool.size:
                    worker = self._pool.take(fresh=view.spec(step.name).isolate, waiting=unserved)
                    if worker is None:
                        unserved += 1
                    else:
                        self._start(view, step, worker)
        return next_at

    def _due_at(self, view: RunView, step: StepRun) -> float:
        """Return when a step may begin (monotonic).

        The row says it by the machine's clock, for other runners. Once it is known here, a clock that is set changes
        nothing; and if it was set back before, nobody waits for longer than he may have been told to.
        """
        if step.not_before is None:
            return 0.0
        place = (view.run.id, step.name, step.attempts)
        if place not in self._due:
            wait_s = (step.not_before - self._machine.now()).total_seconds()
            longest_s = finish.longest_wait_s(view.spec(step.name), step.attempts)
            self._due[place] = self._machine.monotonic() + min(wait_s, longest_s)
        return self._due[place]

    def _adopt(self, view: RunView) -> bool:
        """Take the outputs of equal steps for the ready steps that have one; say whether there were any."""
        adopted = False
        for step in view.ready():
            place = (view.run.id, step.name, step.fence)
            if place in self._missed:
                continue
            key = self._key_of(view, step)
            taken = cache.find(self._store, key) if key else None
            if taken is None or not self._vouched.is_taken(taken):
                self._missed[place] = key
                continue
            with contextlib.suppress(FenceLost):
                finish.adopt(self._store, view.run, self._seen(view, step), taken, durable=view.is_last(step.name))
            self._look(view, step.name)
            adopted = True
        return adopted

    def _key_of(self, view: RunView, step: StepRun) -> str | None:
        spec = view.spec(step.name)
        return cache.key_of(spec, params=view.run.params, inputs=view.inputs(step)) if spec.cache else None

    def _start(self, view: RunView, step: StepRun, worker: Worker) -> None:
        """Claim a step, which counts the attempt, and only then hand it to a worker."""
        if not self._holds(view.run.id, partial(self._check_inputs, view, step)):
            return
        if not self._is_registered:
            lease.register(self._store, self._owner)
            self._is_registered = True
            self._beat_at = self._machine.monotonic() + self._beat_s
        # Idle, it did not beat: whoever saw it long ago would take it for dead as soon as it holds a step again.
        self._beat_if_due()
        now = self._store.clock.now()
        mine = lease.claim(
            self._store,
            self._seen(view, step),
            worker_pid=worker.pid,
            worker_started=worker.started,
            at=now.isoformat(),
        )
        if mine is None:
            self._look(view, step.name)
            return
        spec = view.spec(step.name)
        task = Task(
            view=view,
            lease=mine,
            do=self._do(view, step, mine),
            cache_key=self._missed.pop((view.run.id, step.name, step.fence), None),
            timeout_s=spec.timeout_s,
            is_isolated=spec.isolate,
        )
        self._desk.hand(task, worker)
        running = msgspec.structs.replace(
            step, status=StepStatus.RUNNING, attempts=mine.attempt, fence=mine.fence, started_at=now,
            not_before=None, error=None, seconds=None, done=None, total=None, unit=None,
        )  # fmt: skip
        self._put(view, running)

    def _check_inputs(self, view: RunView, step: StepRun) -> None:
        for need in step.needs:
            self._vouched.check_outputs(view.run.id, need, view.step(need).outputs)

    def _do(self, view: RunView, step: StepRun, mine: Lease) -> Do:
        clock, run = self._store.clock, view.run
        kind: Literal["system", "started", "virtual"] = "system"
        if isinstance(clock, VirtualClock | StartedClock):
            kind = "virtual" if isinstance(clock, VirtualClock) else "started"
        return Do(
            id=AttemptId(run_id=run.id, step=step.name, attempt=mine.attempt, fence=mine.fence),
            function=step.function,
            params=view.spec(step.name).params_of(run.params),
            inputs=view.inputs(step),
            actor=run.actor,
            because=run.because,
            log=str(log_path(self._store.settings, run.id, step.name, mine.attempt)),
            clock=kind,
            now=clock.now().isoformat(),
        )

    def _seen(self, view: RunView, step: StepRun) -> Lease:
        return Lease(run_id=view.run.id, step=step.name, fence=step.fence, attempt=step.attempts, runner=self._owner.id)

    # --- writing down -----------------------------------------------------------------------------------------------

    def _write_down(self) -> None:
        while self._desk.ended:
            ended = self._desk.ended[0]
            try:
                self._record(ended)
            except Unavailable:
                raise  # it stays, for when the database is back
            except FenceLost as error:
                self._desk.note(ended.task, f"the result was refused: {error.what}")
            except Exception as fault:
                self._desk.ended.pop(0)
                if ended.done is None:
                    raise
                # The step would return the same again, so that doing it anew would have no end.
                _log.exception("the result of step %s cannot be written down", ended.task.lease.step)
                self._desk.ended.insert(0, _unwritable(ended, fault))
                continue
            self._desk.ended.pop(0)

    def _record(self, ended: Ended) -> None:
        task = ended.task
        view, held = task.view, task.lease
        if ended.done is not None:
            # Code that was changed while the step ran says nothing about what has run.
            key = task.cache_key if task.cache_key == self._key_of(view, view.step(held.step)) else None
            at = finish.finish_step(
                self._store, view.run, held, ended.done, cache_key=key, durable=view.is_last(held.step)
            )
            self._vouched.note(view.run.id, held.step, bytes(ended.done.outputs))
            done = msgspec.structs.replace(
                view.step(held.step), status=StepStatus.SUCCEEDED, outputs=msgspec.json.decode(ended.done.outputs),
                finished_at=at, seconds=ended.seconds,
            )  # fmt: skip
            self._put(view, done)
        else:
            assert ended.error is not None
            wait_s = finish.fail_attempt(
                self._store, view.run, held, outcome=ended.outcome, error=ended.error, is_final=ended.is_final,
                seconds=ended.seconds, machine=self._machine,
            )  # fmt: skip
            if wait_s:
                self._due[view.run.id, held.step, held.attempt] = self._machine.monotonic() + wait_s
            self._look(view)

    def _report(self, task: Task, message: Said | Advanced) -> None:
        step = msgspec.structs.replace(task.view.step(task.lease.step), attempts=task.lease.attempt)
        match message:
            case Said(text=text):
                self._tell(task.view.progress(step, "said", text))
            case Advanced(done=done, total=total, unit=unit):
                step = msgspec.structs.replace(step, done=done, total=total, unit=unit)
                self._tell(task.view.progress(step, "progress"))


def _unwritable(ended: Ended, fault: Exception) -> Ended:
    held = ended.task.lease
    error = StepError(
        type=type(fault).__name__,
        code="pipelines.result-not-kept",
        what=f"what the step returned cannot be written down: {type(fault).__name__}",
        where=f"step {held.step}, {ended.task.do.function}",
        why="Trimtab did not expect this; doing the step again would give the same.",
        next="trimtab logs, and report it; then try the run again from its page",
    )
    return Ended(task=ended.task, outcome=Outcome.FAILED, error=error, is_final=True, seconds=ended.seconds)
