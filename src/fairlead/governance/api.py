"""Routes of the governance room: why a decision was taken."""

from fairlead.governance.records import Why
from fairlead.governance.why import why
from fairlead.kernel import Call, Permission, Route
from fairlead.store import Store


def routes(store: Store) -> list[Route]:
    """Return the room's routes over a store."""

    def explain(call: Call) -> Why:
        return why(store, call.path["id"])

    return [
        Route(
            method="GET", path="/api/v1/decisions/{id}/why", permission=Permission.READ, handler=explain,
            summary="Everything that a decision rests on, each part verified, and what is missing.", response=Why,
        ),
    ]  # fmt: skip
