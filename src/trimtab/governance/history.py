"""What the ledger tells of something as of a position: its events, and the state that follows from them alone."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from trimtab.kernel import Invalid, NotFound
from trimtab.registry import (
    LATEST,
    AliasMoved,
    Status,
    VersionApproved,
    VersionMissing,
    VersionRef,
    VersionRegistered,
    VersionRejected,
    VersionRetired,
)
from trimtab.store import Recorded, Store, events, ledger_size

PAGE = 5000
SNAPSHOT_TAKEN, RUN_FINISHED = "data.snapshot-taken", "tracking.run-finished"
_STATUS = {
    VersionRegistered.type: Status.CANDIDATE,
    VersionApproved.type: Status.APPROVED,
    VersionRejected.type: Status.REJECTED,
    VersionRetired.type: Status.RETIRED,
}


def size_at(store: Store, position: int | None) -> int:
    """Return how many events the ledger held when ``position`` was its newest; None stands for now.

    Raises ``Invalid`` for a position that the ledger has not reached.
    """
    size = ledger_size(store)
    if position is None:
        return size
    if not 0 <= position < size:
        raise Invalid(
            f"the ledger has no position {position}",
            where="ledger position",
            why=f"It holds {size} events, counted from 0.",
            next="trimtab get events, and take one of their positions",
        )
    return position + 1


def events_of(
    store: Store, subject: tuple[str, str] | None = None, *, size: int, type: str | Sequence[str] | None = None
) -> Iterator[Recorded]:
    """Yield the events about a subject (or all of some types) among the first ``size``, oldest first."""
    after: int | None = None
    while True:
        page = events(store, subject=subject, type=type, after=after, limit=PAGE)
        for event in page:
            if event.position >= size:
                return
            yield event
        if len(page) < PAGE:
            return
        after = page[-1].position


def number_at(store: Store, ref: VersionRef | str, *, size: int) -> VersionRef:
    """Return a reference by number: what an alias named when the ledger had ``size`` events.

    Raises ``VersionMissing`` when there was no such version yet.
    """
    ref = VersionRef.of(ref)
    entered = [
        event.data["number"] for event in events_of(store, ("model", ref.model), size=size, type=VersionRegistered.type)
    ]
    number = ref.version
    if number is None and ref.alias == LATEST:
        number = max(entered, default=None)
    elif number is None:
        moved = events_of(store, ("model", ref.model), size=size, type=AliasMoved.type)
        number = next((e.data["now"] for e in reversed(list(moved)) if e.data["alias"] == ref.alias), None)
    if number not in entered:
        raise VersionMissing(
            f"there was no version {ref} when the ledger had {size} events",
            where=f"reference {ref}",
            why="A version is there from the event of its registration on, an alias from the event that moved it.",
            next=f"trimtab get versions {ref.model}",
        )
    return VersionRef(ref.model, number, "")


def status_in(history: Sequence[Recorded]) -> Status:
    """Return a version's status as its own events leave it."""
    return next((_STATUS[event.type] for event in reversed(history) if event.type in _STATUS), Status.CANDIDATE)


def position_at(store: Store, moment: datetime) -> int:
    """Return the position of the newest event recorded up to a moment. Raises ``NotFound`` before the first."""
    found = events(store, until=moment + timedelta(microseconds=1), order="newest", limit=1)
    if not found:
        raise NotFound(
            f"the ledger holds no event up to {moment:%Y-%m-%d %H:%M:%S}",
            where="ledger",
            why="It began later.",
            next="trimtab get events",
        )
    return found[0].position
