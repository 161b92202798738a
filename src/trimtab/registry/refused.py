"""Keep who wanted to approve a version and was refused, so that an attempt is seen and not only prevented."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from trimtab.kernel import Actor
from trimtab.registry.errors import AuthorApproves, GateFailed
from trimtab.registry.events import ApprovalRefused
from trimtab.registry.find import get_version
from trimtab.registry.records import Version, VersionRef
from trimtab.store import Store, events

ONCE_WITHIN = timedelta(hours=1)
"""The same attempt by the same actor is recorded once within this time, so that nobody fills the ledger with it."""


@contextmanager
def refused_approvals(
    store: Store, ref: VersionRef | Version | str, *, actor: Actor, because: str = ""
) -> Iterator[None]:
    """Record an approval that is refused inside the block by the rule of two persons or by the gate, and raise on."""
    try:
        yield
    except (AuthorApproves, GateFailed) as error:
        _record(store, get_version(store, ref), error, actor, because)
        raise


def _record(store: Store, version: Version, error: AuthorApproves | GateFailed, actor: Actor, because: str) -> None:
    lately = events(
        store, type=ApprovalRefused.type, actor=actor.id, subject=("version", version.ref),
        since=store.clock.now() - ONCE_WITHIN, order="newest",
    )  # fmt: skip
    if any(event.data["code"] == error.code and event.actor == actor for event in lately):
        return
    with store.change(actor, because) as change:
        change.record(
            ApprovalRefused(
                model=version.model, number=version.number, covered=version.covered, code=error.code, what=error.what
            )
        )
