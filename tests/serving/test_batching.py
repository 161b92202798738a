"""Batches of what is waiting: never held back, never costing others their answer, never blocking the loop."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tests.waiting import PATIENCE_S, wait_until_async

from trimtab.kernel import SystemClock, TrimtabError
from trimtab.serving import Input, Output, PredictionFailed, TooBusy, batching
from trimtab.serving.batching import Batcher, Job
from trimtab.serving.runtimes import Outputs, Rows


class Slow:
    """A model that takes its time, says on which thread, and cannot take a 13."""

    name = "slow"
    inputs = (Input(name="x", kind="float"),)
    outputs = (Output(name="prediction", datatype="FP64"),)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls: list[tuple[int, str]] = []

    def predict(self, rows: Rows) -> Outputs:
        self.calls.append((len(rows), threading.current_thread().name))
        time.sleep(self.seconds)
        numbers = rows.numbers()[:, 0]
        if 13 in numbers:
            raise ValueError("thirteen is not a number I know")
        return {"prediction": numbers * 2}


def deliver(jobs: Sequence[Job], outputs: Sequence[Outputs | TrimtabError]) -> Sequence[Any]:
    return [one if isinstance(one, TrimtabError) else one["prediction"].tolist() for one in outputs]


def job(*values: float) -> Job:
    return Job(Rows([[value] for value in values]), None)


async def run(model: Slow, jobs: list[Job], *, known_s: float, parallel: int = 2) -> list[Any]:
    with ThreadPoolExecutor(2, "pool") as pool:
        batcher = Batcher(model, name="slow@1", pool=pool, clock=SystemClock(), deliver=deliver, parallel=parallel)
        batcher.learn(1, known_s)
        batcher.learn = lambda rows, seconds: None  # type: ignore[method-assign]  # whatever this machine is busy with
        return await asyncio.gather(*(batcher.run(one) for one in jobs), return_exceptions=True)


def test_a_quick_model_is_called_at_once_on_the_loop() -> None:
    model = Slow(0)
    found = asyncio.run(run(model, [job(1), job(2, 3)], known_s=20e-6))
    assert found == [[2.0], [4.0, 6.0]]
    assert [thread for _, thread in model.calls] == ["MainThread"] * 2


def test_what_arrives_together_runs_together() -> None:
    model = Slow(0)
    found = asyncio.run(run(model, [job(i) for i in range(5)], known_s=250e-6))
    assert found == [[2.0 * i] for i in range(5)]
    assert model.calls == [(5, "MainThread")]


class Held(Slow):
    """A model whose calls end when the test says so."""

    def __init__(self) -> None:
        super().__init__(0)
        self.let_go = threading.Event()

    def predict(self, rows: Rows) -> Outputs:
        found = super().predict(rows)
        assert self.let_go.wait(PATIENCE_S)
        return found


def test_a_slow_model_runs_beside_the_loop_and_the_next_batch_is_what_waited() -> None:
    model = Held()

    async def arrivals() -> list[Any]:
        with ThreadPoolExecutor(1, "pool") as pool:
            batcher = Batcher(model, name="slow@1", pool=pool, clock=SystemClock(), deliver=deliver, parallel=1)
            batcher.learn(1, 0.05)
            first = asyncio.create_task(batcher.run(job(0)))
            await wait_until_async(lambda: model.calls, "the model is called")
            rest = [asyncio.create_task(batcher.run(job(i))) for i in range(1, 8)]
            for _ in range(100):
                await asyncio.sleep(0)  # the loop goes on while the model is inside its call
            assert not first.done()
            assert len(model.calls) == 1
            model.let_go.set()
            return [await first, *[await one for one in rest]]

    assert asyncio.run(arrivals()) == [[2.0 * i] for i in range(8)]
    assert [rows for rows, _ in model.calls] == [1, 7]
    assert all(thread.startswith("pool") for _, thread in model.calls)


@pytest.mark.parametrize("known_s", [20e-6, 250e-6, 1.0])
def test_one_bad_row_costs_only_its_own_request(known_s: float) -> None:
    found = asyncio.run(run(Slow(0), [job(1), job(2, 13), job(3)], known_s=known_s))
    assert (found[0], found[2]) == ([2.0], [6.0])
    assert isinstance(found[1], PredictionFailed)
    assert "thirteen" in found[1].why
    assert all(found[1].parts().values())


def test_batches_are_bounded() -> None:
    model = Slow(0)
    jobs = [job(*[1.0] * 400) for _ in range(5)]
    asyncio.run(run(model, jobs, known_s=1.0))
    assert all(rows <= batching.BATCH_ROWS for rows, _ in model.calls)
    assert sum(rows for rows, _ in model.calls) == 2000


def test_one_large_request_is_one_batch() -> None:
    model = Slow(0)
    asyncio.run(run(model, [job(*np.ones(5000))], known_s=1.0))
    assert [rows for rows, _ in model.calls] == [5000]


def test_too_many_waiting_rows_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "WAITING_ROWS", 10)
    found = asyncio.run(run(Slow(0.01), [job(*[1.0] * 6), job(*[1.0] * 6), job(1)], known_s=1.0))
    assert isinstance(found[1], TooBusy)
    assert found[2] == [2.0]


def test_a_caller_who_leaves_does_not_disturb_the_rest() -> None:
    model = Slow(0.02)

    async def leaving() -> Any:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(model, name="slow@1", pool=pool, clock=SystemClock(), deliver=deliver, parallel=1)
            batcher.learn(1, 1.0)
            tasks = [asyncio.create_task(batcher.run(job(i))) for i in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(leaving())
    assert (found[0], found[2]) == ([0.0], [4.0])
    assert isinstance(found[1], asyncio.CancelledError)
