"""Routes over what no room lists by itself: how the project stands, sources, and the ledger."""

import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from trimtab.data import SourceList, list_sources
from trimtab.kernel import (
    CURSOR,
    PROJECT,
    Body,
    Call,
    Invalid,
    Permission,
    Query,
    Route,
    limit_query,
    parse_time,
    time_query,
)
from trimtab.server.standing import Standing, standing_of
from trimtab.store import (
    InclusionProof,
    Recorded,
    Signed,
    Store,
    VerificationKind,
    event_at,
    events,
    export_log,
    inclusion_proof,
)
from trimtab.store import verify as verify_ledger

LIMIT = 100
MOST = 1000
_NARROWED = (
    Query(name="type", meaning="Only events of these types, separated by commas; `registry.` stands for a whole room."),
    Query(name="actor", meaning="Only events of this author."),
    Query(name="about", meaning="Only events about this thing: `version:late@1`."),
    time_query("since", "Recorded at this time or later."),
    time_query("until", "Recorded before this time."),
    Query(name="order", meaning="Which come first.", kind=Literal["newest", "oldest"], default="newest"),
    limit_query(LIMIT, most=MOST), CURSOR,
)  # fmt: skip


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

    def standing(_call: Call) -> Standing:
        return standing_of(store)

    read = Permission.READ
    return [
        Route(method="GET", path="/api/v1/status", permission=read, resource=PROJECT,
              handler=standing, response=Standing,
              summary="How the project stands, and what needs a person"),
        Route(method="GET", path="/api/v1/sources", permission=read, resource=PROJECT,
              handler=sources, response=SourceList,
              summary="List sources, each with its newest snapshot"),
    ]  # fmt: skip


def _ledger(store: Store) -> list[Route]:
    def recorded(call: Call) -> EventPage:
        query = call.query
        limit = _number(query, "limit", LIMIT, most=MOST)
        found = events(
            store, type=_types(query), actor=query.get("actor") or None,
            subject=_subject(query), since=_time(query, "since"), until=_time(query, "until"),
            after=_number(query, "cursor", 0, most=1 << 53) if "cursor" in query else None, limit=limit + 1,
            order=_order(query),
        )  # fmt: skip
        page = found[:limit]
        return EventPage(page, str(page[-1].position) if len(found) > limit else None)

    def event(call: Call) -> Recorded:
        return event_at(store, _number(call.path, "position", 0, most=1 << 53))

    def proof(call: Call) -> InclusionProof:
        return inclusion_proof(store, _number(call.path, "position", 0, most=1 << 53))

    def checkpoint(_call: Call) -> Signed:
        return store.checkpoint()

    def exported(_call: Call) -> FileResponse:
        folder = Path(tempfile.mkdtemp(prefix="trimtab-"))
        try:
            export_log(store, folder / "ledger.log")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return FileResponse(
            folder / "ledger.log", media_type="application/jsonl", headers={"cache-control": "no-store"},
            background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
        )  # fmt: skip

    def verified(_call: Call) -> Verified:
        found = verify_ledger(store)
        return Verified(
            kind=found.kind, what=found.what, origin=found.origin, events=found.events, root=found.root.hex(),
            first_bad=found.first_bad, proved=found.proved, unproved=found.unproved,
        )  # fmt: skip

    read = Permission.READ
    return [
        Route(method="GET", path="/api/v1/events", permission=read, resource=PROJECT,
              handler=recorded, response=EventPage,
              query=_NARROWED, summary="List events, newest first"),
        Route(method="GET", path="/api/v1/events/{position}", permission=read, resource=PROJECT,
              handler=event, response=Recorded,
              summary="Show one event"),
        Route(method="GET", path="/api/v1/events/{position}/proof", permission=read, resource=PROJECT, handler=proof,
              response=InclusionProof, summary="Prove that an event stands in the ledger (RFC 9162)"),
        Route(method="GET", path="/api/v1/ledger/checkpoint", permission=read, resource=PROJECT,
              handler=checkpoint, response=Signed,
              summary="The newest signed checkpoint (C2SP tlog-checkpoint)"),
        Route(method="GET", path="/api/v1/ledger/export", permission=read, resource=PROJECT, handler=exported,
              response=Body, summary="Download the whole ledger, to verify it where the server is not trusted"),
        Route(method="GET", path="/api/v1/ledger/verification", permission=read, resource=PROJECT,
              handler=verified, response=Verified,
              summary="Verify the whole ledger now"),
    ]  # fmt: skip


def _types(query: Mapping[str, str]) -> list[str] | None:
    return [one for one in query.get("type", "").split(",") if one] or None


def _subject(query: Mapping[str, str]) -> tuple[str, str] | None:
    about = query.get("about", "")
    kind, _, id_ = about.partition(":")
    if about and not (kind and id_):
        raise Invalid(
            f"{about[:100]!r} names no thing",
            where="query about",
            why="An event is about a kind of thing and its id.",
            next="send for example about=version:late@1",
        )
    return (kind, id_) if about else None


def _order(query: Mapping[str, str]) -> Literal["newest", "oldest"]:
    match query.get("order", "newest"):
        case "newest":
            return "newest"
        case "oldest":
            return "oldest"
        case other:
            raise Invalid(
                f"{other[:40]!r} is no order",
                where="query order",
                why="Events are listed newest first or oldest first.",
                next="send order=newest or order=oldest",
            )


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
