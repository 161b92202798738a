"""Run a model on what is waiting for it, without ever waiting for more, and without waiting for ever.

A quick model whose calls take steady time is called at once. Any other runs on threads of its own, so that the event
loop and the other endpoints stay free; whatever arrives meanwhile is the next batch. Nothing is held back to fill a
batch: a fixed window only makes a lone request late. A call that does not end loses its thread, and nobody else theirs.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from trimtab.kernel import Clock, TrimtabError
from trimtab.serving.errors import DeadlinePassed, ModelStuck, PredictionFailed, TooBusy
from trimtab.serving.records import ServingLimits
from trimtab.serving.runtimes import Outputs, Rows, Runtime, check_rows
from trimtab.serving.threads import Threads

AT_ONCE_S = 200e-6
"""A call expected to take less is made as soon as it is asked for: queueing would cost as much as it saves."""
ON_LOOP_S = 1.5e-3
"""A batch expected to take less runs on the event loop: the way to a thread and back costs more than others lose."""
SLOW_S = 0.05
"""A call that took longer, and many times what was expected, keeps its model off the event loop for ``OFF_LOOP_S``."""
SLOW_TIMES = 10
OFF_LOOP_S = 60.0
BATCH_ROWS = 1024
MANY_ROWS = 8
"""Rows from which a call says what each further row costs, rather than what a call costs."""
AGAIN_SHARE = 0.25
"""Share of the deadline after which a batch that does not end is given up and its requests run again, each alone."""
MOST_LOST = 4
"""So many calls of a version may never end before it is asked nothing more."""
RETRY_AT_MOST_S = 60
_log = logging.getLogger(__name__)


class Job:
    """Rows that wait for their prediction. ``carry`` is the caller's; ``future`` is resolved by ``deliver``.

    ``since`` is the event loop's time at which the job was queued; one that is ``alone`` shares no batch.
    """

    __slots__ = ("alone", "carry", "future", "rows", "since")

    def __init__(self, rows: Rows, carry: Any) -> None:
        self.rows = rows
        self.carry = carry
        self.future: asyncio.Future[Any] | None = None
        self.since = 0.0
        self.alone = False

    @property
    def waits(self) -> bool:
        """Whether somebody still waits for the answer."""
        return self.future is not None and not self.future.done()


Deliver = Callable[[Sequence[Job], Sequence[Outputs | TrimtabError]], Sequence[Any]]
"""Take the outputs, or the failure, of each job, and return what each caller gets; an exception is raised there."""


class _Call:
    """A batch that is running on a thread since this time of the event loop. ``lost``: nobody counts on its end."""

    __slots__ = ("jobs", "lost", "rows", "since")

    def __init__(self, jobs: Sequence[Job], rows: int, since: float) -> None:
        self.jobs = jobs
        self.rows = rows
        self.since = since
        self.lost = False


class Batcher:
    """The queue of one version at one endpoint, in one event loop, and the threads that it has for itself.

    While it has work it stands in ``busy``, and whoever holds that set calls ``look`` several times a second.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        name: str,
        clock: Clock,
        deliver: Deliver,
        limits: ServingLimits,
        threads: Threads,
        busy: "set[Batcher]",
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._clock = clock
        self._deliver = deliver
        self._limits = limits
        self._busy = busy
        self._threads = threads
        self._waiting: deque[Job] = deque()
        self._waiting_rows = 0
        self._calls: set[_Call] = set()
        self._lost = 0
        self._scheduled = False
        self._one_s = 0.0
        self._row_s = 0.0
        self._on_loop = runtime.steady
        self._was_slow = False
        self._off_loop_since = 0.0

    @property
    def lost(self) -> int:
        """How many calls have not ended when they should have."""
        return self._lost

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._calls

    @property
    def is_stuck(self) -> bool:
        """Whether so many calls do not end that the version is asked nothing more."""
        return self._lost >= MOST_LOST

    def learn(self, rows: int, seconds: float) -> None:
        """Note how long a call took, to tell what the next one will take."""
        if seconds > SLOW_S and 0 < SLOW_TIMES * self.expected_s(rows) < seconds:
            self._on_loop, self._was_slow = False, True
            _log.warning("a call of %s took %.2f s: it runs beside the event loop for now", self._name, seconds)
        if rows < MANY_ROWS:
            self._one_s = _learnt(self._one_s, seconds)
        else:
            self._row_s = _learnt(self._row_s, seconds / rows)

    def expected_s(self, rows: int) -> float:
        """Return how long a call with so many rows is expected to take."""
        return max(self._one_s, rows * (self._row_s or self._one_s)) if rows > 1 else self._one_s

    async def run(self, job: Job) -> Any:
        """Return what ``deliver`` makes of the prediction. Raises what it returns as an exception, ``DeadlinePassed``
        when that takes too long, ``TooBusy`` and ``ModelStuck``.
        """
        rows = len(job.rows)
        if self._on_loop and not self._waiting and not self._calls and self.expected_s(rows) <= AT_ONCE_S:
            (result,) = self._deliver([job], self._predicted([job]))
            if isinstance(result, BaseException):
                raise result
            return result
        if self.is_stuck:
            raise ModelStuck(f"{self._lost} calls of {self._name} do not end", where=f"version {self._name}")
        if self._waiting_rows + rows > self._limits.queue_rows:
            raise self._too_busy()
        loop = asyncio.get_running_loop()
        job.future = loop.create_future()
        job.since = loop.time()
        self._waiting.append(job)
        self._waiting_rows += rows
        self._busy.add(self)
        self._schedule()
        return await job.future

    def look(self) -> None:
        """Tell those who have waited long enough, and give up calls that do not end."""
        now, deadline_s = asyncio.get_running_loop().time(), self._limits.deadline_s
        if self._was_slow:
            self._was_slow, self._off_loop_since = False, now
        elif not self._on_loop and now - self._off_loop_since > OFF_LOOP_S:
            self._on_loop = self._runtime.steady
        asked = dict.fromkeys((*self._waiting, *chain.from_iterable(call.jobs for call in self._calls)))
        late = [job for job in asked if job.waits and now - job.since >= deadline_s]
        if late:
            self._resolve(late, [self._late()] * len(late))
            self._waiting = deque(job for job in self._waiting if job.waits)
            self._waiting_rows = sum(len(job.rows) for job in self._waiting)
        for call in self._calls:
            if call.lost:
                continue
            again_s = min(max(deadline_s * AGAIN_SHARE, SLOW_TIMES * self.expected_s(call.rows)), deadline_s)
            shared, alone = len(call.jobs) > 1, call.jobs[0].alone
            if now - call.since >= (again_s if shared or alone else deadline_s):
                self._give_up(call)
                if shared:
                    self._again([job for job in call.jobs if job.waits])
        self._schedule()
        if self.is_idle and self._on_loop == self._runtime.steady:
            self._busy.discard(self)

    def _again(self, jobs: Sequence[Job]) -> None:
        """Run the jobs of a call that does not end once more, each by itself: it may be the row of only one of them."""
        for job in reversed(jobs):
            job.alone = True
            self._waiting.appendleft(job)
            self._waiting_rows += len(job.rows)

    def _give_up(self, call: _Call) -> None:
        call.lost = True
        self._lost += 1
        self._threads.lose()
        _log.error("a call of %s with %d rows does not end; its thread is given up", self._name, call.rows)

    def _schedule(self) -> None:
        # On the next turn of the loop, when every request that has arrived by now has come this far too.
        if self._waiting and not self._scheduled and len(self._calls) - self._lost < self._limits.threads:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        self._scheduled = False
        jobs, rows = self._next_batch()
        if not jobs:
            return
        if self._on_loop and self.expected_s(rows) <= ON_LOOP_S:
            self._resolve(jobs, self._predicted(jobs))
        else:
            loop = asyncio.get_running_loop()
            call = _Call(jobs, rows, loop.time())
            self._calls.add(call)
            future = loop.run_in_executor(self._threads, self._predicted, jobs)
            future.add_done_callback(lambda done: self._done(call, done))
        self._schedule()

    def _next_batch(self) -> tuple[list[Job], int]:
        jobs: list[Job] = []
        rows = 0
        while self._waiting and (not jobs or self._fits(self._waiting[0], jobs[0], rows)):
            job = self._waiting.popleft()
            self._waiting_rows -= len(job.rows)
            if job.waits:
                jobs.append(job)
                rows += len(job.rows)
        return jobs, rows

    def _fits(self, job: Job, first: Job, rows: int) -> bool:
        return not job.alone and not first.alone and rows + len(job.rows) <= BATCH_ROWS

    def _done(self, call: _Call, done: "asyncio.Future[Sequence[Outputs | TrimtabError]]") -> None:
        self._calls.discard(call)
        if call.lost:
            self._lost -= 1
            self._threads.regain()
            took_s = asyncio.get_running_loop().time() - call.since
            _log.warning("the call of %s that was given up ended after %.1f s", self._name, took_s)
        if not done.cancelled():
            # Whoever has been told that it is late has no decision, and none is logged.
            live = [(job, output) for job, output in zip(call.jobs, done.result(), strict=True) if job.waits]
            self._resolve([job for job, _ in live], [output for _, output in live])
        self._schedule()

    def _resolve(self, jobs: Sequence[Job], outputs: Sequence[Outputs | TrimtabError]) -> None:
        try:
            results = self._deliver(jobs, outputs)
        except Exception as fault:  # noqa: BLE001  # a fault of ours, which every caller must hear of: nobody else would
            results = [fault] * len(jobs)
        for job, result in zip(jobs, results, strict=True):
            if job.future is None or job.future.done():
                continue
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)

    def _late(self) -> DeadlinePassed:
        return DeadlinePassed(
            f"{self._name} did not answer within {self._limits.deadline_s:g} s", where=f"version {self._name}"
        )

    def _too_busy(self) -> TooBusy:
        wait_s = self._waiting_rows * self._row_s / self._limits.threads
        return TooBusy(
            f"{self._waiting_rows} rows are waiting for {self._name}", where=f"version {self._name}",
            retry_after_s=min(max(1, math.ceil(wait_s)), RETRY_AT_MOST_S),
        )  # fmt: skip

    def _predicted(self, jobs: Sequence[Job]) -> Sequence[Outputs | TrimtabError]:
        """Predict all jobs in one call and hand each its part; when that fails, each by itself."""
        started = self._clock.monotonic()
        try:
            together = _together(jobs)
            predicted = self._runtime.predict(together)
            check_rows(predicted, len(together))
        except Exception as error:  # noqa: BLE001  # the edge to a model's code, which may raise anything
            if len(jobs) > 1:
                # One row that the model cannot take must not cost the others their answers.
                return [part for job in jobs for part in self._predicted([job])]
            return [failed(self._name, error)]
        self.learn(len(together), self._clock.monotonic() - started)
        if len(jobs) == 1:
            return [predicted]
        parts, start = [], 0
        for job in jobs:
            end = start + len(job.rows)
            parts.append({name: array[start:end] for name, array in predicted.items()})
            start = end
        return parts


def _learnt(known: float, seconds: float) -> float:
    """Believe a quicker call soon and a slower one late: it was more likely the machine than the model."""
    if not known:
        return seconds
    share = 0.3 if seconds < known else 0.05
    return known + share * (seconds - known)


def failed(name: str, error: Exception) -> TrimtabError:
    """Return what a caller is told when a model raised an error."""
    if isinstance(error, TrimtabError):
        return error
    # ONNX Runtime wraps what went wrong into where in its own code it did.
    text = " ".join(str(error).split()).rpartition("Status Message: ")[2][:300].rstrip(".")
    return PredictionFailed(
        f"{name} could not predict: {type(error).__name__}",
        where=f"version {name}",
        why=f"It says: {text or 'nothing'}.",
    )


def _together(jobs: Sequence[Job]) -> Rows:
    if len(jobs) == 1:
        return jobs[0].rows
    matrices = [job.rows.matrix for job in jobs]
    whole = [matrix for matrix in matrices if matrix is not None]
    return Rows(
        list(chain.from_iterable(job.rows.values for job in jobs)),
        np.concatenate(whole) if len(whole) == len(matrices) else None,
    )
