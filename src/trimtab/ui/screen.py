"""What every screen is: an address, a permission, a function from a call to a page."""

from collections.abc import Callable, Mapping

import msgspec

from trimtab.kernel import Body, Call, Invalid, Permission, Route
from trimtab.server import Rooms
from trimtab.ui.render import Pages


class Desk(msgspec.Struct, frozen=True):
    """What a screen works with: the rooms to read from, and the pages to draw on."""

    rooms: Rooms
    pages: Pages


def shown_at(path: str, show: Callable[[Call], Body], *, about: str) -> Route:
    """Return the route of a page to look at."""
    return Route(method="GET", path=path, permission=Permission.READ, handler=show, summary=about)


def done_at(
    path: str, do: Callable[[Call, bytes], Body], *, about: str, permission: Permission = Permission.WRITE
) -> Route:
    """Return the route of a form that changes something."""
    return Route(
        method="POST", path=path, permission=permission, handler=do, summary=about, request=bytes, limit_bytes=1 << 16
    )


def page_number(query: Mapping[str, str]) -> int:
    """Return which page of a table is asked for, from 1 on. Raises ``Invalid``."""
    text = query.get("page", "1")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1_000_000):
        raise Invalid(
            f"{text[:40]!r} is not a page", where="query page", why="Pages count from 1.", next="leave page out"
        )
    return int(text)
