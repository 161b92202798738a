"""The server's own routes: health, who am I, tokens, the live stream, and the description of all routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from trimtab.kernel import (
    CURSOR,
    EACH,
    PROJECT,
    VERSION,
    Body,
    Call,
    Invalid,
    Permission,
    Query,
    Route,
    Unavailable,
    limit_query,
)
from trimtab.server.doors import Doors
from trimtab.server.logs import LogPart, server_log
from trimtab.server.openapi import openapi_of
from trimtab.server.records import Health, IssuedToken, IssueToken, Me, Readiness, RefusalList, Token, TokenList
from trimtab.server.refusals import list_refusals
from trimtab.server.tokens import create_token, end_token, list_tokens
from trimtab.store import Store

LIMIT = 200
MOST = 1000
LISTENERS_AT_MOST = 64
LIVE_EVERY_S = 1.0
_LOG = (
    Query(name="offset", meaning="Where to go on, in bytes; without it the last of the file.",
          kind=Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]),
    Query(name="file", meaning="The `file` of the part before: a full log is put aside and begun anew."),
)  # fmt: skip


def routes(
    store: Store,
    doors: Doors,
    *,
    missing: Callable[[], str],
    endpoints: Callable[[], dict[str, bool]],
    live: "Live",
    instance: str = "",
) -> list[Route]:
    """Return the server's own routes. ``missing`` says what still keeps the server from being ready, ``endpoints``
    which of them answer; neither waits for anything.
    """

    async def healthz(_call: Call) -> Health:
        """Answers as soon as the process can answer anything."""
        return Health("ok", VERSION, at=store.clock.now(), instance=instance)

    async def readyz(_call: Call) -> Readiness:
        """Answers 503 until the models are loaded that can be, and while something fails in the background.

        An endpoint that does not answer says so here, and by itself at /v2/models/NAME/ready.
        """
        _check_ready(missing())
        return Readiness("ok", VERSION, at=store.clock.now(), instance=instance, endpoints=endpoints())

    async def me(call: Call) -> Me:
        return Me(call.actor, call.may)

    def tokens(_call: Call) -> TokenList:
        return TokenList(list_tokens(store))

    def issue(call: Call, asked: IssueToken) -> IssuedToken:
        """The secret is in this answer and nowhere else."""
        return create_token(store, asked, actor=call.actor, because=call.because)

    def revoke(call: Call) -> Token:
        return end_token(store, call.path["id"], actor=call.actor, because=call.because)

    def log(call: Call) -> LogPart:
        """Bytes from an offset on; a file that began anew since ``file`` is told from its beginning."""
        offset = call.query.get("offset")
        return server_log(store, file=call.query.get("file", ""), offset=None if offset is None else _offset(offset))

    def refused(call: Call) -> RefusalList:
        """What was noted a moment ago is written down first, so that it is in the list."""
        doors.refusals.write(store)
        return _refusals(store, limit=call.limit(LIMIT, most=MOST), cursor=call.query.get("cursor", "0"))

    read, admin = Permission.READ, Permission.ADMIN
    return [
        Route(method="GET", path="/healthz", permission=Permission.PUBLIC, resource=EACH, handler=healthz,
              summary="Is the process alive?", response=Health),
        Route(method="GET", path="/readyz", permission=Permission.PUBLIC, resource=EACH, handler=readyz,
              summary="May traffic come, and which endpoints answer?", response=Readiness),
        Route(method="GET", path="/api/v1/me", permission=read, resource=EACH, handler=me,
              summary="Who am I, and what may I do?", response=Me),
        Route(method="GET", path="/api/v1/live", permission=read, resource=EACH, handler=live.stream,
              summary="A stream that tells when the ledger has grown (server-sent events)", response=Body),
        Route(method="GET", path="/api/v1/server/log", permission=admin, resource=PROJECT, handler=log,
              response=LogPart, query=_LOG, summary="Read what the server had to say, also as it grows"),
        Route(method="GET", path="/api/v1/tokens", permission=admin, resource=PROJECT, handler=tokens,
              summary="List API tokens", response=TokenList),
        Route(method="POST", path="/api/v1/tokens", permission=admin, resource=PROJECT,
              handler=issue, summary="Issue an API token",
              request=IssueToken, response=IssuedToken, status=201),
        Route(method="DELETE", path="/api/v1/tokens/{id}", permission=admin, resource=PROJECT, handler=revoke,
              summary="Revoke an API token", response=Token),
        Route(method="GET", path="/api/v1/refusals", permission=read, resource=PROJECT, handler=refused,
              query=(limit_query(LIMIT, most=MOST), CURSOR), response=RefusalList,
              summary="List attempts that were refused, counted by the hour, newest first"),
    ]  # fmt: skip


def described(all_routes: Sequence[Route]) -> Route:
    """Return the route that describes all others, and itself."""
    document: list[bytes] = []

    async def openapi(_call: Call) -> Body:
        if not document:
            document.append(msgspec.json.encode(openapi_of([*all_routes, route], version=VERSION)))
        return Body(data=document[0], media_type="application/json")

    route = Route(
        method="GET", path="/api/v1/openapi.json", permission=Permission.READ, resource=EACH, handler=openapi,
        summary="This description", response=dict[str, Any],
    )  # fmt: skip
    return route


def _check_ready(missing: str) -> None:
    if missing:
        raise Unavailable(
            f"the server is not ready: {missing}",
            where="readyz",
            why="It would refuse, or answer with less than it should.",
            next="ask again in a second; trimtab doctor says more",
        )


def _refusals(store: Store, *, limit: int, cursor: str) -> RefusalList:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
        raise Invalid(
            "the cursor is not one of ours", where="query cursor", why="It counts what came before.",
            next="start again without a cursor",
        )  # fmt: skip
    found = list_refusals(store, limit=limit, offset=int(cursor))
    return RefusalList(found, str(int(cursor) + limit) if len(found) == limit else None)


def _offset(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        raise Invalid(
            f"{text[:40]!r} is no offset",
            where="query offset",
            why="It counts bytes.",
            next="send the next_offset of the part before",
        )
    return int(text)


class Live:
    """Tells open pages that the ledger has grown, so that they fetch what they show again.

    ``position`` returns the number of events; it is asked once a second while anyone listens.
    """

    def __init__(self, position: Callable[[], int]) -> None:
        self._position = position
        self._listeners = 0
        self.stopping = False

    async def stream(self, _call: Call) -> Response:
        """Each message is the number of events in the ledger; a comment every 15 seconds keeps the line open."""
        if self._listeners >= LISTENERS_AT_MOST:
            raise Unavailable(
                f"{LISTENERS_AT_MOST} pages listen already",
                where="/api/v1/live",
                why="Each open page holds a connection.",
                next="close some pages, or reload by hand",
            )
        return StreamingResponse(
            self._messages(), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _messages(self) -> AsyncIterator[bytes]:
        self._listeners += 1
        try:
            told, silent = -1, 0
            while not self.stopping:
                position = await run_in_threadpool(self._position)
                silent += 1
                if position != told:
                    told, silent = position, 0
                    yield f"data: {position}\n\n".encode()
                elif silent >= 15:
                    silent = 0
                    yield b": still here\n\n"
                await asyncio.sleep(LIVE_EVERY_S)
        finally:
            self._listeners -= 1
