"""Routes over what no room lists by itself: sources, and the ledger."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from fairlead.data import Snapshot, list_sources
from fairlead.kernel import Call, Invalid, Permission, Route, parse_time
from fairlead.store import InclusionProof, Recorded, Signed, Store, VerificationKind, event_at, events, inclusion_proof
from fairlead.store import verify as verify_ledger

LIMIT = 100
MOST = 1000


class SourceList(msgspec.Struct, frozen=True):
    items: tuple[Snapshot, ...]
    next: str | None = None


class EventPage(msgspec.Struct, frozen=True):
    items: list[Recorded]
    next: str | None = None


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification of the whole ledger came to; ``root`` is in hexadecimal digits."""

    kind: VerificationKind
    what: str
    origin: str
    events: int
    root: str
    first_bad: int | None
    proved: tuple[str, ...]
    unproved: tuple[str, ...]


def routes(store: Store) -> list[Route]:
    """Return the routes of sources and the ledger."""
    return [*_things(store), *_ledger(store)]


def _things(store: Store) -> list[Route]:
    def sources(_call: Call) -> SourceList:
        return SourceList(list_sources(store))

    read = Permission.READ
    return [
        Route(method="GET", path="/api/v1/sources", permission=read, handler=sources, response=SourceList,
              summary="List sources, each with its newest snapshot"),
    ]  # fmt: skip


def _ledger(store: Store) -> list[Route]:
    def recorded(call: Call) -> EventPage:
        query = call.query
        limit = _number(query, "limit", LIMIT, most=MOST)
        kind, _, id_ = query.get("about", "").partition(":")
        found = events(
            store, type=query.get("type") or None, actor=query.get("actor") or None,
            subject=(kind, id_) if kind and id_ else None, since=_time(query, "since"), until=_time(query, "until"),
            after=_number(query, "cursor", 0, most=1 << 53) if "cursor" in query else None, limit=limit + 1,
            order="oldest" if query.get("order") == "oldest" else "newest",
        )  # fmt: skip
        page = found[:limit]
        return EventPage(page, str(page[-1].position) if len(found) > limit else None)

    def event(call: Call) -> Recorded:
        return event_at(store, _number(call.path, "position", 0, most=1 << 53))

    def proof(call: Call) -> InclusionProof:
        return inclusion_proof(store, _number(call.path, "position", 0, most=1 << 53))

    def checkpoint(_call: Call) -> Signed:
        return store.checkpoint()

    def verified(_call: Call) -> Verified:
        found = verify_ledger(store)
        return Verified(
            kind=found.kind, what=found.what, origin=found.origin, events=found.events, root=found.root.hex(),
            first_bad=found.first_bad, proved=found.proved, unproved=found.unproved,
        )  # fmt: skip

    read = Permission.READ
    return [
        Route(method="GET", path="/api/v1/events", permission=read, handler=recorded, response=EventPage,
              summary="List events, newest first; ?type= ?actor= ?about=kind:id ?since= ?until= ?order=oldest narrow"),
        Route(method="GET", path="/api/v1/events/{position}", permission=read, handler=event, response=Recorded,
              summary="Show one event"),
        Route(method="GET", path="/api/v1/events/{position}/proof", permission=read, handler=proof,
              response=InclusionProof, summary="Prove that an event stands in the ledger (RFC 9162)"),
        Route(method="GET", path="/api/v1/ledger/checkpoint", permission=read, handler=checkpoint, response=Signed,
              summary="The newest signed checkpoint (C2SP tlog-checkpoint)"),
        Route(method="GET", path="/api/v1/ledger/verification", permission=read, handler=verified, response=Verified,
              summary="Verify the whole ledger now"),
    ]  # fmt: skip


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    return parse_time(query[name], where=f"query {name}") if query.get(name) else None


def _number(values: Mapping[str, str], name: str, otherwise: int, *, most: int) -> int:
    text = values.get(name, str(otherwise))
    usable = text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= most
    if not usable or (name == "limit" and int(text) == 0):
        raise Invalid(
            f"{text[:40]!r} is not a usable {name}",
            where=f"{name}",
            why=f"It is a whole number, at most {most}.",
            next=f"send for example {name}={max(1, otherwise)}",
        )
    return int(text)
