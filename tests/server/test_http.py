"""Connections over real sockets: each is held to its limits, and none holds what others need."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import uvicorn
from tests.waiting import PATIENCE_S, wait_until

from trimtab.server import http as http_module
from trimtab.server.http import Connection, HttpLimits, watch


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with how much came, or with more than anybody reads."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    body = bytes(64 << 20) if scope["path"] == "/much" else str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Running:
    """A server on a thread."""

    def __init__(self, limits: HttpLimits, keep_alive_s: int) -> None:
        config = uvicorn.Config(
            echo, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none",
            http=partial(Connection, limits=limits), timeout_keep_alive=keep_alive_s,
        )  # type: ignore[arg-type]  # fmt: skip
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        wait_until(lambda: self.server.started, "it serves", alive=self._thread)
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]

    async def _serve(self) -> None:
        watching = asyncio.create_task(watch(self.server.server_state.connections))
        await self.server.serve()
        watching.cancel()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join()


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Start a server with some limits."""
    monkeypatch.setattr(http_module, "LOOK_S", 0.02)
    running: list[Running] = []

    def make(*, keep_alive_s: int = 75, **limits: Any) -> Running:
        wanted = HttpLimits(**({"head_bytes": 65_536, "timeout_s": PATIENCE_S, "connections": 100} | limits))
        running.append(Running(wanted, keep_alive_s))
        return running[-1]

    yield make
    for one in running:
        one.stop()


def answer_on(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Return status and body of what comes, to the end of the connection."""
    found = http.client.HTTPResponse(connection)
    found.begin()
    return found.status, json.loads(found.read())


@pytest.mark.parametrize("parts", [1, 50])
def test_a_head_that_is_too_large_is_refused(start: Callable[..., Running], parts: int) -> None:
    running = start(head_bytes=4096)
    with running.connect() as connection:
        data = b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n"
        size = len(data) // parts + 1
        with contextlib.suppress(ConnectionError):
            for place in range(0, len(data), size):
                connection.sendall(data[place : place + size])
        status, told = answer_on(connection)
        assert (status, told["code"]) == (431, "server.head-too-large")
    with running.connect() as connection:
        body = b"x" * 1_000_000  # a body is no head
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert answer_on(connection) == (200, len(body))  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("sent", ["", "POST / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfive!"])
def test_who_does_not_send_on_is_hung_up_on(start: Callable[..., Running], sent: str) -> None:
    running = start(timeout_s=0.2)
    with running.connect() as connection:
        connection.sendall(sent.encode())
        status, told = answer_on(connection)
        assert (status, told["code"]) == (408, "server.too-slow")
        assert connection.recv(10) == b""
    wait_until(lambda: not running.server.server_state.connections, "nothing is left of it")


def test_who_does_not_read_an_answer_is_hung_up_on(start: Callable[..., Running]) -> None:
    running = start(timeout_s=0.2)
    with running.connect() as connection:
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: running.server.server_state.connections, "it is there")
        wait_until(lambda: not running.server.server_state.connections, "it is hung up on")


def test_a_body_that_moves_on_may_take_its_time(start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "SLOWEST_BYTES_S", 1)
    running = start(timeout_s=0.3)
    with running.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 600\r\n\r\n")
        for _ in range(6):
            connection.sendall(b"x" * 100)
            threading.Event().wait(0.1)
        assert answer_on(connection) == (200, 600)  # type: ignore[comparison-overlap]


def test_beyond_the_most_connections_idle_ones_make_room_and_busy_ones_do_not(start: Callable[..., Running]) -> None:
    running = start(connections=2)
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    with running.connect() as busy, running.connect() as idle:
        busy.sendall(body)
        wait_until(lambda: _busy(running) == 1, "its request has begun")
        with running.connect() as third:
            assert idle.recv(10) == b"", "the idle one is closed"
            third.sendall(body)
            wait_until(lambda: _busy(running) == 2, "its request has begun")
            with running.connect() as fourth:
                assert answer_on(fourth)[1]["code"] == "server.too-many-connections"
            for one in (busy, third):
                one.sendall(b"12345")
                assert answer_on(one) == (200, 5)  # type: ignore[comparison-overlap]


def _busy(running: Running) -> int:
    return sum(one.scope is not None for one in list(running.server.server_state.connections))  # type: ignore[union-attr]


def test_a_connection_without_a_request_is_closed_after_its_time(start: Callable[..., Running]) -> None:
    running = start(keep_alive_s=1)
    with running.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_on(connection) == (200, 0)  # type: ignore[comparison-overlap]
        assert connection.recv(10) == b"", "it is closed after a while"
