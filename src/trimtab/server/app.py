"""Compose the rooms' routes into one ASGI application."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import assert_never

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route as Mounted
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from trimtab.kernel import Ids, Invalid, Part, Permission, Resource, Route, TrimtabError
from trimtab.server.answers import error_answer
from trimtab.server.doors import Doors
from trimtab.server.errors import NoSuchPage, Stopping
from trimtab.server.faces import ErrorPage, Face
from trimtab.server.operation import Guarded, PathApp

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


class BadRoute(Invalid):
    """A programmer's mistake in a room's list of routes: the server does not start with it."""

    code = "server.bad-route"
    default_why = "Every operation says what it needs and what it is, or nobody could trust the list."
    default_next = "correct the route in the room's api.py"


def create_app(
    routes: Sequence[Route],
    *,
    doors: Doors,
    ids: Ids,
    lifespan: Lifespan | None = None,
    faces: Sequence[Face] = (),
) -> Starlette:
    """Return the application that answers these routes, those of the faces, and nothing else.

    Raises ``BadRoute`` for a route without a permission, a path or method that cannot be served, or two routes for
    the same operation.
    """
    by_path: dict[str, list[Route]] = {}
    for route in [*routes, *(route for face in faces for route in face.routes)]:
        _check(route, by_path.get(route.path, []))
        by_path.setdefault(route.path, []).append(route)

    def error_page(path: str) -> ErrorPage | None:
        return next((face.error_page for face in faces if face.for_people and face.for_people(path)), None)

    mounted = [
        Mounted(path, PathApp(path, together, doors=doors, ids=ids, error_page=error_page(path)), name=path)
        for path, together in by_path.items()
    ]
    guarded = {mount.path: Guarded(mount, doors=doors) for face in faces for mount in face.mounts}
    app = Starlette(lifespan=lifespan, middleware=[Middleware(_Entrance, guarded=guarded)])
    app.router = Router(mounted, redirect_slashes=False, default=_Nowhere(doors, error_page), lifespan=lifespan)
    return app


def _check(route: Route, others: Sequence[Route]) -> None:
    where = f"route {route.method} {route.path}"
    # A struct does not check its fields' types, so None or a plain text could stand for the permission.
    if not isinstance(route.permission, Permission):
        raise BadRoute("the route declares no permission", where=where)
    if not isinstance(route.resource, Resource):
        raise BadRoute("the route does not say what its permission is needed for", where=where)
    unknown = [part.name for part in route.resource.parts if not _has(route, part)]
    if unknown:
        raise BadRoute(f"the route has no parameter {unknown[0]!r}, which should name what it is about", where=where)
    if route.method not in METHODS:
        raise BadRoute(f"{route.method!r} is not one of {', '.join(METHODS)}", where=where)
    if not route.path.startswith("/") or (route.path.endswith("/") and route.path != "/"):
        raise BadRoute("a path starts with / and does not end with one", where=where)
    if not route.summary:
        raise BadRoute("the route has no summary", where=where)
    if route.request is not None and route.method == "GET":
        raise BadRoute("GET takes no body", where=where)
    if any(other.method == route.method for other in others):
        raise BadRoute("two routes answer the same operation", where=where)


def _has(route: Route, part: Part) -> bool:
    """Say whether a route has the parameter that is to name what it is about; misspelt, nothing would be checked."""
    match part.place:
        case "path":
            return f"{{{part.name}}}" in route.path or f"{{{part.name}:" in route.path
        case "query":
            return any(query.name == part.name for query in route.query)
        case "body":
            return part.name in getattr(route.request, "__struct_fields__", ())
        case _:
            assert_never(part.place)


class _Entrance:
    """Where each request comes in, and where one ends that the stop of the server cuts short.

    A request below a mount's path is handed to the mount before routes are tried: inference is asked most often.
    """

    def __init__(self, app: ASGIApp, guarded: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._guarded = [(path, f"{path}/", below) for path, below in guarded.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._below(scope)(scope, receive, send)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if scope["type"] != "http" or task is None or not task.cancelling():
                raise
            error = Stopping("the server stops", where=f"{scope['method']} request")
            with suppress(RuntimeError):  # its answer had begun: whoever has half of it is hung up on
                await error_answer(error)(scope, receive, send)

    def _below(self, scope: Scope) -> ASGIApp:
        if scope["type"] == "http":
            asked: str = scope["path"].removeprefix(scope.get("root_path", ""))
            for path, start, below in self._guarded:
                if asked.startswith(start) or asked == path:
                    return below
        return self._app


class _Nowhere:
    """What answers for paths that do not exist; it tells strangers no more than the rest does."""

    def __init__(self, doors: Doors, error_page: Callable[[str], ErrorPage | None]) -> None:
        self._doors = doors
        self._error_page = error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            self._doors.check_host(request.headers)
            raise NoSuchPage(f"there is nothing at {request.url.path[:200]}", where=f"{request.method} request")
        except TrimtabError as error:
            self._doors.note(error, None, asked="a path that is not there", about=request.headers.get("host", ""))
            page = self._error_page(request.url.path)
            response = error_answer(error, page=page and partial(page, request.url.path))
        await response(scope, receive, send)
