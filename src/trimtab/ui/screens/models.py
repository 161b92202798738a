"""``/ui/models``: models, and the line of versions of one: who said yes to which, and where each serves."""

from collections.abc import Mapping

import msgspec

from trimtab.kernel import EACH, Body, Call, Invalid, Route
from trimtab.registry import (
    Approval,
    Model,
    Version,
    all_models,
    get_model,
    list_approvals,
    list_models,
    list_versions,
    waiting_versions,
)
from trimtab.serving import list_endpoints
from trimtab.store import Store
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/models"
MODELS_A_PAGE = 50
VERSIONS_A_PAGE = 50


class VersionLine(msgspec.Struct, frozen=True):
    """A version as a row: its aliases, what was decided, and where it serves now."""

    version: Version
    aliases: tuple[str, ...]
    decided: Approval | None
    places: tuple[str, ...]

    @property
    def gate(self) -> str:
        return {True: "passed", False: "failed", None: "not judged"}[self.version.verdict_passed]


def routes(desk: Desk) -> list[Route]:
    """Return the pages of the registry's models."""
    store = desk.rooms.store

    def line_of(model: Model, version: Version, places: dict[int, list[str]]) -> VersionLine:
        return VersionLine(
            version,
            tuple(sorted(alias for alias, number in model.aliases.items() if number == version.number)),
            next(iter(list_approvals(store, version)), None),
            tuple(places.get(version.number, ())),
        )

    def models(call: Call) -> Body:
        page = list_models(store, limit=MODELS_A_PAGE, cursor=call.query.get("cursor", ""), only=call.only)
        newest = {model.name: next(iter(list_versions(store, model.name, limit=1).items), None) for model in page.items}
        lines = [
            (model, line_of(model, version, {}) if (version := newest[model.name]) else None) for model in page.items
        ]
        return desk.pages.page(
            call, "models.html", at=AT, lines=lines, next=page.next,
            count=sum(call.shows(model.name) for model in all_models(store)), query_values=dict(call.query),
        )  # fmt: skip

    def model(call: Call) -> Body:
        found = get_model(store, call.path["model"])
        page = list_versions(store, found.name, limit=VERSIONS_A_PAGE, before=_before(call.query))
        places = _places(store, found.name)
        return desk.pages.page(
            call, "model.html", at=AT, model=found, lines=[line_of(found, version, places) for version in page.items],
            next=page.next, waiting=len(waiting_versions(store, found)), query_values=dict(call.query),
        )  # fmt: skip

    return [
        shown_at(AT, models, about="Models", resource=EACH),
        shown_at(f"{AT}/{{model}}", model, about="One model and its versions"),
    ]


def _before(query: Mapping[str, str]) -> int | None:
    asked = query.get("before", "")
    if not asked:
        return None
    if not (asked.isascii() and asked.isdigit() and 0 < int(asked) < 1_000_000_000):
        raise Invalid(
            f"{asked[:40]!r} is no version", where="query before", why="Versions are numbered from 1.",
            next="leave before out for the newest versions",
        )  # fmt: skip
    return int(asked)


def _places(store: Store, model: str) -> dict[int, list[str]]:
    """Return where each version of a model serves now, by its number."""
    places: dict[int, list[str]] = {}
    for endpoint in list_endpoints(store):
        routing = endpoint.routing
        if routing.model == model:
            left = 100 - sum(canary.percent for canary in routing.canary)
            places.setdefault(routing.champion, []).append(f"{left:g} % of {routing.endpoint}")
            for canary in routing.canary:
                places.setdefault(canary.version, []).append(f"canary, {canary.percent:g} % of {routing.endpoint}")
            for shadow in routing.shadow:
                places.setdefault(shadow, []).append(f"shadow of {routing.endpoint}")
    return places
