"""What every screen is: an address, a permission and what it is needed for, a function from a call to a page."""

import re
from collections.abc import Callable, Mapping

import msgspec

from trimtab.kernel import PROJECT, Body, Call, Invalid, Permission, Resource, Route, in_path
from trimtab.server import Doors, Rooms
from trimtab.ui.render import Pages


class Desk(msgspec.Struct, frozen=True):
    """What a screen works with: the rooms to read from, the pages to draw on, and the doors to sign in at."""

    rooms: Rooms
    pages: Pages
    doors: Doors


def shown_at(path: str, show: Callable[[Call], Body], *, about: str, resource: Resource | None = None) -> Route:
    """Return the route of a page to look at. Without ``resource`` it is about the model or endpoint in its path."""
    return Route(
        method="GET", path=path, permission=Permission.READ, resource=resource or _named_in(path), handler=show,
        summary=about,
    )  # fmt: skip


def done_at(
    path: str,
    do: Callable[[Call, bytes], Body],
    *,
    about: str,
    permission: Permission,
    resource: Resource | None = None,
) -> Route:
    """Return the route of a form that changes something; ``resource`` as for a page."""
    return Route(
        method="POST", path=path, permission=permission, resource=resource or _named_in(path), handler=do,
        summary=about, request=bytes, limit_bytes=1 << 16,
    )  # fmt: skip


def _named_in(path: str) -> Resource:
    found = re.search(r"\{(model|endpoint)\}", path)
    return in_path(found[1]) if found else PROJECT


def page_number(query: Mapping[str, str]) -> int:
    """Return which page of a table is asked for, from 1 on. Raises ``Invalid``."""
    text = query.get("page", "1")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1_000_000):
        raise Invalid(
            f"{text[:40]!r} is not a page", where="query page", why="Pages count from 1.", next="leave page out"
        )
    return int(text)
