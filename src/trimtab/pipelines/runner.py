"""Do what was submitted: one run in the foreground, or all of them in the background."""

import contextlib
import queue
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from trimtab.kernel import Clock, SystemClock, TrimtabError, Unavailable, VirtualClock, prepare_records
from trimtab.pipelines.engine import Engine
from trimtab.pipelines.find import get_pipeline_run
from trimtab.pipelines.pool import Pool, WorkersFail
from trimtab.pipelines.records import PipelineRun, Progress
from trimtab.store import Store

LEASE_S = 30.0
POLL_S = 0.5
IDLE_S = 60.0
_PAUSE_S = 0.5


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
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._drain_until = 0.0
        self._away_since: float | None = None
        self.trouble: TrimtabError | None = None
        """What keeps the background runner from working, as long as it does: for a health page."""

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
        call, here or elsewhere, goes on. Raises ``NotFound``, ``WorkersFail``, and ``Unavailable`` when the database
        stays away.
        """
        while (run := get_pipeline_run(self._store, run_id)) and not run.status.is_final:
            if self._thread is not None:
                self._follow(run_id, on_event)
            else:
                self._drive(run_id, on_event)
        return run

    def start(self) -> None:
        """Work on every run in the background, in a thread, until ``stop``."""
        if self._thread is None:
            prepare_records()
            self._stopping.clear()
            self._thread = threading.Thread(target=self._loop, name="pipelines", daemon=True)
            self._thread.start()

    def stop(self, *, drain_s: float = 0.0) -> None:
        """Stop working, and end the workers. Running steps have ``drain_s`` to finish; then they are handed back."""
        self._drain_until = self._machine.monotonic() + drain_s
        self._stopping.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._driving:
            self._engine.let_go()
            self._pool.close()

    def wake(self) -> None:
        """Look at the database now: something was submitted, cancelled or retried in this process."""
        with contextlib.suppress(BlockingIOError):
            self._wake_write.send(b"!")

    # --- foreground -------------------------------------------------------------------------------------------------

    def _drive(self, run_id: str, on_event: Callable[[Progress], None] | None) -> None:
        with self._driving, self._listening(run_id, on_event):
            self._engine.poll_soon()
            try:
                while True:
                    self._turn(only=run_id)
                    if not self._engine.is_open(run_id) and self._away_since is None:
                        return
            except BaseException:
                self._engine.let_go()
                raise

    def _follow(self, run_id: str, on_event: Callable[[Progress], None] | None) -> None:
        """Wait for the background thread, and call ``on_event`` in this one."""
        heard: queue.SimpleQueue[Progress] = queue.SimpleQueue()
        with self._listening(run_id, heard.put):
            self.wake()
            while (thread := self._thread) is not None and thread.is_alive():
                try:
                    progress = heard.get(timeout=self._poll_s)
                except queue.Empty:
                    is_final = get_pipeline_run(self._store, run_id).status.is_final
                    # The row is final a moment before the last progress is told.
                    if is_final and not self._engine.is_open(run_id) and heard.empty():
                        return
                    if isinstance(self.trouble, WorkersFail):
                        raise self.trouble from None
                    continue
                if on_event is not None:
                    on_event(progress)
                if progress.steps_done == progress.steps_total and heard.empty():
                    return

    # --- background -------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        with self._driving:
            self._engine.takes_new = True
            self._engine.poll_soon()
            while not self._stopping.is_set():
                self._guarded_turn()
            self._engine.takes_new = False
            while self._engine.is_busy and self._machine.monotonic() < self._drain_until:
                self._guarded_turn()
            self._engine.takes_new = True

    def _guarded_turn(self) -> None:
        """Take one turn; a database that is away or workers that do not start must not end the background."""
        try:
            self._turn(only=None)
            self.trouble = None
        except TrimtabError as error:
            self.trouble = error
            self._stopping.wait(_PAUSE_S)

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
            self._stopping.wait(_PAUSE_S)

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


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        each.close()
