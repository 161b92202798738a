"""One path of the API as an ASGI application: check, decode, call the room's handler, encode."""

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from trimtab.kernel import Call, Ids, Invalid, Permission, Route, TrimtabError
from trimtab.server.answers import answer_of, error_answer, fault_of
from trimtab.server.doors import SAFE_METHODS, Doors, reason_in
from trimtab.server.errors import TooLarge, UnknownParameter, WrongMethod
from trimtab.server.faces import ErrorPage, Mount
from trimtab.server.openapi import is_described
from trimtab.server.receipts import noticing
from trimtab.server.records import Access


class _Because(msgspec.Struct):
    because: str = ""


class Operation:
    """A route, made ready: its decoder is built once."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.raw = route.request is bytes
        self.decoder = None if route.request is None or self.raw else msgspec.json.Decoder(route.request)
        self.on_loop = inspect.iscoroutinefunction(route.handler)
        self.changes = route.method not in SAFE_METHODS and route.permission is not Permission.PREDICT

    async def run(self, call: Call, arguments: Sequence[Any]) -> Any:
        if self.on_loop:
            return await self.route.handler(call, *arguments)
        return await run_in_threadpool(self.route.handler, call, *arguments)


class Asking:
    """What is known of a request so far, for the record of those that are refused."""

    def __init__(self) -> None:
        self.access: Access | None = None
        self.about = ""


class PathApp:
    """Everything that one path answers, by method."""

    def __init__(
        self, path: str, routes: Sequence[Route], *, doors: Doors, ids: Ids, error_page: ErrorPage | None = None
    ) -> None:
        self._path = path
        self._operations = {route.method: Operation(route) for route in routes}
        if "GET" in self._operations:
            self._operations.setdefault("HEAD", self._operations["GET"])
        self._doors = doors
        self._ids = ids
        self._error_page = error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, asking = Request(scope, receive), Asking()
        try:
            response = await self._answer(request, asking)
        except TrimtabError as error:
            self._doors.note(error, asking.access, asked=f"{request.method} {self._path}", about=asking.about)
            response = self._told(request, error)
        except ClientDisconnect:
            return  # whoever asked has gone, in the middle of the body; nobody is there to be answered
        except Exception as fault:  # noqa: BLE001  # the edge: a fault of ours must not take the server with it
            response = self._told(request, fault_of(self._ids, route=f"{request.method} {self._path}", fault=fault))
        await response(scope, receive, send)

    def _told(self, request: Request, error: TrimtabError) -> Response:
        if self._error_page is None:
            return error_answer(error)
        return error_answer(error, page=partial(self._error_page, request.url.path))

    async def _answer(self, request: Request, asking: Asking) -> Response:
        headers, address = request.headers, address_of(request.scope)
        asking.about = headers.get("host", "")
        self._doors.check_host(headers)
        asking.about = ""
        operation = self._operations.get(request.method)
        if operation is None:
            raise WrongMethod(
                f"{request.method} cannot be done here",
                where=f"{request.method} {self._path}",
                allowed=", ".join(sorted(self._operations)),
            )
        self._doors.check_origin(request.method, headers)
        route = operation.route
        access = asking.access = await self._doors.admit(
            route.permission, headers, client=request.scope.get("client"), server=request.scope.get("server")
        )
        if route.permission is not Permission.PUBLIC:
            await self._doors.check_shown(headers)
        path = {name: _text(value, f"path {name}") for name, value in request.path_params.items()}
        query = _query(request, route)
        if not route.resource.in_body:
            await self._check_resource(asking, route, path, query, None)
        because = reason_in(headers)
        arguments: tuple[Any, ...] = ()
        if route.request is not None:
            body = await _body(request, limit=route.limit_bytes)
            arguments = (_decoded(operation, body, self._path),)
            if operation.changes and not because and not operation.raw:
                because = _reason_of(arguments[0], body)
        if route.resource.in_body:
            await self._check_resource(asking, route, path, query, arguments[0])
        call = Call(
            actor=access.actor,
            because=_text(because, "because"),
            may=access.grants.texts,
            only=access.grants.names(route.permission),
            address=address,
            path=path,
            query=query,
            headers=dict(headers),
        )
        with noticing() as receipts:
            result = await operation.run(call, arguments)
        return answer_of(result, status=route.status, receipt=receipts[-1] if receipts else None, asked=headers)

    async def _check_resource(
        self, asking: Asking, route: Route, path: Mapping[str, str], query: Mapping[str, str], body: Any
    ) -> None:
        """Raise ``NotAllowed`` unless the caller holds the route's permission for what the request is about.

        Whoever holds it for everything is asked no more: what a request is about may have to be looked up.
        """
        access = asking.access
        if route.permission is Permission.PUBLIC or access is None or access.grants.names(route.permission) is None:
            return
        names = await run_in_threadpool(route.resource.names, path=path, query=query, body=body)
        asking.about = ", ".join(names or ())
        self._doors.check_held(access, route.permission, names)


class Guarded:
    """An application of its own, asked only by those who may ask."""

    def __init__(self, mount: Mount, *, doors: Doors) -> None:
        self._mount = mount
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, asking, permission = _headers(scope), Asking(), self._mount.permission
        try:
            asking.about = headers.get("host", "")
            self._doors.check_host(headers)
            asking.about = ""
            self._doors.check_origin(scope["method"], headers)
            access = asking.access = await self._doors.admit(
                permission, headers, client=scope.get("client"), server=scope.get("server")
            )
            if access.grants.names(permission) is not None:
                names = self._mount.names(scope)
                asking.about = ", ".join(names or ())
                self._doors.check_held(access, permission, names)
        except TrimtabError as error:
            self._doors.note(error, asking.access, asked=f"{scope['method']} {self._mount.path}", about=asking.about)
            await error_answer(error)(scope, receive, send)
            return
        await self._mount.app(scope, receive, send)


def address_of(scope: Scope) -> str:
    """Return the address that a request came from, empty where the server does not know."""
    client = scope.get("client")
    return client[0] if client else ""


def _headers(scope: Scope) -> Mapping[str, str]:
    """Return the headers of a request, the first of each name: looked up several times, and so made plain once."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


async def _body(request: Request, *, limit: int) -> bytes:
    """Read the body, and stop reading as soon as it is too long."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise TooLarge(f"the body has {declared} bytes", where="body", limit=limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body has more than {limit} bytes", where="body", limit=limit)
        parts.append(part)
    return b"".join(parts)


def _decoded(operation: Operation, body: bytes, path: str) -> Any:
    if operation.decoder is None:
        return body
    where = f"{operation.route.method} {path}: body"
    try:
        return operation.decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"the body is not what this operation takes: {error}",
            where=where,
            why="Each field has a type, and a field that nobody reads would silently do nothing.",
            next="compare with the schema at /api/v1/openapi.json",
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(
            "the body is not JSON" if body else "the body is empty",
            where=where,
            why=f"{error}.",
            next="send JSON with the header Content-Type: application/json",
        ) from None


def _reason_of(decoded: Any, body: bytes) -> str:
    """Return the ``because`` of a JSON body, whether or not the operation's own type has such a field."""
    reason = getattr(decoded, "because", None)
    if isinstance(reason, str):
        return reason
    try:
        return msgspec.json.decode(body, type=_Because).because
    except (msgspec.DecodeError, RecursionError):
        return ""


def _query(request: Request, route: Route) -> Mapping[str, str]:
    found: dict[str, str] = {}
    known = [parameter.name for parameter in route.query] if is_described(route) else None
    for name, value in request.query_params.multi_items():
        if known is not None and name not in known:
            raise UnknownParameter(
                f"there is no parameter {name[:100]!r} here",
                where=f"{route.method} {route.path}: query {name[:100]}",
                known=f"use {', '.join(known)}" if known else f"leave out {name[:100]!r}: this operation has none",
            )
        if name in found:
            # Two values for one question: whichever was taken, the caller might have meant the other.
            raise Invalid(
                f"{name[:100]!r} is given twice",
                where=f"query {name[:100]}",
                why="Each parameter has one value.",
                next=f"give {name[:100]} once",
            )
        found[name] = _text(value, f"query {name[:100]}")
    return found


def _text(text: str, where: str) -> str:
    """Return a text as it is; refuse the one character that no database keeps in a text."""
    if "\0" in text:
        raise Invalid(
            "a text holds the character 0",
            where=where,
            why="It ends a text in many programs, and PostgreSQL keeps none that has it.",
            next="send the text without it",
        )
    return text
