"""Background work: one part that fails does not keep the others from being done."""

import asyncio
from typing import Any

import pytest

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
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(rooms._mind_endpoints(), 1.0)

    asyncio.run(minded())
    assert len(ticked) > 1
