"""What the server's tests share: an application over a store, as a local or as a far caller."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from trimtab.kernel import (
    EVERYTHING,
    PROJECT,
    Actor,
    Call,
    Conflict,
    Permission,
    Query,
    Refused,
    Resource,
    Route,
    in_path,
)
from trimtab.server import Access, Doors, create_app
from trimtab.server.receipts import NoticingStore
from trimtab.store import Event, Store, Subject

with warnings.catch_warnings():
    # Starlette would rather have httpx2; httpx is what our other tests use.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

LOCAL = Access(actor=Actor("alice"), grants=EVERYTHING)


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    times: int = 1


class Told(msgspec.Struct, frozen=True):
    text: str
    by: str
    because: str


class Noted(Event, frozen=True, kw_only=True):
    type = "test.noted"
    text: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("note", self.text),)


def note_routes(store: Store) -> list[Route]:
    """A small room: it reads, changes, refuses and breaks."""

    def read(call: Call) -> Told:
        return Told(call.path["text"], call.actor.id, call.query.get("because", ""))

    def write(call: Call, note: Note) -> Told:
        with store.change(call.actor, call.because) as change:
            change.record(Noted(text=note.text))
        return Told(note.text * note.times, call.actor.id, call.because)

    async def raw(call: Call, body: bytes) -> Told:
        return Told(str(len(body)), call.actor.id, call.because)

    def refuse(call: Call) -> Told:
        raise Refused("no", where="note", why="A rule says so.", next="ask someone else")

    def clash(call: Call) -> Told:
        raise Conflict("already there", where="note", why="There is one.", next="take the other")

    def crash(call: Call) -> Told:
        raise RuntimeError("secret detail of /home/alice")

    route = _route(Permission.READ)
    return [
        route(
            "GET",
            "/api/v1/notes/{text}",
            read,
            resource=in_path("text"),
            response=Told,
            query=(Query(name="because", meaning="Why."),),
        ),
        route("POST", "/api/v1/notes", write, permission=Permission.LOG, request=Note, response=Told, status=201),
        route("PUT", "/api/v1/raw", raw, permission=Permission.PREDICT, request=bytes, response=Told, limit_bytes=100),
        route("POST", "/api/v1/refuse", refuse, response=Told),
        route("POST", "/api/v1/clash", clash, response=Told),
        route("GET", "/api/v1/crash", crash, response=Told),
    ]


def _route(default: Permission) -> Callable[..., Route]:
    def make(
        method: str, path: str, handler: Any, *, permission: Permission = default, resource: Resource = PROJECT,
        **more: Any,
    ) -> Route:  # fmt: skip
        return Route(
            method=method, path=path, permission=permission, resource=resource, handler=handler,
            summary=f"{method} {path}", **more,
        )  # fmt: skip

    return make


def client_of(store: Store, routes: Sequence[Route], *, local: Access | None = LOCAL) -> TestClient:
    doors = Doors(store=store, clock=store.clock, hosts=frozenset({"testserver"}), local=local)
    app = create_app(routes, doors=doors, ids=store.ids)
    return TestClient(app, raise_server_exceptions=True)


@pytest.fixture
def client_for() -> Callable[..., TestClient]:
    """Make a client of any routes."""
    return client_of


@pytest.fixture
def notes(sqlite_store: Store) -> list[Route]:
    return note_routes(sqlite_store)


@pytest.fixture
def client(sqlite_store: Store) -> TestClient:
    """A local caller of the small room."""
    return client_of(sqlite_store, note_routes(NoticingStore.around(sqlite_store)))


@pytest.fixture
def far_client(sqlite_store: Store) -> TestClient:
    """A caller from elsewhere, who has to show a token."""
    return client_of(sqlite_store, note_routes(NoticingStore.around(sqlite_store)), local=None)


@pytest.fixture
def notes_behind(sqlite_store: Store) -> Callable[[Doors], TestClient]:
    """Make a client of the small room behind doors of the test's own."""

    def behind(doors: Doors) -> TestClient:
        return TestClient(create_app(note_routes(sqlite_store), doors=doors, ids=sqlite_store.ids))

    return behind


@pytest.fixture
def notes_of() -> Callable[[Store], TestClient]:
    """Make a client of the small room over any store, for a caller from elsewhere."""
    return lambda store: client_of(store, note_routes(store), local=None)
