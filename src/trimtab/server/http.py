"""The HTTP connections of the server, each held to limits, so that none of them can hold what others need."""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trimtab.kernel import Invalid, Settings, TrimtabError, Unavailable
from trimtab.server.answers import failure_of

LOOK_S = 1.0
SLOWEST_BYTES_S = 1000
"""A body that arrives faster than this may take as long as it needs."""
_REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may take: bytes of a head, seconds to send it or to let a body or an answer move on, and how
    many connections there may be."""

    head_bytes: int
    timeout_s: float
    connections: int

    @classmethod
    def of(cls, settings: Settings) -> "HttpLimits":
        return cls(
            head_bytes=settings.http_head_bytes,
            timeout_s=settings.http_timeout_s,
            connections=settings.http_connections,
        )


class HeadTooLarge(Invalid):
    """The head of a request, its address and headers, is longer than this server takes."""

    code = "server.head-too-large"
    default_why = "A head has at most {limit} bytes."
    default_next = "send less in headers and cookies, or raise the setting http_head_bytes"


class TooSlow(Invalid):
    """A request did not arrive, or its answer was not read, in the time that this may take."""

    code = "server.too-slow"
    default_why = "Whoever sends nothing for {timeout_s:g} s holds a connection that others may need."
    default_next = "send the request again, or raise the setting http_timeout_s"


class TooManyConnections(Unavailable):
    """As many connections as the server takes are all in use."""

    code = "server.too-many-connections"
    default_why = "Each of them has a request in progress."
    default_next = "try again a little later, or raise the setting http_connections"


class Connection(HttpToolsProtocol):
    """A connection that may not hold on to the server: see ``HttpLimits``. ``look`` is called each second."""

    def __init__(self, *given: Any, limits: HttpLimits, **named: Any) -> None:
        super().__init__(*given, **named)
        self._limits = limits
        self._head_bytes = 0
        self._received = 0
        self._waits_for: tuple[object, ...] = ()
        self._since = self.loop.time()
        self._received_then = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        limit = self._limits.head_bytes
        if len(data) <= limit:
            super().data_received(data)
            if self.cycle is None or self.cycle.scope is not self.scope:
                self._check_head(len(data))
            elif self._head_bytes:
                self._head_bytes = 0
            return
        # Taken in pieces, so that a head is found to be too large before its request begins.
        for start in range(0, len(data), limit):
            if not self.transport.is_closing():
                self.data_received(data[start : start + limit])

    def _check_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes >= self._limits.head_bytes and not self.transport.is_closing():
            error = HeadTooLarge("the head is too large", where="request", limit=self._limits.head_bytes)
            self._refuse(431, error)

    @property
    def idle_since(self) -> float | None:
        """When its last answer was given, or it was opened, without a request since; None while there is one."""
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        return self._since if self.scope is None else None

    def look(self) -> None:
        """Close the connection when whoever is at its other end lets it wait for too long."""
        now, waits_for = self.loop.time(), self._waiting()
        if waits_for != self._waits_for:
            self._waits_for, self._since, self._received_then = waits_for, now, self._received
        allowed_s = self._limits.timeout_s
        if self.cycle is not None and self.cycle.more_body:
            allowed_s += (self._received - self._received_then) / SLOWEST_BYTES_S
        if waits_for and now - self._since > allowed_s and not self.transport.is_closing():
            self._refuse(408, TooSlow("it took too long", where="request", timeout_s=self._limits.timeout_s))

    def _waiting(self) -> tuple[object, ...]:
        """Return what is awaited from the other end: a head, the rest of a body, or that an answer is read."""
        cycle = self.cycle
        if self.flow.write_paused:
            return ("answer", self.transport.get_write_buffer_size())
        if self.scope is None:
            return ("head", None)
        if cycle is None or cycle.scope is not self.scope:
            return ("head", id(self.scope))
        if cycle.more_body and not cycle.response_complete and not self.flow.read_paused:
            return ("body", id(self.scope))
        return ()

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest; without one, refuse this one."""
        idle = [(one.idle_since, one) for one in self.connections if one is not self and isinstance(one, Connection)]
        found = min((pair for pair in idle if pair[0] is not None), key=lambda pair: pair[0] or 0.0, default=None)
        if found is not None:
            found[1].transport.close()
            return
        self._refuse(503, TooManyConnections(f"{self._limits.connections} connections are in use", where="server"))

    def _refuse(self, status: int, error: TrimtabError) -> None:
        """Say why and hang up; where an answer is under way, only hang up."""
        cycle = self.cycle
        if self.flow.write_paused or (cycle is not None and cycle.response_started and not cycle.response_complete):
            self.transport.abort()
            return
        body = msgspec.json.encode(failure_of(error))
        head = [
            f"HTTP/1.1 {status} {_REASONS[status]}", "connection: close", "content-type: application/json",
            f"content-length: {len(body)}", *(["retry-after: 1"] if status == 503 else []), "", "",
        ]  # fmt: skip
        self.transport.write("\r\n".join(head).encode() + body)
        self.transport.close()


async def watch(connections: set[Any]) -> None:
    """Look at every connection once a second, for as long as the server runs."""
    while True:
        await asyncio.sleep(LOOK_S)
        for connection in list(connections):
            if isinstance(connection, Connection):
                connection.look()
