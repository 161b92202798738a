"""Limits that are settings, each followed to where it limits something."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn
from tests.serving.gateways import serve
from tests.serving.late import FakeReleases, ask_for, route, some_rows, trained
from tests.serving.test_served import Held
from tests.waiting import PATIENCE_S, wait_until_async

from trimtab.kernel import Settings, load
from trimtab.server import Doors, Rooms, run
from trimtab.server.http import HttpLimits
from trimtab.serving import Answer, DeadlinePassed, Gateway, TooBusy
from trimtab.store import Store, open_store


def settings_of(store: Store, **variables: str) -> Settings:
    """Return a store's settings as they are with some variables in the environment."""
    environment = {f"TRIMTAB_{name.upper()}": text for name, text in variables.items()}
    return load(environment=environment | {"TRIMTAB_HOME": store.settings.home}, folder=store.settings.home_path)[0]


# --- connections ---------------------------------------------------------------------------------------------------


@pytest.fixture
def config_with(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., uvicorn.Config]:
    """Return what the server is run with when some settings are set."""
    found: list[uvicorn.Config] = []
    monkeypatch.setattr(run._Server, "run", lambda self, sockets: found.append(self.config))

    def config(**variables: str) -> uvicorn.Config:
        with closing(open_store(settings_of(sqlite_store, **variables), clock=sqlite_store.clock)) as store:
            doors = Doors(store=store, clock=store.clock, hosts=frozenset(), local=None)
            with socket.create_server(("127.0.0.1", 0)) as listener:
                run._serve(store, doors, listener, lambda _address: None)
        return found.pop()

    return config


def test_connections_stay_open_for_longer_than_clients_keep_theirs(config_with: Callable[..., uvicorn.Config]) -> None:
    assert config_with().timeout_keep_alive == 75, "clients that pool connections keep theirs for 60 s and less"
    assert config_with(http_keep_alive_s="120.5").timeout_keep_alive == 121


def test_every_connection_is_held_to_the_limits_that_are_set(config_with: Callable[..., uvicorn.Config]) -> None:
    connection: Any = config_with(http_head_bytes="2048", http_timeout_s="0.5", http_connections="7").http
    assert connection.keywords == {"limits": HttpLimits(head_bytes=2048, timeout_s=0.5, connections=7)}


# --- models --------------------------------------------------------------------------------------------------------


Act = Callable[[Gateway], Awaitable[Any]]


@pytest.fixture
def serve_with(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Let the rooms serve a model while some settings are set, and act on their gateway."""
    releases = FakeReleases()
    releases.release(sqlite_store, 1, trained(trees=3))
    route(sqlite_store, releases)
    monkeypatch.setattr("trimtab.server.rooms.RegisteredReleases", lambda _store: releases)
    opened: list[Store] = []

    def served(act: Act, **variables: str) -> Any:
        opened.append(open_store(settings_of(sqlite_store, **variables), clock=sqlite_store.clock))
        return serve(Rooms(opened[-1]).gateway, act)

    yield served
    for store in opened:
        store.close()


def asked(gateway: Gateway, rows: int = 1) -> "asyncio.Task[Answer]":
    return asyncio.create_task(gateway.infer("late", ask_for(some_rows(rows))))


def test_a_request_is_told_after_the_deadline_that_is_set(
    serve_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(gateway: Gateway) -> None:
        held = Held(gateway, monkeypatch)
        with pytest.raises(DeadlinePassed, match=r"within 0\.3 s"):
            await asked(gateway)
        held.let_go.set()

    serve_with(act, deadline_s="0.3")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_version_has_as_many_threads_as_are_set(
    serve_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    async def act(gateway: Gateway) -> None:
        held = Held(gateway, monkeypatch)
        waiting = []
        for number in range(threads):
            waiting.append(asked(gateway))
            await wait_until_async(lambda n=number: held.calls > n, "another thread is in a call")  # type: ignore[misc]
        waiting += [asked(gateway) for _ in range(5)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert held.calls == threads, "the others wait"
        held.let_go.set()
        assert len(await asyncio.gather(*waiting)) == threads + 5

    serve_with(act, model_threads=str(threads), deadline_s=str(PATIENCE_S))


def test_no_more_rows_wait_than_are_set(serve_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(gateway: Gateway) -> None:
        held = Held(gateway, monkeypatch)
        waiting = [asked(gateway)]
        await wait_until_async(lambda: held.calls, "the only thread is in a call")
        waiting.append(asked(gateway, rows=3))
        await asyncio.sleep(0)
        with pytest.raises(TooBusy, match="3 rows are waiting"):
            await asked(gateway)
        held.let_go.set()
        await asyncio.gather(*waiting)

    serve_with(act, model_threads="1", model_queue_rows="3", deadline_s=str(PATIENCE_S))
