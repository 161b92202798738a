"""``/ui/audit``: the ledger with filters, how far it is verified, and one event in full."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock

import msgspec

from trimtab.kernel import Body, Call, Invalid, Route, parse_time
from trimtab.store import Recorded, Store, Verification, event_at, events, verify
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
        recent = _find(
            store, {**call.query, "after": "", "since": "", "until": ""}, since=now - timedelta(hours=24), limit=5000
        )
        return desk.pages.page(
            call, "audit.html", at=AT, lines=[_line(event) for event in found[:EVENTS_A_PAGE]], size=size,
            verification=verification, verified_at=verified_at, more=len(found) > EVENTS_A_PAGE,
            query_values=dict(call.query), origin=store.origin,
            strip=time_strip([e.at for e in recent], bad=[], start=now - timedelta(hours=24), end=now, slices=48,
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
            call, "event.html", at=AT, line=_line(found), event=found, data=msgspec.to_builtins(found.data),
            size=desk.rooms.events(),
        )  # fmt: skip

    return [
        shown_at(AT, audit, about="The ledger, and how far it is verified"),
        shown_at(f"{AT}/{{position}}", event, about="One event of the ledger"),
    ]


def _find(
    store: Store, query: Mapping[str, str], *, since: datetime | None = None, limit: int = EVENTS_A_PAGE + 1
) -> list[Recorded]:
    kind, _, id_ = query.get("about", "").partition(":")
    after = query.get("after", "")
    return events(
        store,
        type=query.get("type") or None,
        actor=query.get("actor") or None,
        subject=(kind, id_) if kind and id_ else None,
        since=since or _time(query, "since"),
        until=_time(query, "until"),
        after=int(after) if after.isdecimal() and len(after) < 16 else None,
        limit=limit,
        order="newest",
    )


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    return parse_time(query[name], where=f"query {name}") if query.get(name) else None


def _line(event: Recorded) -> EventLine:
    return EventLine(event, tuple(link_of(subject) for subject in event.subjects))
