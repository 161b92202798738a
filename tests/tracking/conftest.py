"""What the tests of tracking share: ways to start runs, and a real server over HTTP."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import EVERYTHING, Actor, Settings
from trimtab.server import Access, Doors, create_app
from trimtab.store import Store, open_store
from trimtab.tracking import Run, RunRecorder, StartRun, open_run, routes, start_run

# Threads of OpenMP that wait for each other cost more than such small models.
os.environ.setdefault("OMP_NUM_THREADS", "1")
USER = Access(actor=Actor("alice"), grants=EVERYTHING)


@pytest.fixture
def opened(store: Store, actor: Actor) -> Callable[..., Run]:
    """Start a run without a recorder."""
    return lambda **words: open_run(store, StartRun(**words), actor=actor)


@pytest.fixture
def record(sqlite_store: Store, actor: Actor) -> Callable[..., RunRecorder]:
    """Start a run with a recorder that captures nothing."""

    def start(**words: Any) -> RunRecorder:
        given = {"experiment": "test", "actor": actor, "capture": (), **words}
        return start_run(sqlite_store, **given)

    return start


@contextlib.contextmanager
def serving(store: Store, *, port: int = 0) -> Iterator[str]:
    """Serve tracking's routes over HTTP on loopback; yield the address."""
    doors = Doors(store=store, clock=store.clock, hosts=frozenset({"127.0.0.1"}), local=USER)
    app = create_app(routes(store), doors=doors, ids=store.ids)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        wait_until(lambda: server.started, "it serves", alive=thread)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


@pytest.fixture
def serve(sqlite_store: Store) -> Callable[..., contextlib.AbstractContextManager[str]]:
    """Serve the store's tracking for the time of a block: ``with serve() as url``."""
    return lambda port=0: serving(sqlite_store, port=port)


@pytest.fixture
def another_store(sqlite_store: Store) -> Iterator[Store]:
    """The same store opened a second time, as another process would."""
    store = open_store(Settings(home=str(sqlite_store.settings.home_path)), clock=sqlite_store.clock)
    yield store
    store.close()
