"""The application: decode, permission, change, receipt, error."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from tests.waiting import PATIENCE_S

from trimtab.kernel import PROJECT, Call, Permission, Route, in_body, in_path, in_query
from trimtab.server import BadRoute
from trimtab.store import Store

PARTS = {"error", "code", "what", "where", "why", "next"}


def test_an_answer_is_the_handlers_value(client: httpx.Client) -> None:
    answer = client.get("/api/v1/notes/hello?because=x")
    assert answer.status_code == 200
    assert answer.json() == {"text": "hello", "by": "alice", "because": "x"}
    assert answer.headers["cache-control"] == "no-store"


def test_a_change_carries_its_reason_in_and_its_receipt_out(client: httpx.Client, sqlite_store: Store) -> None:
    answer = client.post("/api/v1/notes", json={"text": "a"}, headers={"Trimtab-Because": "f%C3%BCr uns"})
    assert (answer.status_code, answer.json()["because"]) == (201, "für uns")
    assert answer.headers["trimtab-position"] == "0"
    sqlite_store.checkpoint()
    again = client.post("/api/v1/notes", json={"text": "b"})
    assert again.headers["trimtab-position"] == "1"
    checkpoint = unquote(again.headers["trimtab-checkpoint"])
    assert checkpoint.startswith(sqlite_store.origin)
    assert unquote(again.headers["trimtab-key"]).startswith(sqlite_store.origin)


def test_a_reading_has_no_receipt(client: httpx.Client) -> None:
    assert "trimtab-position" not in client.get("/api/v1/notes/hello").headers


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", "/api/v1/nothing", {}, 404, "server.no-such-path"),
        ("GET", "/api/v1/notes/", {}, 404, "server.no-such-path"),
        ("DELETE", "/api/v1/notes", {}, 405, "server.wrong-method"),
        ("POST", "/api/v1/notes", {"content": b""}, 400, "invalid"),
        ("POST", "/api/v1/notes", {"content": b"{"}, 400, "invalid"),
        ("POST", "/api/v1/notes", {"content": b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"}, 400, "invalid"),
        ("POST", "/api/v1/notes", {"content": b"\xff\xfe"}, 400, "invalid"),
        ("POST", "/api/v1/notes", {"json": {"text": 7}}, 400, "invalid"),
        ("POST", "/api/v1/notes", {"json": {"text": "a", "txet": "b"}}, 400, "invalid"),
        ("POST", "/api/v1/notes", {"content": b"x" * (1 << 20) + b"x"}, 413, "server.too-large"),
        ("PUT", "/api/v1/raw", {"content": b"x" * 101}, 413, "server.too-large"),
        ("PUT", "/api/v1/raw", {"content": iter([b"x" * 60] * 2)}, 413, "server.too-large"),
        ("POST", "/api/v1/refuse", {}, 403, "refused"),
        ("POST", "/api/v1/clash", {}, 409, "conflict"),
        ("GET", "/api/v1/notes/a?because=1&because=2", {}, 400, "invalid"),
        ("GET", "/api/v1/notes/a?becuase=1", {}, 400, "server.unknown-parameter"),
        ("GET", "/api/v1/crash", {}, 500, "fault"),
    ],
)
def test_every_mistake_is_answered_in_four_parts(
    client: httpx.Client, method: str, path: str, sent: dict[str, Any], status: int, code: str
) -> None:
    answer = client.request(method, path, **sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == PARTS
    assert all(answer.json().values())


def test_a_mistake_of_ours_is_logged_and_not_told(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="trimtab.server"):
        answer = client.get("/api/v1/crash")
    assert "alice" not in answer.text
    assert "Traceback" not in answer.text
    id_ = answer.json()["next"].split()[2]
    assert id_ in caplog.text
    assert "secret detail" in caplog.text


def test_a_large_answer_is_compressed_for_who_takes_it(client: httpx.Client) -> None:
    packed = client.post("/api/v1/notes", json={"text": "a", "times": 5000})
    assert packed.headers["content-encoding"] == "gzip"
    plain = client.post("/api/v1/notes", json={"text": "a", "times": 5000}, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


def test_head_answers_like_get_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/api/v1/notes/a")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "changed",
    [
        {"permission": None},
        {"permission": "read"},
        {"resource": None},
        {"resource": in_path("model")},
        {"resource": in_query("model")},
        {"resource": in_body("model")},
        {"method": "BREW"},
        {"path": "x"},
        {"path": "/x/"},
        {"summary": ""},
        {"request": dict},
        {"path": "/api/v1/crash"},
    ],
)
def test_a_bad_route_keeps_the_server_from_starting(
    sqlite_store: Store, notes: list[Route], client_for: Callable[..., httpx.Client], changed: dict[str, Any]
) -> None:
    good = {"method": "GET", "path": "/api/v1/x", "permission": Permission.READ, "handler": print}
    good |= {"summary": "x", "resource": PROJECT}
    client_for(sqlite_store, [*notes, Route(**good)])
    with pytest.raises(BadRoute):
        client_for(sqlite_store, [*notes, Route(**(good | changed))])


def test_a_request_that_the_stop_cuts_short_is_refused_in_four_parts(
    sqlite_store: Store, client_for: Callable[..., Any]
) -> None:
    begun = asyncio.Event()
    sent: list[Any] = []

    async def hang(_call: Call) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    route = Route(
        method="GET", path="/api/v1/hangs", permission=Permission.READ, resource=PROJECT, handler=hang, summary="x"
    )
    app = client_for(sqlite_store, [route]).app
    scope = {"type": "http", "method": "GET", "path": route.path, "query_string": b""}
    scope["headers"] = [(b"host", b"testserver")]

    async def cut_short() -> None:
        answering = asyncio.create_task(app(scope, receive, send))
        await asyncio.wait_for(begun.wait(), PATIENCE_S)
        answering.cancel()
        await answering

    asyncio.run(cut_short())
    told = json.loads(sent[1]["body"])
    assert (sent[0]["status"], told["code"]) == (503, "server.stopping")
    assert set(told) == PARTS
    assert all(told.values())
