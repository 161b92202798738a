"""HTTP routes as data: each room lists its own, the server turns the lists into an app and an OpenAPI page."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import Invalid
from trimtab.kernel.ids import is_id
from trimtab.kernel.permissions import Names, Permission

_MOMENT = Annotated[datetime, msgspec.Meta(tz=True)]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, after the edge has parsed it: who asks, why, and with which path and query values.

    ``may`` are the caller's permissions as people write them, ``only`` the names that the one which the route needs is
    held for (None: everything), and ``address`` the machine that the request came from.
    """

    actor: Actor
    because: str = ""
    may: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    address: str = ""
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}

    def shows(self, *names: str) -> bool:
        """Say whether a list may show something that has these names."""
        return self.only is None or self.only.issuperset(names)

    def id_cursor(self) -> str | None:
        """Return the query's ``cursor`` of a listing that goes by ids, None on the first page. Raises ``Invalid``."""
        cursor = self.query.get("cursor")
        if cursor is not None and not is_id(cursor):
            raise Invalid(
                "the cursor is not one of ours",
                where="query cursor",
                why="A cursor is the next value of the page before, unchanged.",
                next="start again without a cursor",
            )
        return cursor

    def limit(self, default: int, *, most: int) -> int:
        """Return the query's ``limit``: how many items a page holds. Raises ``Invalid``."""
        text = self.query.get("limit", str(default))
        if not text.isdecimal() or not 1 <= int(text[:9]) <= most:
            raise Invalid(
                f"limit is {text[:20]!r}",
                where="query limit",
                why=f"It is a whole number from 1 to {most}.",
                next=f"add for example ?limit={default}",
            )
        return int(text)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One query parameter of a route, after the ``?``. A request with a name that is not declared is refused.

    ``kind`` is the msgspec type of its values, used for OpenAPI; ``default`` is what a handler takes without it.
    """

    name: str
    meaning: str
    kind: Any = str
    default: Any = None
    required: bool = False


def limit_query(default: int, *, most: int) -> Query:
    """Return the parameter that says how many items a page holds."""
    kind = Annotated[int, msgspec.Meta(ge=1, le=most)]
    return Query(name="limit", meaning="How many items a page holds.", kind=kind, default=default)


def time_query(name: str, meaning: str) -> Query:
    """Return a parameter that is a moment, read by ``parse_time``."""
    return Query(name=name, meaning=f"{meaning} ISO 8601; without an offset UTC.", kind=_MOMENT)


CURSOR = Query(name="cursor", meaning="Where to go on: the `next` of the page before, unchanged.")
"""The parameter that goes on with a listing."""


class Part(msgspec.Struct, frozen=True):
    """A parameter that names a model, an endpoint or an experiment, or that ``lookup`` finds the name for."""

    place: Literal["path", "query", "body"]
    name: str
    lookup: Callable[[str], str] | None = None


class Resource(msgspec.Struct, frozen=True):
    """What a request is about, so that a permission for some names can be held against it.

    ``parts`` say where it stands in the request; a part that is left out there counts for nothing, and where all are,
    the request is about the whole project. ``each``: about nothing in particular; a list shows what the caller may see.
    """

    parts: tuple[Part, ...] = ()
    each: bool = False

    @property
    def in_body(self) -> bool:
        return any(part.place == "body" for part in self.parts)

    def names(self, *, path: Mapping[str, str], query: Mapping[str, str], body: Any = None) -> Names:
        """Return the names that a request is about. Raises what a lookup raises."""
        if self.each:
            return ()
        found = []
        for part in self.parts:
            values = {"path": path, "query": query}.get(part.place)
            value = getattr(body, part.name, None) if values is None else values.get(part.name)
            if value:
                found.append(part.lookup(value) if part.lookup else str(value))
        return tuple(found) or None

    def __and__(self, other: "Resource") -> "Resource":
        """Return what is about both, so that the permission is needed for both."""
        return Resource((*self.parts, *other.parts))


PROJECT = Resource()
"""About the whole project: a permission for some names does not suffice."""
EACH = Resource(each=True)
"""About nothing in particular: a permission for any name suffices, and a list shows only what it is held for."""


def in_path(name: str, lookup: Callable[[str], str] | None = None) -> Resource:
    """Return the resource that a parameter of the path names, or that is looked up by it."""
    return Resource((Part("path", name, lookup),))


def in_query(name: str) -> Resource:
    """Return the resource that a query parameter names; without it, the whole project."""
    return Resource((Part("query", name),))


def in_body(name: str) -> Resource:
    """Return the resource that a field of the body names; without it, the whole project."""
    return Resource((Part("body", name),))


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is not JSON: bytes with a media type and headers."""

    data: bytes
    media_type: str = "application/octet-stream"
    headers: Mapping[str, str] = {}
    status: int = 200


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. ``handler(call)`` or, when ``request`` is given, ``handler(call, request)``.

    ``resource`` says what ``permission`` is needed for. ``request`` is the msgspec type of the JSON body, or ``bytes``
    for the raw body. ``response`` is the type of the answer, used for OpenAPI. ``query`` declares every parameter that
    the handler reads. A handler runs on a
    thread unless it is a coroutine function, which runs on the event loop and must not block. Raises nothing but
    ``TrimtabError`` for a caller's mistake.
    """

    method: str
    path: str
    permission: Permission
    resource: Resource
    handler: Callable[..., Any]
    summary: str
    request: Any = None
    response: Any = None
    query: tuple[Query, ...] = ()
    status: int = 200
    limit_bytes: int = 1 << 20
