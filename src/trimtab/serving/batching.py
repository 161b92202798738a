"""Run a model on what is waiting for it, without ever waiting for more.

A quick model is called at once. A slower one runs on a thread, so that the event loop stays free; whatever arrives
meanwhile is the next batch. Nothing is held back to fill a batch: a fixed window only makes a lone request late.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import chain
from typing import Any

import numpy as np

from trimtab.kernel import Clock, TrimtabError
from trimtab.serving.errors import PredictionFailed, TooBusy
from trimtab.serving.runtimes import Outputs, Rows, Runtime, check_rows

AT_ONCE_S = 200e-6
"""A call expected to take less is made as soon as it is asked for: queueing would cost as much as it saves."""
ON_LOOP_S = 1.5e-3
"""A batch expected to take less runs on the event loop: the way to a thread and back costs more than others lose."""
BATCH_ROWS = 1024
WAITING_ROWS = 50_000
MANY_ROWS = 8
"""Rows from which a call says what each further row costs, rather than what a call costs."""


class Job:
    """Rows that wait for their prediction. ``carry`` is the caller's; ``future`` is resolved by ``deliver``."""

    __slots__ = ("carry", "future", "rows")

    def __init__(self, rows: Rows, carry: Any) -> None:
        self.rows = rows
        self.carry = carry
        self.future: asyncio.Future[Any] | None = None


Deliver = Callable[[Sequence[Job], Sequence[Outputs | TrimtabError]], Sequence[Any]]
"""Take the outputs, or the failure, of each job, and return what each caller gets; an exception is raised there."""


class Batcher:
    """One model's queue, of one event loop. ``pool`` runs what is too slow for it, ``parallel`` batches at a time."""

    def __init__(
        self, runtime: Runtime, *, name: str, pool: Executor, clock: Clock, deliver: Deliver, parallel: int = 2
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._pool = pool
        self._clock = clock
        self._deliver = deliver
        self._parallel = parallel
        self._waiting: deque[Job] = deque()
        self._waiting_rows = 0
        self._running = 0
        self._scheduled = False
        self._one_s = 0.0
        self._row_s = 0.0

    def learn(self, rows: int, seconds: float) -> None:
        """Note how long a call took, to tell what the next one will take."""
        if rows < MANY_ROWS:
            self._one_s = _learnt(self._one_s, seconds)
        else:
            self._row_s = _learnt(self._row_s, seconds / rows)

    def expected_s(self, rows: int) -> float:
        """Return how long a call with so many rows is expected to take."""
        return max(self._one_s, rows * (self._row_s or self._one_s)) if rows > 1 else self._one_s

    async def run(self, job: Job) -> Any:
        """Return what ``deliver`` makes of the prediction. Raises what it returns as an exception, and ``TooBusy``."""
        rows = len(job.rows)
        if not self._waiting and not self._running and self.expected_s(rows) <= AT_ONCE_S:
            (result,) = self._deliver([job], self._predicted([job]))
            if isinstance(result, BaseException):
                raise result
            return result
        if self._waiting_rows + rows > WAITING_ROWS:
            raise TooBusy(f"{self._waiting_rows} rows are waiting for {self._name}", where=f"version {self._name}")
        job.future = asyncio.get_running_loop().create_future()
        self._waiting.append(job)
        self._waiting_rows += rows
        self._schedule()
        return await job.future

    def _schedule(self) -> None:
        # On the next turn of the loop, when every request that has arrived by now has come this far too.
        if self._waiting and not self._scheduled and self._running < self._parallel:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        self._scheduled = False
        jobs: list[Job] = []
        rows = 0
        while self._waiting and (not jobs or rows + len(self._waiting[0].rows) <= BATCH_ROWS):
            job = self._waiting.popleft()
            self._waiting_rows -= len(job.rows)
            if job.future is not None and not job.future.cancelled():
                jobs.append(job)
                rows += len(job.rows)
        if not jobs:
            return
        if self.expected_s(rows) <= ON_LOOP_S:
            self._resolve(jobs, self._predicted(jobs))
        else:
            self._running += 1
            future = asyncio.get_running_loop().run_in_executor(self._pool, self._predicted, jobs)
            future.add_done_callback(lambda done: self._done(jobs, done))
        self._schedule()

    def _done(self, jobs: Sequence[Job], done: "asyncio.Future[Sequence[Outputs | TrimtabError]]") -> None:
        self._running -= 1
        if not done.cancelled():
            self._resolve(jobs, done.result())
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
