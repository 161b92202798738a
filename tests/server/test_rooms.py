"""Background work: one part that fails does not keep the others from being done."""

import asyncio
from typing import Any

import pytest
from tests.waiting import wait_until_async

from trimtab.server import Rooms
from trimtab.store import Store


def test_the_loop_turns_though_endpoints_cannot_be_watched(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_store: Any) -> None:
        raise RuntimeError

    ticked: list[int] = []
    rooms = Rooms(sqlite_store)
    monkeypatch.setattr("trimtab.server.rooms.mind", fails)
    monkeypatch.setattr("trimtab.server.rooms.MIND_EVERY_S", 0.01)
    monkeypatch.setattr(rooms.loop, "tick", lambda: ticked.append(1))

    async def minded() -> None:
        minding = asyncio.create_task(rooms._mind_endpoints())
        await wait_until_async(lambda: len(ticked) > 1 or minding.done(), "it has turned again")
        assert minding.cancel(), "it goes on"

    asyncio.run(minded())


def test_records_are_prepared_before_there_are_threads(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    rooms = Rooms(sqlite_store)
    start = rooms.runner.start
    monkeypatch.setattr("trimtab.server.rooms.prepare_records", lambda: done.append("prepared"))
    monkeypatch.setattr(rooms.runner, "start", lambda: (done.append("started"), start()))

    async def live() -> None:
        await rooms.start()
        await rooms.stop()

    asyncio.run(live())
    assert done == ["prepared", "started"]
