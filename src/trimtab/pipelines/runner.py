"""Do what was submitted: one run in the foreground, or all of them in the background."""

import contextlib
import queue
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from trimtab.kernel import Clock, Duty, SystemClock, TrimtabError, Unavailable, VirtualClock, prepare_records
from trimtab.pipelines.engine import Engine
from trimtab.pipelines.find import get_pipeline_run
from trimtab.pipelines.pool import Pool, WorkersFail, check_system
from trimtab.pipelines.records import PipelineRun, Progress
from trimtab.store import Store

LEASE_S = 30.0
POLL_S = 0.5
IDLE_S = 60.0
_PAUSE_S = 0.5
MOST_HEARD = 10_000


class Runner:
    """Runs the steps of submitted pipelines in worker processes. Use it with ``with``, or call ``stop``.

    Any number of runners, in any processes and on any machines, may work on one store; each attempt is run by one.
    ``workers`` (default: the setting) are started when steps are ready and end after ``idle_s`` without one.
    A runner on another machine counts as dead after ``lease_s`` without a beat, one on this machine as soon as its
    process is gone. ``machine`` is the clock of the machine: timeouts, backoffs and leases are about real processes
    and go by it, whatever time the project lives in (``store.clock``, which is what rows and steps see).
    """

    def __init__(
        self,
        store: Store,
        *,
        workers: int | None = None,
        lease_s: float = LEASE_S,
        poll_s: float = POLL_S,
        idle_s: float = IDLE_S,
        machine: Clock | None = None,
    ) -> None:
        self._store = store
        self._machine = machine or SystemClock()
        self._patience_s = lease_s
        self._poll_s = poll_s
        self._pool = Pool(
            size=max(1, store.settings.workers if workers is None else workers),
            settings=store.settings, idle_s=idle_s, machine=self._machine,
            repeatable=isinstance(store.clock, VirtualClock),
        )  # fmt: skip
        self._engine = Engine(store, self._pool, machine=self._machine, lease_s=lease_s, poll_s=poll_s, tell=self._tell)
        self._driving = threading.Lock()
        self._listeners: list[tuple[str, Callable[[Progress], None]]] = []
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        weakref.finalize(self, _close, self._wake_read, self._wake_write)
        self.duty = Duty("pipelines", self._round, wake=self.wake)
        """The work in the background: for a health page."""
        self._halt = threading.Event()
        self._away_since: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def recover(self) -> int:
        """Take over steps whose program is dead; return how many. Runners do so by themselves, at once and again."""
        with self._driving:
            return self._engine.recover()

    def run_until_done(self, run_id: str, *, on_event: Callable[[Progress], None] | None = None) -> PipelineRun:
        """Work on one run until it is over, and return it, however it ended; look at its ``status``.

        ``on_event`` is called in this thread. Interrupting it kills the running steps and hands them back: a later
        call, here or elsewhere, goes on. Raises ``NotFound``, ``WorkersFail``, ``NoWorkersHere``, ``RowForged`` for a
        run that is not what was submitted, and ``Unavailable`` when the database stays away.
        """
        check_system()
        self._engine.refused.pop(run_id, None)  # it is looked at anew
        while (run := get_pipeline_run(self._store, run_id)) and not run.status.is_final:
            if (error := self._engine.refused.get(run_id)) is not None:
                raise error
            if self.duty.is_on:
                self._follow(run_id, on_event)
            else:
                self._drive(run_id, on_event)
        return run

    def start(self) -> None:
        """Work on every run in the background, in a thread, until ``stop``."""
        check_system()
        prepare_records()
        self.duty.start()

    def stop(self, *, drain_s: float = 0.0) -> None:
        """Stop working, and end the workers. Running steps have ``drain_s`` to finish; then they are handed back."""
        until = self._machine.monotonic() + drain_s
        self.duty.stop()
        with self._driving:
            self._engine.takes_new = False
            while self._engine.is_busy and self._machine.monotonic() < until:
                with contextlib.suppress(TrimtabError):
                    self._turn(only=None)
            self._engine.takes_new = True
            self._engine.let_go()
            self._pool.close()

    def wake(self) -> None:
        """Look at the database now: something was submitted, cancelled or retried in this process."""
        with contextlib.suppress(BlockingIOError):
            self._wake_write.send(b"!")

    # --- foreground -------------------------------------------------------------------------------------------------

    def _drive(self, run_id: str, on_event: Callable[[Progress], None] | None) -> None:
        """Work on a run on a thread, and call ``on_event`` in this one.

        A listener may block, such as one that prints to a terminal that nobody reads. Steps go on, and the runner
        goes on showing others that it lives: they would begin its steps a second time.
        """
        heard = Heard()
        with self._driving:
            self._halt.clear()
            driving = threading.Thread(target=self._work_on, args=(run_id, heard), name="trimtab-run", daemon=True)
            with self._listening(run_id, None if on_event is None else heard.put):
                driving.start()
                try:
                    for progress in heard.all():
                        if on_event is not None:
                            on_event(progress)
                except BaseException:
                    self._halt.set()
                    self.wake()
                    driving.join()
                    self._engine.let_go()
                    raise
            driving.join()

    def _work_on(self, run_id: str, heard: "Heard") -> None:
        try:
            self._engine.poll_soon()
            while not self._halt.is_set():
                self._turn(only=run_id)
                if not self._engine.is_open(run_id) and self._away_since is None:
                    break
        except BaseException as error:  # noqa: BLE001  it is raised where the run was asked for
            heard.end(error)
        else:
            heard.end()

    def _follow(self, run_id: str, on_event: Callable[[Progress], None] | None) -> None:
        """Wait for the background thread, and call ``on_event`` in this one."""
        heard = Heard()
        with self._listening(run_id, heard.put):
            self.wake()
            while self.duty.is_on:
                progress = heard.next(within_s=self._poll_s)
                if progress is None:
                    is_final = get_pipeline_run(self._store, run_id).status.is_final
                    # The row is final a moment before the last progress is told.
                    if is_final and not self._engine.is_open(run_id) and heard.is_empty:
                        return
                    if run_id in self._engine.refused:
                        return
                    if isinstance(self.duty.error, WorkersFail):
                        raise self.duty.error from None
                    continue
                if on_event is not None:
                    on_event(progress)
                if progress.steps_done == progress.steps_total and heard.is_empty:
                    return

    # --- background -------------------------------------------------------------------------------------------------

    def _round(self) -> None:
        """Take one turn. After a fault of our own nothing that is in memory is trusted any more."""
        with self._driving:
            try:
                self._turn(only=None)
            except TrimtabError:
                raise  # the database is away, or no worker starts: what runs goes on
            except BaseException as fault:
                self._engine.give_up(fault)
                raise

    def _turn(self, *, only: str | None) -> None:
        try:
            self._engine.turn(only=only, wake=self._wake_read.fileno(), longest_s=self._poll_s)
            self._away_since = None
        except WorkersFail:
            raise
        except Unavailable:
            now = self._machine.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since > self._patience_s:
                raise
            self._halt.wait(_PAUSE_S)

    # --- telling ----------------------------------------------------------------------------------------------------

    def _tell(self, progress: Progress) -> None:
        for run_id, listener in list(self._listeners):
            if run_id == progress.run_id:
                listener(progress)

    @contextlib.contextmanager
    def _listening(self, run_id: str, listener: Callable[[Progress], None] | None) -> Iterator[None]:
        if listener is None:
            yield
            return
        entry = (run_id, listener)
        self._listeners.append(entry)
        try:
            yield
        finally:
            self._listeners.remove(entry)


class Heard:
    """What one listener has not taken yet."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self._error: BaseException | None = None

    @property
    def is_empty(self) -> bool:
        return self._waiting.empty()

    def put(self, progress: Progress) -> None:
        """Keep it for the listener; of one who takes nothing, no more lines and bars than fit into memory."""
        if progress.kind not in {"said", "progress"} or self._waiting.qsize() < MOST_HEARD:
            self._waiting.put(progress)

    def end(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes, and why if that was an error."""
        self._error = error
        self._waiting.put(None)

    def next(self, *, within_s: float) -> Progress | None:
        """Return the oldest that was not taken; None when none comes within the time."""
        try:
            return self._waiting.get(timeout=within_s)
        except queue.Empty:
            return None

    def all(self) -> Iterator[Progress]:
        """Yield what comes until the end; raise the error that was the end."""
        while (progress := self._waiting.get()) is not None:
            yield progress
        if self._error is not None:
            raise self._error


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        each.close()
