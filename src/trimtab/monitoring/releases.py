"""Say that the approval of what answers is forged, or will be over, in time and for as long as it is so."""

from datetime import datetime, timedelta

from trimtab.monitoring.records import Sign
from trimtab.registry import VersionRef, approved_until, check_model
from trimtab.serving import Routing, routed
from trimtab.store import NotAuthentic, RowForged, Store

SHOWN_BEFORE = timedelta(days=30)
PAGED_BEFORE = timedelta(days=7)


def forged_signs(store: Store, endpoint: str, routing: Routing | None) -> list[Sign]:
    """Return a sign when a row that an endpoint goes by is not what the ledger says.

    Looked at are its route and its model's versions, aliases, approvals and releases. Who acts on such a row refuses
    by himself; this tells people. ``routing`` is None for an endpoint that is not routed.
    """
    error = forged_endpoints(store).get(endpoint) or (_forged_model(store, routing.model) if routing else None)
    if error is None:
        return []
    return [
        Sign(
            kind="release", group="release:forged", severity="page",
            title=f"{error.what}: {error.where}",
            lines=(error.why, "what answered goes on, and nothing acts on this row", error.next),
        )
    ]  # fmt: skip


def forged_endpoints(store: Store) -> dict[str, NotAuthentic]:
    """Return the endpoints whose route is not what the ledger says, or was taken out, and how.

    None where the ledger itself cannot be relied on: there nothing can be recorded either, and the server says so.
    """
    try:
        return {**routed(store).forged}
    except NotAuthentic:
        return {}


def _forged_model(store: Store, model: str) -> NotAuthentic | None:
    try:
        with store.read() as connection:
            check_model(connection, model)
    except RowForged as error:
        return error
    except NotAuthentic:
        return None
    return None


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
