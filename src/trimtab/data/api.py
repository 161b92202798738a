"""The HTTP routes of the data room: snapshots, and the rows that were set aside."""

from typing import Any

import msgspec

from trimtab.data.records import Snapshot
from trimtab.data.snapshot import Page, get_snapshot, list_snapshots, set_aside_rows
from trimtab.kernel import CURSOR, PROJECT, Body, Call, Invalid, NotFound, Permission, Query, Route, limit_query
from trimtab.store import Store

LIMIT = 50
MOST = 500
_SOURCE = Query(name="source", meaning="Only snapshots of this source.")


class SourceList(msgspec.Struct, frozen=True):
    items: tuple[Snapshot, ...]
    next: str | None = None


class SetAsidePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the rows that broke the contract, each with its ``reason``, and where the next page begins."""

    items: tuple[dict[str, Any], ...]
    next: str | None = None


def routes(store: Store) -> list[Route]:
    """Return the routes of this room."""

    def list_(call: Call) -> Page:
        source = call.query.get("source")
        return list_snapshots(store, source, limit=_limit(call), cursor=call.query.get("cursor"))

    def get(call: Call) -> Snapshot:
        return get_snapshot(store, call.path["id"])

    def set_aside(call: Call) -> SetAsidePage:
        snapshot, limit = get_snapshot(store, call.path["id"]), _limit(call)
        offset = _whole(call, "cursor", 0, most=1 << 53)
        rows = set_aside_rows(store, snapshot, limit=limit, offset=offset)
        end = offset + rows.num_rows
        return SetAsidePage(
            items=tuple(_json_row(row) for row in rows.to_pylist()),
            next=str(end) if end < snapshot.set_aside_rows and rows.num_rows else None,
        )

    def file(call: Call) -> Body:
        """Parquet, in the bytes that the snapshot's digest names."""
        snapshot = get_snapshot(store, call.path["id"])
        digests = {"kept": snapshot.digest, "set-aside": snapshot.set_aside_digest}
        digest = digests.get(call.path["part"])
        if digest is None:
            raise NotFound(
                f"{snapshot.id} has no file {call.path['part'][:40]!r}",
                where="path part",
                why=f"Its files are {' and '.join(part for part, found in digests.items() if found)}.",
                next=f"GET /api/v1/snapshots/{snapshot.id}/files/kept",
            )
        return Body(data=store.blobs.get(digest), media_type="application/vnd.apache.parquet")

    return [
        Route(
            method="GET", path="/api/v1/snapshots/{id}/files/{part}", permission=Permission.READ, resource=PROJECT,
            handler=file, summary="Download a snapshot's rows: those that were kept, or those that were set aside",
        ),
        Route(
            method="GET", path="/api/v1/snapshots", permission=Permission.READ, resource=PROJECT,
            handler=list_, response=Page,
            query=(_SOURCE, limit_query(LIMIT, most=MOST), CURSOR),
            summary="List snapshots, newest first",
        ),
        Route(
            method="GET", path="/api/v1/snapshots/{id}", permission=Permission.READ, resource=PROJECT,
            handler=get, response=Snapshot,
            summary="Show one snapshot with its profile",
        ),
        Route(
            method="GET", path="/api/v1/snapshots/{id}/set-aside", permission=Permission.READ, resource=PROJECT,
            handler=set_aside,
            response=SetAsidePage, query=(limit_query(LIMIT, most=MOST), CURSOR),
            summary="List the rows that broke the contract, with the reasons",
        ),
    ]  # fmt: skip


def _limit(call: Call) -> int:
    return _whole(call, "limit", LIMIT, most=MOST, least=1)


def _whole(call: Call, name: str, default: int, *, most: int, least: int = 0) -> int:
    text = call.query.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or not least <= int(text) <= most:
        raise Invalid(
            f"{text[:40]!r} is not a whole number from {least} to {most}",
            where=f"query {name}",
            why=f"{name} counts rows.",
            next=f"leave it out, or write ?{name}={default}",
        )
    return int(text)


def _json_row(row: dict[str, Any]) -> dict[str, Any]:
    """Infinite numbers have no place in JSON; they are what some rows are set aside for."""
    return {
        name: str(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
        for name, value in row.items()
    }
