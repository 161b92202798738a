"""What tests of clients share: a server over a home where much has happened, and a command line elsewhere."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from tests.cli.conftest import Type, trimtab  # noqa: F401  # a fixture
from tests.seeded import Seeded
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import EVERYTHING, Actor, Permission
from trimtab.server import Access, Doors, IssueToken, Rooms, application, create_token
from trimtab.server.api import Live
from trimtab.store import Store, open_store

ADMIN = Access(actor=Actor("alice"), grants=EVERYTHING)


@contextmanager
def served(
    store: Store, *, local: Access | None = ADMIN, instance: str = "", port: int = 0, whole: bool = False
) -> Iterator[str]:
    """Serve a store's API, ``whole`` with what a server does in the background, and yield its address."""
    rooms = Rooms(store)
    doors = Doors(store=store, clock=store.clock, hosts=frozenset(), local=local)
    app = application(store, doors, rooms=rooms, live=Live(rooms.events), instance=instance)
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="on" if whole else "off", log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, "the server listens")
        if whole:
            wait_until(lambda: not rooms.missing(), "models are loaded")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


@pytest.fixture(scope="session")
def busy(seeded: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """A store in which much has happened, with an address at which it is served to anyone. Only read."""
    home = shutil.copytree(seeded.home, tmp_path_factory.mktemp("served") / "home")
    settings = msgspec.structs.replace(seeded.settings, home=str(home))
    store = open_store(settings)
    try:
        with served(store) as url:
            yield store, url
    finally:
        store.close()


@pytest.fixture
def far(
    trimtab: Type,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Type a command line in an empty folder of another machine, with the address of a server and a token."""
    monkeypatch.delenv("TRIMTAB_CLOCK")

    def at(url: str, *words: str, token: str = "") -> Any:
        monkeypatch.setenv("TRIMTAB_SERVER", url)
        monkeypatch.setenv("TRIMTAB_TOKEN", token)
        return trimtab(*words)

    return at


def token_of(store: Store, permission: Permission) -> str:
    asked = IssueToken(name=f"far-{permission.value}", may=tuple(dict.fromkeys(("read", permission.value))))
    return create_token(store, asked, actor=Actor("alice"), because="for a test").secret


def left_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
