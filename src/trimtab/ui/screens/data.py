"""``/ui/data``: sources with their newest snapshots, and one source with its columns and what was set aside."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from trimtab.data import (
    ColumnProfile,
    Snapshot,
    get_snapshot,
    latest_snapshot,
    list_snapshots,
    list_sources,
    page_after,
    set_aside_rows,
)
from trimtab.kernel import Body, Call, NotFound, Route, percent
from trimtab.ui.draw import Histogram, histogram_pair, spark_bars
from trimtab.ui.draw.scale import short
from trimtab.ui.render import when
from trimtab.ui.screen import Desk, page_number, shown_at

ROWS_A_PAGE = 50
SNAPSHOTS_A_PAGE = 12
HISTORY_SHOWN = 20
TOP_SHOWN = 12
AT = "/ui/data"


class SourceLine(msgspec.Struct, frozen=True):
    """A source as the list shows it: its newest snapshot, and what changed in its columns since the one before."""

    snapshot: Snapshot
    checks: int
    broken: int
    changes: tuple[str, ...]


class ColumnLine(msgspec.Struct, frozen=True):
    profile: ColumnProfile
    low: str
    mean: str
    high: str
    spark: Any
    top: str


def routes(desk: Desk) -> list[Route]:
    """Return the pages of the data room."""
    store = desk.rooms.store

    def sources(call: Call) -> Body:
        lines = [_line(snapshot, _previous(snapshot)) for snapshot in list_sources(store)]
        page = list_snapshots(store, limit=SNAPSHOTS_A_PAGE, cursor=call.query.get("cursor") or None)
        return desk.pages.page(
            call, "data.html", at=AT, lines=lines, recent=page.items, next=page.next, query_values=dict(call.query),
            rows=sum(line.snapshot.rows for line in lines), aside=sum(line.snapshot.set_aside_rows for line in lines),
        )  # fmt: skip

    def source(call: Call) -> Body:
        name = call.path["source"]
        asked = call.query.get("snapshot", "")
        snapshot = get_snapshot(store, asked) if asked else latest_snapshot(store, name)
        if snapshot is None or snapshot.source != name:
            raise NotFound(
                f"there is no such state of {name[:100]!r}",
                where="pages: data",
                why="No snapshot with this name was ever taken of it.",
                next="trimtab get sources",
            )
        page = page_number(call.query)
        aside = set_aside_rows(store, snapshot, limit=ROWS_A_PAGE, offset=(page - 1) * ROWS_A_PAGE)
        chosen = call.query.get("column", "")
        profile = snapshot.profile.column(chosen) if chosen else None
        return desk.pages.page(
            call, "source.html", at=AT, line=_line(snapshot, _previous(snapshot)), snapshot=snapshot,
            columns=[_column(column) for column in snapshot.profile.columns], aside=aside.to_pylist(),
            aside_names=_shown_names(snapshot, aside.column_names), page=page,
            first=(page - 1) * ROWS_A_PAGE + 1,
            more=page * ROWS_A_PAGE < snapshot.set_aside_rows, history=list_snapshots(store, name, limit=HISTORY_SHOWN),
            profile=profile, histogram=profile and _histogram(profile),
            quantiles=_quantiles(profile), top=profile.top[:TOP_SHOWN] if profile else (),
            query_values=dict(call.query),
        )  # fmt: skip

    def _previous(snapshot: Snapshot) -> Snapshot | None:
        return next(iter(list_snapshots(store, snapshot.source, limit=1, cursor=page_after(snapshot)).items), None)

    return [
        shown_at(AT, sources, about="Sources and their newest snapshots"),
        shown_at(f"{AT}/{{source}}", source, about="One source: columns, snapshots, rows set aside"),
    ]


def _line(snapshot: Snapshot, before: Snapshot | None) -> SourceLine:
    changes = []
    if before is not None:
        changes += [f"{name} is new" for name in snapshot.types if name not in before.types]
        changes += [f"{name} is gone" for name in before.types if name not in snapshot.types]
        changes += [
            f"{name}: {before.types[name]} to {kind}"
            for name, kind in snapshot.types.items()
            if before.types.get(name, kind) != kind
        ]
    broken = {line.field for line in snapshot.breaks}
    return SourceLine(snapshot, len(snapshot.types), len(broken), tuple(changes))


def _column(profile: ColumnProfile) -> ColumnLine:
    counts = list(profile.counts) or [count for _, count in profile.top[:24]]
    return ColumnLine(
        profile, _value(profile, profile.min), _value(profile, profile.mean), _value(profile, profile.max),
        spark_bars(_coarse(counts)),
        ", ".join(f"{value} {percent(count / max(profile.rows, 1))}" for value, count in profile.top[:3]),
    )  # fmt: skip


def _coarse(counts: list[int], *, most: int = 32) -> list[int]:
    """Add neighbours up until there are few enough cells for a small picture."""
    size = -(-len(counts) // most) if counts else 1
    return [sum(counts[i : i + size]) for i in range(0, len(counts), size)]


def _histogram(profile: ColumnProfile) -> Histogram | None:
    if not profile.edges:
        return None
    size = max(1, len(profile.counts) // 64)
    counts = [sum(profile.counts[i : i + size]) for i in range(0, len(profile.counts), size)]
    edges = [*profile.edges[:-1:size], profile.edges[-1]]
    return histogram_pair(edges, counts, name=profile.name)


def _quantiles(profile: ColumnProfile | None) -> list[tuple[str, str]]:
    """Return the quantiles in words: ``5 % below``."""
    if profile is None:
        return []
    return [(f"{float(share) * 100:g} % below", _value(profile, value)) for share, value in profile.quantiles.items()]


def _value(profile: ColumnProfile, value: float | None) -> str:
    if value is None:
        return "–"
    if "time" in profile.kind:
        return when(datetime.fromtimestamp(value, UTC))[:16]
    return short(value)


def _shown_names(snapshot: Snapshot, names: list[str]) -> list[str]:
    """Put the reason and the broken columns first: that is what one looks for."""
    broken = [line.field for line in snapshot.breaks if line.field in names]
    first = ["reason", *dict.fromkeys(broken)]
    return first + [name for name in names if name not in first]
