"""HTTP routes as data: each room lists its own, the server turns the lists into an app and an OpenAPI page."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import Invalid
from trimtab.kernel.ids import is_id

_MOMENT = Annotated[datetime, msgspec.Meta(tz=True)]


class Permission(StrEnum):
    """What a caller must be allowed to do. Each includes the ones before it, except that PUBLIC needs no token."""

    PUBLIC = "public"
    READ = "read"
    PREDICT = "predict"
    WRITE = "write"
    APPROVE = "approve"
    ADMIN = "admin"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, after the edge has parsed it: who asks, why, and with which path and query values."""

    actor: Actor
    because: str = ""
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}

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


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is not JSON: bytes with a media type and headers."""

    data: bytes
    media_type: str = "application/octet-stream"
    headers: Mapping[str, str] = {}
    status: int = 200


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. ``handler(call)`` or, when ``request`` is given, ``handler(call, request)``.

    ``request`` is the msgspec type of the JSON body, or ``bytes`` for the raw body. ``response`` is the type
    of the answer, used for OpenAPI. ``query`` declares every parameter that the handler reads. A handler runs on a
    thread unless it is a coroutine function, which runs on the event loop and must not block. Raises nothing but
    ``TrimtabError`` for a caller's mistake.
    """

    method: str
    path: str
    permission: Permission
    handler: Callable[..., Any]
    summary: str
    request: Any = None
    response: Any = None
    query: tuple[Query, ...] = ()
    status: int = 200
    limit_bytes: int = 1 << 20
