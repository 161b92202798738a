"""``/ui/features``: views with their freshness, and one view with its columns and who uses it."""

from datetime import datetime
from typing import assert_never

import msgspec

from trimtab.declare import Column, Derived, Field, Latest, Rolling, TimePart, duration_text
from trimtab.features import RegisteredView, compile_view, decided_text, get_view, list_views
from trimtab.kernel import Body, Call, Route
from trimtab.registry import all_models, all_versions
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/features"
VIEWS_A_PAGE = 50
USERS_SHOWN, VIEW_USERS_SHOWN = 4, 50
"""Versions that learnt from a view: in the list, and on its own page."""


class ViewLine(msgspec.Struct, frozen=True):
    """A view, when its decisions are taken, and the versions that learnt from it."""

    view: RegisteredView
    decided: str
    used_by: tuple[str, ...]


class ColumnLine(msgspec.Struct, frozen=True):
    name: str
    kind: str
    source: str


def routes(desk: Desk) -> list[Route]:
    """Return the pages of the features room."""
    store = desk.rooms.store

    def users() -> dict[str, list[str]]:
        """Return the versions that learnt from each definition, by its digest."""
        found: dict[str, list[str]] = {}
        for model in all_models(store):
            for version in all_versions(store, model.name):
                if version.lineage.features:
                    found.setdefault(version.lineage.features, []).append(version.ref)
        return found

    def line(view: RegisteredView, used: dict[str, list[str]]) -> ViewLine:
        return ViewLine(view, decided_text(view.spec), tuple(used.get(view.digest, ())))

    def views(call: Call) -> Body:
        used = users()
        found = list_views(store, after=call.query.get("after", ""), limit=VIEWS_A_PAGE + 1)
        lines = [line(view, used) for view in found[:VIEWS_A_PAGE]]
        return desk.pages.page(
            call, "features.html", at=AT, lines=lines, count=len(list_views(store, limit=None)),
            users_shown=USERS_SHOWN,
            after=lines[-1].view.name if len(found) > VIEWS_A_PAGE else "", query_values=dict(call.query),
        )  # fmt: skip

    def view(call: Call) -> Body:
        version = call.query.get("version", "")
        found = get_view(
            store, call.path["name"], version=int(version) if version.isdecimal() and len(version) < 9 else None
        )
        compiled = compile_view(found.spec)
        columns = [ColumnLine(column.name, column.kind, _aloud(column.source)) for column in compiled.columns]
        return desk.pages.page(
            call, "view.html", at=AT, line=line(found, users()), users_shown=VIEW_USERS_SHOWN, view=found,
            columns=columns,
            request_fields=compiled.request_fields, lag=_lag(found, store.clock.now()),
        )  # fmt: skip

    return [
        shown_at(AT, views, about="Feature views"),
        shown_at(f"{AT}/{{name}}", view, about="One feature view: columns, freshness, who uses it"),
    ]


def _lag(view: RegisteredView, now: datetime) -> float | None:
    return None if view.materialised_at is None else (now - view.materialised_at).total_seconds()


def _aloud(column: Column) -> str:
    """Say where a column's value comes from."""
    match column:
        case Field():
            return f"{column.field} of the row itself"
        case TimePart():
            return f"{column.part} of {column.of.field}, in UTC"
        case Latest():
            within = f", at most {duration_text(column.within_s)} old" if column.within_s else ""
            return f"the latest {column.contract} known by then, by {', '.join(column.by)}{within}"
        case Rolling():
            by = ", ".join(column.by)
            return f"{column.function} of {column.field} that became known in {duration_text(column.over_s)}, by {by}"
        case Derived():
            return "computed from other columns"
        case _:
            assert_never(column)
