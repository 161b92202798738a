"""Say in time that the approval of what answers will be over, and go on saying it afterwards."""

from datetime import datetime, timedelta

from trimtab.monitoring.records import Sign
from trimtab.registry import VersionRef, approved_until
from trimtab.serving import Routing
from trimtab.store import Store

SHOWN_BEFORE = timedelta(days=30)
PAGED_BEFORE = timedelta(days=7)


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
