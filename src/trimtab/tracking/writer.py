"""The thread behind a recorder: takes what was said, and brings it to the store or server, each batch once."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from trimtab.kernel import TrimtabError, Unavailable, prepare_records
from trimtab.tracking.backend import Backend
from trimtab.tracking.console import Console
from trimtab.tracking.errors import ParamChanged, RunNotRunning
from trimtab.tracking.names import fit_text
from trimtab.tracking.records import Batch, DatasetLink, FinishRun, MetricPoint, Run, RunStatus

WRITE_EVERY_S = 0.5
"""How long a word may wait until it is written."""
HEARTBEAT_S = 5.0
"""How often a silent run says that it lives."""
BATCH_POINTS = 5_000
MOST_WAITING = 200_000
"""Points that may wait; whoever logs more of them waits until they are written."""
HOLD_S = 2.0
"""How long a fork waits for a batch that is being written."""
PATIENCE_S = 20.0
"""How long the end of a run waits for a database or server that does not answer."""

T = TypeVar("T")


class Writer:
    """Writes for one run from one process, at most ``WRITE_EVERY_S`` behind. Safe to call from any thread.

    A batch is kept until it has arrived, and sent again when the other side did not answer. One that can never arrive
    is dropped, and ``flush`` tells why.
    """

    def __init__(self, backend: Backend, run_id: str, console: Console | None) -> None:
        self.points: deque[MetricPoint] = deque()
        self._backend = backend
        self._run_id = run_id
        self._console = console
        self._name = backend.ids.new()
        self._number = 0
        self._params: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._datasets: list[DatasetLink] = []
        self._unsent: Batch | None = None
        self._problem: TrimtabError | None = None
        self._words = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._done = threading.Event()
        prepare_records()
        self._thread = threading.Thread(target=self._write_on, name=f"trimtab-run-{run_id[-6:]}", daemon=True)
        self._thread.start()

    def add(
        self,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        dataset: DatasetLink | None = None,
    ) -> None:
        """Take parameters, tags or a data link; points go to ``points``."""
        with self._words:
            self._params |= params or {}
            self._tags |= tags or {}
            if dataset is not None:
                self._datasets.append(dataset)

    def crowded(self) -> None:
        """Hurry, because many points wait; with too many of them, return only when they are written."""
        self._wake.set()
        if len(self.points) >= MOST_WAITING:
            insist(self._write)

    def flush(self) -> None:
        """Return when everything that was said before is written; raise what went wrong since the last call."""
        self._write()
        self.raise_problem()

    def stop(self) -> None:
        """Write the rest and end the thread; waits a while for a side that does not answer."""
        self._done.set()
        self._wake.set()
        self._thread.join()
        insist(self._write)

    def finish(self, finish: FinishRun) -> Run:
        """End the run, also when somebody took it for lost."""
        try:
            return self._backend.finish(self._run_id, finish)
        except RunNotRunning as ended:
            if ended.data.get("status") != RunStatus.LOST:
                raise
            self._backend.resume(self._run_id)
            return self._backend.finish(self._run_id, finish)

    def hold(self) -> bool:
        """Write nothing until ``release``, as soon as what is being written has arrived; False when that takes long."""
        return self._writing.acquire(timeout=HOLD_S)

    def release(self) -> None:
        """Write on."""
        self._writing.release()

    def raise_problem(self) -> None:
        """Raise the first thing that went wrong in the background, once."""
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def _write_on(self) -> None:
        """Write what was said, again and again, until the run is done."""
        silent_s = 0.0
        while not self._done.is_set():
            # Real time, whatever the project's clock says: this is about not losing words.
            self._wake.wait(WRITE_EVERY_S)
            self._wake.clear()
            silent_s += WRITE_EVERY_S
            try:
                if self._write(beat=silent_s >= HEARTBEAT_S):
                    silent_s = 0.0
            except Unavailable:
                continue  # the batch is kept, and tried again
            except TrimtabError as problem:
                self._problem = self._problem or problem

    def _write(self, *, beat: bool = False) -> bool:
        """Write everything that was said before the call; say whether there was something to say."""
        with self._writing:
            wrote = self._unsent is not None
            if self._unsent is not None:
                self._send(self._unsent)
            waiting = len(self.points)
            while batch := self._next_batch(beat=beat and not wrote):
                self._send(batch)
                wrote = True
                waiting -= len(batch.points)
                if waiting <= 0 and not (self._params or self._tags or self._datasets):
                    break
            return wrote

    def _next_batch(self, *, beat: bool) -> Batch | None:
        points: list[MetricPoint] = []
        with contextlib.suppress(IndexError):
            while len(points) < BATCH_POINTS:
                points.append(self.points.popleft())
        with self._words:
            params, self._params = self._params, {}
            tags, self._tags = self._tags, {}
            datasets, self._datasets = self._datasets, []
        console = fit_text(self._console.take()) if self._console else ""
        if not (points or params or tags or datasets or console or beat):
            return None
        self._number += 1
        return Batch(
            writer=self._name, number=self._number, params=params, tags=tags, points=tuple(points),
            datasets=tuple(datasets), console=console,
        )  # fmt: skip

    def _send(self, batch: Batch) -> None:
        self._unsent = batch
        try:
            self._backend.log(self._run_id, batch)
        except RunNotRunning as ended:
            if ended.data.get("status") == RunStatus.LOST:
                # Somebody took this process for gone: it is not.
                self._backend.resume(self._run_id)
                self._backend.log(self._run_id, batch)
            else:
                self._problem = self._problem or ended
        except ParamChanged as changed:
            # Another writer of this run was first with a parameter: that must not cost what stands beside it.
            self._problem = self._problem or changed
            self._backend.log(self._run_id, msgspec.structs.replace(batch, params={}))
            self._send_each(batch.params)
        except Unavailable:
            raise
        except TrimtabError as problem:
            self._problem = self._problem or problem
        self._unsent = None

    def _send_each(self, params: Mapping[str, str]) -> None:
        """Send parameters one by one, so that each that the run has not is kept."""
        for key, text in params.items():
            self._number += 1
            with contextlib.suppress(ParamChanged):
                self._backend.log(self._run_id, Batch(writer=self._name, number=self._number, params={key: text}))


def insist(action: Callable[[], T]) -> T:
    """Do something now, and again for ``PATIENCE_S`` when the other side does not answer."""
    until, pause_s = time.monotonic() + PATIENCE_S, 0.2
    while True:
        try:
            return action()
        except Unavailable:
            if time.monotonic() + pause_s > until:
                raise
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 5.0)
