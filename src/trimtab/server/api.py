"""The server's own routes: health, who am I, tokens, the live stream, and the description of all routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from trimtab.kernel import VERSION, Body, Call, Permission, Route, Unavailable
from trimtab.server.doors import Doors
from trimtab.server.openapi import openapi_of
from trimtab.server.records import Health, IssuedToken, IssueToken, Me, Token, TokenList
from trimtab.server.tokens import issue_token, list_tokens, revoke_token
from trimtab.store import Store

LISTENERS_AT_MOST = 64
LIVE_EVERY_S = 1.0


def routes(store: Store, doors: Doors, *, missing: Callable[[], str], live: "Live") -> list[Route]:
    """Return the server's own routes. ``missing`` says what still keeps the server from being ready."""

    async def healthz(_call: Call) -> Health:
        """Answers as soon as the process can answer anything."""
        return Health("ok", VERSION)

    def readyz(_call: Call) -> Health:
        """Answers 503 until the database, the models and the workers are there."""
        if found := missing():
            raise Unavailable(
                f"the server is not ready: {found}",
                where="readyz",
                why="It would refuse, or answer with less than it should.",
                next="ask again in a second; trimtab doctor says more",
            )
        return Health("ok", VERSION)

    async def me(call: Call) -> Me:
        access = await doors.admit(Permission.READ, Headers(call.headers))
        return Me(access.actor, access.permission)

    def tokens(_call: Call) -> TokenList:
        return TokenList(list_tokens(store))

    def issue(call: Call, asked: IssueToken) -> IssuedToken:
        """The secret is in this answer and nowhere else."""
        with store.change(call.actor, call.because) as change:
            return issue_token(
                change, asked.name, permission=asked.permission, actor=asked.actor, expires_in_s=asked.expires_in_s
            )

    def revoke(call: Call) -> Token:
        with store.change(call.actor, call.because) as change:
            return revoke_token(change, call.path["id"])

    read, admin = Permission.READ, Permission.ADMIN
    return [
        Route(method="GET", path="/healthz", permission=Permission.PUBLIC, handler=healthz,
              summary="Is the process alive?", response=Health),
        Route(method="GET", path="/readyz", permission=Permission.PUBLIC, handler=readyz,
              summary="May traffic come?", response=Health),
        Route(method="GET", path="/api/v1/me", permission=read, handler=me,
              summary="Who am I, and what may I do?", response=Me),
        Route(method="GET", path="/api/v1/live", permission=read, handler=live.stream,
              summary="A stream that tells when the ledger has grown (server-sent events)", response=Body),
        Route(method="GET", path="/api/v1/tokens", permission=admin, handler=tokens,
              summary="List API tokens", response=TokenList),
        Route(method="POST", path="/api/v1/tokens", permission=admin, handler=issue, summary="Issue an API token",
              request=IssueToken, response=IssuedToken, status=201),
        Route(method="DELETE", path="/api/v1/tokens/{id}", permission=admin, handler=revoke,
              summary="Revoke an API token", response=Token),
    ]  # fmt: skip


def described(all_routes: Sequence[Route]) -> Route:
    """Return the route that describes all others, and itself."""
    document: list[bytes] = []

    async def openapi(_call: Call) -> Body:
        if not document:
            document.append(msgspec.json.encode(openapi_of([*all_routes, route], version=VERSION)))
        return Body(data=document[0], media_type="application/json")

    route = Route(
        method="GET", path="/api/v1/openapi.json", permission=Permission.READ, handler=openapi,
        summary="This description", response=dict[str, Any],
    )  # fmt: skip
    return route


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
