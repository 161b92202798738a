"""Shadows: versions that see a request after it was answered, never answer, and are compared with what was."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from trimtab.kernel import Clock, Ids, TrimtabError
from trimtab.serving.answering import Recorder, Turn
from trimtab.serving.batching import Job, failed
from trimtab.serving.records import Ask
from trimtab.serving.router import Target
from trimtab.serving.segments import micros
from trimtab.serving.threads import Threads

WAITING = 2_000
"""Rows that may wait for a shadow; more are dropped and counted, so that a slow shadow never slows an answer."""
_log = logging.getLogger(__name__)


class Mirrored(msgspec.Struct, eq=False):
    """A request that was answered: what was asked, when, under which ids, and what was said."""

    ask: Ask
    at: datetime
    ids: list[str]
    outputs: dict[str, list[Any]]
    versions: list[int]
    """Who answered each row."""

    def without(self, version: int) -> "Mirrored | None":
        """Return the rows that another version answered; None when there are none."""
        places = [place for place, one in enumerate(self.versions) if one != version]
        if len(places) == len(self.versions):
            return self
        if not places:
            return None
        columns = {name: [values[i] for i in places] for name, values in self.ask.columns.items()}
        matrix = None if self.ask.matrix is None else self.ask.matrix[places]
        return Mirrored(
            msgspec.structs.replace(self.ask, columns=columns, matrix=matrix), self.at, [self.ids[i] for i in places],
            {name: [values[i] for i in places] for name, values in self.outputs.items()},
            [self.versions[i] for i in places],
        )  # fmt: skip


class Shadow:
    """The queue and the thread of one shadow. ``offer`` never waits, and ``close`` ends it after the row in progress.

    ``answers``: the version answers requests too, and mirrors only those rows that another one answered.
    """

    def __init__(
        self, target: Target, recorder: Recorder, *, threads: Threads, clock: Clock, ids: Ids, answers: bool = False
    ) -> None:
        self.target = target
        self._answers = answers
        self._recorder = recorder
        self._threads = threads
        self._clock = clock
        self._ids = ids
        self._waiting: deque[Mirrored] = deque()
        self._rows = 0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for it and nothing runs."""
        return self._idle.is_set()

    async def finished(self) -> None:
        """Wait until nothing is waiting any more."""
        await self._idle.wait()

    def close(self) -> None:
        """See nothing more: what waits is dropped, and so is what the model makes of the request in progress."""
        self._closed = True
        self.target.tally.dropped += self._rows
        self._waiting.clear()
        self._rows = 0

    def offer(self, mirrored: Mirrored) -> None:
        """Take a request if there is room for it."""
        if self._answers:
            part = mirrored.without(self.target.version)
            if part is None:
                return
            mirrored = part
        full = self._rows + len(mirrored.ids) > WAITING
        if self._closed or full or not self.target.intake.takes(mirrored.ask):
            self.target.tally.dropped += len(mirrored.ids)
            return
        self._rows += len(mirrored.ids)
        self._waiting.append(mirrored)
        if self._idle.is_set():
            self._idle.clear()
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        # The ids are made here, in the order of the requests: shadows on other threads make theirs at any time.
        taken = [(mirrored, [self._ids.new() for _ in mirrored.ids]) for mirrored in self._waiting]
        self._waiting.clear()
        self._rows = 0
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._run, taken)
        future.add_done_callback(self._done)

    def _done(self, future: "asyncio.Future[None]") -> None:
        if not future.cancelled() and future.exception() is not None:
            _log.error("shadow %s failed", self.target.loaded.released.ref, exc_info=future.exception())
        if self._waiting:
            self._start()
        else:
            self._idle.set()

    def _run(self, taken: Sequence[tuple[Mirrored, list[str]]]) -> None:
        for mirrored, ids in taken:
            if self._closed:
                self.target.tally.dropped += len(ids)
            else:
                self._mirror(mirrored, ids)

    def _mirror(self, mirrored: Mirrored, ids: list[str]) -> None:
        started = self._clock.monotonic()
        try:
            given = self.target.intake.rows(mirrored.ask, len(ids), now=mirrored.at)
        except TrimtabError:
            self.target.tally.errors += 1
            return
        turn = Turn(ids, given, "mirrored after the answer", micros(mirrored.at), started, mirrored.ids)
        try:
            predicted: Any = self.target.loaded.runtime.predict(given.rows)
        except Exception as error:  # noqa: BLE001  # the edge to a model's code, which may raise anything
            predicted = failed(self.target.loaded.released.ref, error)
        if self._closed:
            self.target.tally.dropped += len(ids)
            return
        (result,) = self._recorder.deliver([Job(given.rows, turn)], [predicted])
        if not isinstance(result, TrimtabError):
            self._compare(mirrored.outputs, result)

    def _compare(self, answered: dict[str, list[Any]], mirrored: dict[str, list[Any]]) -> None:
        tally = self.target.tally
        number = next((n for n, kind in self.target.layout.outputs if kind == "float" and n in answered), None)
        if number is not None:
            pairs = list(zip(answered[number], mirrored[number], strict=True))
            tally.difference += sum(abs(a - b) for a, b in pairs)
            tally.compared += len(pairs)
        labels = list(zip(answered.get("label", ()), mirrored.get("label", ()), strict=False))
        tally.labelled += len(labels)
        tally.same += sum(a == b for a, b in labels)
