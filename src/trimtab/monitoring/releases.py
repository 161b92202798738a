"""Say that the approval of what answers is forged, or will be over, in time and for as long as it is so."""

from datetime import datetime, timedelta

from trimtab.monitoring.records import Sign
from trimtab.registry import VersionRef, approved_until, check_model
from trimtab.serving import Routing, check_route
from trimtab.store import RowForged, Store

SHOWN_BEFORE = timedelta(days=30)
PAGED_BEFORE = timedelta(days=7)


def forged_route(store: Store, endpoint: str) -> list[Sign]:
    """Return a sign when an endpoint's route is not what the ledger says, or was taken out.

    Raises ``NotAuthentic`` where the ledger itself cannot be relied on, or this home cannot tell.
    """
    try:
        check_route(store, endpoint)
    except RowForged as error:
        return [_forged(error)]
    return []


def forged_model(store: Store, model: str) -> list[Sign]:
    """Return a sign when one of a model's versions, aliases, approvals and releases is not what the ledger says.

    Who acts on such a row refuses by himself; this tells people. Raises ``NotAuthentic`` as ``forged_route`` does.
    """
    try:
        with store.read() as connection:
            check_model(connection, model)
    except RowForged as error:
        return [_forged(error)]
    return []


def _forged(error: RowForged) -> Sign:
    return Sign(
        kind="release", group="release:forged", severity="page", title=f"{error.what}: {error.where}",
        lines=(error.why, "what answered goes on, and nothing acts on this row", error.next),
    )  # fmt: skip


def expiry_signs(store: Store, routing: Routing, *, at: datetime) -> list[Sign]:
    """Return a sign for each version at an endpoint whose newest approval is over, or soon will be.

    It is shown 30 days before, and is a page from 7 days before on, until it is approved again or leaves the endpoint.
    """
    signs = []
    for version in routing.versions:
        ref = VersionRef(routing.model, version, "")
        until = approved_until(store, ref)
        if until is None or at < until - SHOWN_BEFORE:
            continue
        signs.append(
            Sign(
                kind="release", group=f"release:{version}", severity="note" if at < until - PAGED_BEFORE else "page",
                title=f"the approval of {ref} holds until {until:%Y-%m-%d %H:%M} UTC",
                lines=(
                    "then it goes on answering as long as it is loaded, and is not loaded or routed anew",
                    f"approve it again: trimtab approve {ref} --because '...'",
                ),
            )
        )  # fmt: skip
    return signs
