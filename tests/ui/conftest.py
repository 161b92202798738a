"""What the pages' tests share: a seeded home, once a session, and a client that asks the real application."""

import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from tests.seeded import Seeded

from fairlead.server import Rooms, application, doors_of
from fairlead.server.api import Live
from fairlead.store import Store, open_store

with warnings.catch_warnings():
    # Starlette would rather have httpx2; httpx is what our other tests use.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@pytest.fixture(scope="session")
def seeded_store(seeded: Seeded) -> Iterator[Store]:
    store = open_store(seeded.settings)
    yield store
    store.close()


@pytest.fixture(scope="session")
def client(seeded_store: Store) -> Iterator[TestClient]:
    """A browser without scripts, on the seeded home."""
    with _client(seeded_store) as client:
        yield client


@pytest.fixture(scope="session")
def served(seeded_store: Store) -> Iterator[str]:
    """The address of a real server on the seeded home."""
    rooms = Rooms(seeded_store)
    app = application(seeded_store, doors_of(seeded_store, seeded_store.settings), rooms=rooms, live=Live(rooms.events))
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served", daemon=True)
    thread.start()
    for _ in range(200):
        if server.started and rooms.gateway.started:
            break
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def empty_client(tmp_path: Path, sqlite_store: Store) -> Iterator[TestClient]:
    """A browser on a home in which nothing has happened."""
    with _client(sqlite_store) as client:
        yield client


def _client(store: Store) -> TestClient:
    rooms = Rooms(store)
    app = application(store, doors_of(store, store.settings), rooms=rooms, live=Live(rooms.events))
    return TestClient(app, base_url="http://127.0.0.1:8400", follow_redirects=False)
