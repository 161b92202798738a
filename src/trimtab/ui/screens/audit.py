"""``/ui/audit``: the ledger with filters, how far it is verified, and one event in full."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import msgspec

from trimtab.kernel import Body, Call, Invalid, Route, parse_time
from trimtab.store import Recorded, Store, Verification, event_at, event_times, events, verify
from trimtab.ui.draw import time_strip
from trimtab.ui.links import Linked, link_of
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/audit"
EVENTS_A_PAGE = 100
VERIFIED_UNASKED = 20_000
"""Ledgers of at most this many events are verified when the page is looked at; longer ones when somebody asks."""


class EventLine(msgspec.Struct, frozen=True):
    """An event with links to what it is about."""

    event: Recorded
    subjects: tuple[Linked, ...]


class Verified:
    """The last verification, kept until the ledger has grown."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._last: Verification | None = None
        self._at: datetime | None = None

    def look(self, size: int, *, asked: bool) -> tuple[Verification | None, datetime | None]:
        """Return the newest verification and its time; verify now when asked, or when that is quick."""
        with self._lock:
            stale = self._last is None or self._last.events < size
            if asked or (stale and size <= VERIFIED_UNASKED):
                self._last, self._at = verify(self._store), self._store.clock.now()
            return self._last, self._at


def routes(desk: Desk) -> list[Route]:
    """Return the pages of the ledger."""
    store = desk.rooms.store
    verified = Verified(store)

    def audit(call: Call) -> Body:
        found = _find(store, call.query)
        size = desk.rooms.events()
        verification, verified_at = verified.look(size, asked="verify" in call.query)
        now = store.clock.now()
        # The strip shows what the list shows, but for the page of it.
        recent = [at for at, _ in event_times(store, since=now - timedelta(hours=24), **_narrowed(call.query))]
        return desk.pages.page(
            call, "audit.html", at=AT, lines=[line_of_event(event) for event in found[:EVENTS_A_PAGE]], size=size,
            verification=verification, verified_at=verified_at, more=len(found) > EVENTS_A_PAGE,
            query_values=dict(call.query), narrowed=_typed(call.query), origin=store.origin,
            strip=time_strip(recent, bad=[], start=now - timedelta(hours=24), end=now, slices=48,
                             noun="events"),
        )  # fmt: skip

    def event(call: Call) -> Body:
        position = call.path["position"]
        if not (position.isascii() and position.isdigit() and len(position) < 16):
            raise Invalid(
                f"{position[:40]!r} is not a position", where="pages: audit", why="Positions count from 0.",
                next="trimtab get events",
            )  # fmt: skip
        found = event_at(store, int(position))
        return desk.pages.page(
            call, "event.html", at=AT, line=line_of_event(found), event=found, data=msgspec.to_builtins(found.data),
            size=desk.rooms.events(),
        )  # fmt: skip

    return [
        shown_at(AT, audit, about="The ledger, and how far it is verified"),
        shown_at(f"{AT}/{{position}}", event, about="One event of the ledger"),
    ]


def _find(store: Store, query: Mapping[str, str]) -> list[Recorded]:
    after = query.get("after", "")
    return events(
        store, since=_time(query, "since"), until=_time(query, "until"),
        after=int(after) if after.isdecimal() and len(after) < 16 else None, limit=EVENTS_A_PAGE + 1, order="newest",
        **_narrowed(query),
    )  # fmt: skip


def _narrowed(query: Mapping[str, str]) -> dict[str, Any]:
    kind, _, id_ = query.get("about", "").partition(":")
    return {
        "type": query.get("type") or None, "actor": query.get("actor") or None,
        "subject": (kind, id_) if kind and id_ else None,
    }  # fmt: skip


def _typed(query: Mapping[str, str]) -> dict[str, Any]:
    """Return what narrows the list, without what was left out, as the page shows it in Python."""
    found = {**_narrowed(query), "since": _time(query, "since"), "until": _time(query, "until")}
    return {name: value for name, value in found.items() if value is not None}


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    return parse_time(query[name], where=f"query {name}") if query.get(name) else None


def line_of_event(event: Recorded) -> EventLine:
    """Return an event as a row."""
    return EventLine(event, tuple(link_of(subject) for subject in event.subjects))
