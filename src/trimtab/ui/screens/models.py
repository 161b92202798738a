"""``/ui/models``: models, and the line of versions of one: who said yes to which, and where each serves."""

import msgspec

from trimtab.kernel import Body, Call, Route
from trimtab.registry import Approval, Model, Version, get_model, list_approvals, list_models, list_versions
from trimtab.serving import list_endpoints
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/models"


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

    def lines_of(model: Model) -> list[VersionLine]:
        places: dict[int, list[str]] = {}
        for endpoint in list_endpoints(store):
            routing = endpoint.routing
            if routing.model == model.name:
                left = 100 - sum(canary.percent for canary in routing.canary)
                places.setdefault(routing.champion, []).append(f"{left:g} % of {routing.endpoint}")
                for canary in routing.canary:
                    places.setdefault(canary.version, []).append(f"canary, {canary.percent:g} % of {routing.endpoint}")
                for shadow in routing.shadow:
                    places.setdefault(shadow, []).append(f"shadow of {routing.endpoint}")
        return [
            VersionLine(
                version,
                tuple(sorted(alias for alias, number in model.aliases.items() if number == version.number)),
                next(iter(list_approvals(store, version)), None),
                tuple(places.get(version.number, ())),
            )
            for version in list_versions(store, model.name).items
        ]

    def models(call: Call) -> Body:
        found = list_models(store).items
        lines = [(model, lines_of(model)) for model in found]
        return desk.pages.page(call, "models.html", at=AT, lines=lines)

    def model(call: Call) -> Body:
        found = get_model(store, call.path["model"])
        return desk.pages.page(call, "model.html", at=AT, model=found, lines=lines_of(found))

    return [
        shown_at(AT, models, about="Models"),
        shown_at(f"{AT}/{{model}}", model, about="One model and its versions"),
    ]
