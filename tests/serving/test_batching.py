"""Batches of what is waiting: never held back, never costing others their answer, never blocking the loop."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.waiting import PATIENCE_S, wait_until_async

from trimtab.kernel import SystemClock, TrimtabError
from trimtab.serving import DeadlinePassed, Input, ModelStuck, Output, PredictionFailed, TooBusy, batching
from trimtab.serving.batching import Batcher, Job
from trimtab.serving.records import ServingLimits
from trimtab.serving.runtimes import Outputs, Rows
from trimtab.serving.threads import Threads


class Slow:
    """A model that takes its time, says on which thread, and cannot take a 13."""

    name = "slow"
    steady = True
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


def batcher_of(model: Slow, busy: set[Batcher] | None = None, **limits: Any) -> Batcher:
    allowed = ServingLimits(**limits)
    return Batcher(
        model, name="slow@1", clock=SystemClock(), deliver=deliver, limits=allowed,
        threads=Threads(allowed.threads, "trimtab-model-slow@1"), busy=set() if busy is None else busy,
    )  # fmt: skip


async def run(model: Slow, jobs: list[Job], *, known_s: float, **limits: Any) -> list[Any]:
    batcher = batcher_of(model, **limits)
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
        batcher = batcher_of(model, threads=1)
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
    assert all(thread.startswith("trimtab-model-slow@1") for _, thread in model.calls)


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


def test_too_many_waiting_rows_are_turned_away() -> None:
    found = asyncio.run(run(Slow(0.01), [job(*[1.0] * 6), job(*[1.0] * 6), job(1)], known_s=1.0, queue_rows=10))
    assert isinstance(found[1], TooBusy)
    assert found[2] == [2.0]


def test_a_caller_who_leaves_does_not_disturb_the_rest() -> None:
    model = Slow(0.02)

    async def leaving() -> Any:
        batcher = batcher_of(model, threads=1)
        batcher.learn(1, 1.0)
        tasks = [asyncio.create_task(batcher.run(job(i))) for i in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(leaving())
    assert (found[0], found[2]) == ([0.0], [4.0])
    assert isinstance(found[1], asyncio.CancelledError)


def test_a_model_whose_time_depends_on_its_input_never_runs_on_the_loop() -> None:
    model = Slow(0)
    model.steady = False
    found = asyncio.run(run(model, [job(1), job(2)], known_s=20e-6))
    assert found == [[2.0], [4.0]]
    assert all(thread.startswith("trimtab-model") for _, thread in model.calls)


def test_a_call_that_is_slow_for_once_takes_the_model_off_the_loop_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Slow(0.06)

    async def ask() -> list[str]:
        busy: set[Batcher] = set()
        batcher = batcher_of(model, busy)
        batcher.learn(1, 20e-6)
        await batcher.run(job(1))
        model.seconds = 0
        await batcher.run(job(2))
        batcher.look()
        assert busy == {batcher}, "it is looked at until it may come back"
        monkeypatch.setattr(batching, "OFF_LOOP_S", -1.0)
        batcher.look()
        batcher.look()
        assert not busy
        batcher._one_s = 20e-6
        await batcher.run(job(3))
        return [thread for _, thread in model.calls]

    first, second, third = asyncio.run(ask())
    assert (first, third) == ("MainThread", "MainThread")
    assert second.startswith("trimtab-model")


class Hanging(Slow):
    """A model that never comes back from some values, until the test says so."""

    def __init__(self, *values: float) -> None:
        super().__init__(0)
        self.values = values
        self.let_go = threading.Event()

    def predict(self, rows: Rows) -> Outputs:
        if any(row[0] in self.values for row in rows.values):
            self.let_go.wait(PATIENCE_S)
        return super().predict(rows)


async def looking(batchers: set[Batcher]) -> None:
    """Do what a gateway does for those that have work."""
    while True:
        await asyncio.sleep(0.01)
        for one in list(batchers):
            one.look()


def test_who_waits_too_long_is_told_and_gets_no_decision_afterwards() -> None:
    model, delivered = Hanging(7), []

    def noted(jobs: Sequence[Job], outputs: Sequence[Outputs | TrimtabError]) -> Sequence[Any]:
        delivered.extend((one.rows.values[0][0], type(output)) for one, output in zip(jobs, outputs, strict=True))
        return deliver(jobs, outputs)

    async def ask() -> None:
        busy: set[Batcher] = set()
        batcher = batcher_of(model, busy, threads=1, deadline_s=0.2)
        batcher._deliver = noted
        batcher.learn(1, 1.0)
        looks = asyncio.create_task(looking(busy))
        with pytest.raises(DeadlinePassed, match="did not answer within"):
            await batcher.run(job(7))
        await wait_until_async(lambda: batcher.lost, "the call is given up")
        assert await batcher.run(job(1)) == [2.0], "another thread has taken the place of the one that is lost"
        model.let_go.set()
        await wait_until_async(lambda: not batcher.lost, "the call has come back")
        assert await batcher.run(job(2)) == [4.0]
        await wait_until_async(lambda: not busy, "nothing is left to look at")
        looks.cancel()

    asyncio.run(ask())
    assert delivered == [(7, DeadlinePassed), (1, dict), (2, dict)]


def test_one_row_that_never_ends_holds_up_only_its_own_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "AGAIN_SHARE", 0.2 / PATIENCE_S)
    model = Hanging(7)

    async def ask() -> None:
        busy: set[Batcher] = set()
        batcher = batcher_of(model, busy, threads=1, deadline_s=PATIENCE_S)
        batcher.learn(1, 2e-3)
        batcher.learn = lambda rows, seconds: None  # type: ignore[method-assign]
        looks = asyncio.create_task(looking(busy))
        first, stuck, third = [asyncio.create_task(batcher.run(job(i))) for i in (1, 7, 3)]
        assert (await first, await third) == ([2.0], [6.0])
        assert not stuck.done()
        model.let_go.set()
        assert await stuck == [14.0]
        looks.cancel()

    asyncio.run(ask())


def test_a_version_whose_calls_never_end_is_asked_nothing_more_until_they_do() -> None:
    model = Hanging(7)

    async def ask() -> None:
        busy: set[Batcher] = set()
        batcher = batcher_of(model, busy, threads=2, deadline_s=0.1)
        batcher.learn(1, 1.0)
        looks = asyncio.create_task(looking(busy))
        for _ in range(batching.MOST_LOST):
            with pytest.raises(DeadlinePassed):
                await batcher.run(job(7))
        await wait_until_async(lambda: batcher.is_stuck, "it is stuck")
        with pytest.raises(ModelStuck, match="calls of slow@1 do not end"):
            await batcher.run(job(1))
        model.let_go.set()
        await wait_until_async(lambda: not batcher.is_stuck, "its calls have ended")
        assert await batcher.run(job(1)) == [2.0]
        looks.cancel()

    asyncio.run(ask())


def test_who_is_turned_away_is_told_when_to_come_again() -> None:
    async def ask() -> int:
        batcher = batcher_of(Slow(0.01), threads=2, queue_rows=100)
        batcher.learn(100, 10.0)
        waits = asyncio.create_task(batcher.run(job(*[1.0] * 100)))
        await asyncio.sleep(0)
        with pytest.raises(TooBusy) as caught:
            await batcher.run(job(1))
        await waits
        return int(caught.value.data["retry_after_s"])  # type: ignore[call-overload]

    assert asyncio.run(ask()) == 5  # a hundred rows of 0.1 s each, on two threads
