"""What the pages' tests share: seeded homes, once a session, and clients that ask the real application."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from tests.seeded import Seeded
from tests.waiting import PATIENCE_S, wait_until

from trimtab.server import Rooms, application, doors_of
from trimtab.server.api import Live
from trimtab.store import Store, open_store

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
    with client_of(seeded_store) as client:
        yield client


@pytest.fixture(scope="session")
def looped_store(looped: Seeded) -> Iterator[Store]:
    store = open_store(looped.settings)
    yield store
    store.close()


@pytest.fixture(scope="session")
def looped_client(looped_store: Store) -> Iterator[TestClient]:
    """A browser without scripts, where the loop has turned."""
    with client_of(looped_store) as client:
        yield client


@pytest.fixture(scope="session")
def served(seeded_store: Store) -> Iterator[str]:
    """The address of a real server on the seeded home."""
    with _served(seeded_store) as address:
        yield address


@pytest.fixture(scope="session")
def looped_served(looped_store: Store) -> Iterator[str]:
    """The address of a real server where the loop has turned."""
    with _served(looped_store) as address:
        yield address


@pytest.fixture
def empty_client(tmp_path: Path, sqlite_store: Store) -> Iterator[TestClient]:
    """A browser on a home in which nothing has happened."""
    with client_of(sqlite_store) as client:
        yield client


def client_of(store: Store) -> TestClient:
    """Return a browser without scripts on a store."""
    rooms = Rooms(store)
    app = application(store, doors_of(store, store.settings), rooms=rooms, live=Live(rooms.events))
    return TestClient(app, base_url="http://localhost:8400", follow_redirects=False)


@contextmanager
def _served(store: Store) -> Iterator[str]:
    rooms = Rooms(store)
    app = application(store, doors_of(store, store.settings), rooms=rooms, live=Live(rooms.events))
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served", daemon=True)
    thread.start()
    wait_until(lambda: server.started and rooms.gateway.started, "it serves", alive=thread)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(PATIENCE_S)
