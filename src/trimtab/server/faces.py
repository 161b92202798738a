"""The faces above this room: pages and the protocols of others, named here and imported when the server starts.

They stand above the server and may import it, so the server knows them by name only. Each module offers
``face(rooms, doors, others)``: what the rooms hold, who may come in, and the routes that are there already.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec

import msgspec
from starlette.types import ASGIApp, Scope

from trimtab.kernel import Body, Names, Permission, Route, TrimtabError
from trimtab.server.doors import Doors
from trimtab.server.rooms import Rooms

FACES = ("trimtab.ui", "trimtab.wire.inference")

ErrorPage = Callable[[str, TrimtabError, int], Body]
"""From the path that was asked for, the error and its status: how a person reads it."""


class Mount(msgspec.Struct, frozen=True):
    """A whole application of its own under a path, behind the same doors as everything else.

    ``names`` tells from a request what it is about, for callers who hold the permission for some names only.
    """

    path: str
    app: ASGIApp
    permission: Permission
    names: Callable[[Scope], Names]


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """The routes of a face. When some of them are for people, ``error_page`` answers for those paths."""

    routes: list[Route] = []
    mounts: tuple[Mount, ...] = ()
    error_page: ErrorPage | None = None
    for_people: Callable[[str], bool] | None = None


def faces_of(rooms: Rooms, doors: Doors, others: Sequence[Route]) -> list[Face]:
    """Return every face that is installed."""
    return [import_module(name).face(rooms, doors, others) for name in FACES if find_spec(name) is not None]
