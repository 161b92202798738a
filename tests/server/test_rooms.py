"""Background work: one part that fails does not keep the others from being done, and is told."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.waiting import wait_until_async

from trimtab.server import Doors, Rooms
from trimtab.server.api import Live, routes
from trimtab.store import Store

Client = Callable[..., Any]


def run_with(rooms: Rooms, block: Callable[[], Awaitable[None]]) -> None:
    """Let rooms live for a while."""

    async def live() -> None:
        await rooms.start()
        try:
            await wait_until_async(lambda: rooms.gateway.started, "models are loaded")
            await block()
        finally:
            await rooms.stop()

    asyncio.run(live())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.server.rooms.MIND_EVERY_S", 0.01)
    monkeypatch.setattr("trimtab.server.rooms.LOST_EVERY_S", 0.01)
    monkeypatch.setattr("trimtab.kernel.duty.FIRST_PAUSE_S", 0.01)


def test_the_loop_turns_though_endpoints_cannot_be_watched(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    def fails(_store: Any) -> None:
        raise RuntimeError

    ticked: list[int] = []
    rooms = Rooms(sqlite_store)
    monkeypatch.setattr("trimtab.server.rooms.mind", fails)
    monkeypatch.setattr(rooms.loop, "tick", lambda: ticked.append(1))
    run_with(rooms, lambda: wait_until_async(lambda: len(ticked) > 1, "it has turned again"))


@pytest.mark.parametrize(
    ("work", "told"),
    [
        ("trimtab.server.rooms.mind", "watching"),
        ("trimtab.server.rooms.find_lost", "lost runs"),
        ("trimtab.loop.tick.all_in_force", "the loop"),
        ("trimtab.pipelines.lease.others", "pipelines"),
        ("trimtab.serving.served.route_rows", "routing"),
    ],
)
def test_whatever_dies_in_the_background_is_told_and_mended(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, quick: None, client_for: Client, work: str, told: str
) -> None:
    before = set(threading.enumerate())
    rooms = Rooms(sqlite_store)
    doors = Doors(store=sqlite_store, clock=sqlite_store.clock, hosts=frozenset(), local=None)
    own = routes(rooms.store, doors, missing=rooms.missing, endpoints=rooms.endpoints, live=Live(rooms.events))
    client = client_for(sqlite_store, own)

    def dies(*_args: Any, **_named: Any) -> Any:
        raise SystemExit(1) if told != "routing" else KeyError

    async def die_and_come_back() -> None:
        await wait_until_async(lambda: client.get("/readyz").status_code == 200, "it is ready")
        with monkeypatch.context() as patch:
            patch.setattr(work, dies)
            rooms.runner.wake()
            await wait_until_async(lambda: client.get("/readyz").status_code == 503, "it says that it is not")
            assert f"{told}: Trimtab made a mistake" in client.get("/readyz").json()["what"]
        await wait_until_async(lambda: client.get("/readyz").status_code == 200, "it is ready again")

    run_with(rooms, die_and_come_back)
    assert not [one.name for one in set(threading.enumerate()) - before if one.name.startswith("trimtab-")]


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
