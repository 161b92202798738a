"""What the ledger holds: events, and the subjects that they are about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from trimtab.kernel import Actor, canonical


class Subject(msgspec.Struct, frozen=True):
    """A thing that an event is about: its kind (``version``, ``snapshot``, ...), its id, its digest if it has one."""

    kind: str
    id: str
    digest: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A change of state, as the ledger keeps it for ever. Each room derives its own.

    A class gives ``type`` (``room.noun-past-participle``) and raises ``version`` when its fields change. The fields
    become the event's ``data``; they hold ids and digests, never feature values or personal data.
    """

    type: ClassVar[str]
    version: ClassVar[int] = 1

    def subjects(self) -> tuple[Subject, ...]:
        """Return the things that this event is about, the main one first."""
        raise NotImplementedError

    def before(self) -> str | None:
        """Return the digest of the state that this event replaced, if there was one."""
        return None

    def after(self) -> str | None:
        """Return the digest of the state that this event made, if it made one."""
        return None


class RowDigest(msgspec.Struct, frozen=True):
    """What an event says of one governed row: its table, its key, and its digest afterwards (None: it is gone)."""

    table: str
    key: tuple[str | int, ...]
    digest: str | None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it stands in the ledger."""

    position: int
    id: str
    at: datetime
    actor: Actor
    type: str
    version: int
    subjects: tuple[Subject, ...]
    because: str
    data: dict[str, Any]
    before: str | None = None
    after: str | None = None
    idempotency_key: str | None = None


class _Body(msgspec.Struct, kw_only=True):
    id: str
    at: datetime
    actor: Actor
    type: str
    version: int
    subjects: tuple[Subject, ...]
    because: str
    data: Event
    before: str | None
    after: str | None
    idempotency_key: str | None
    rows: Sequence[RowDigest] | msgspec.UnsetType


def body_of(
    event: Event,
    *,
    id: str,
    at: datetime,
    actor: Actor,
    because: str,
    idempotency_key: str | None,
    rows: Sequence[RowDigest] = (),
    subjects: tuple[Subject, ...] | None = None,
) -> bytes:
    """Return the canonical body of an event, without its position; ``rows`` are the governed ones that it made.

    ``subjects`` are the event's, where somebody has asked for them already.
    """
    return canonical(
        _Body(
            id=id, at=at, actor=actor, type=event.type, version=event.version,
            subjects=event.subjects() if subjects is None else subjects,
            because=because, data=event, before=event.before(), after=event.after(), idempotency_key=idempotency_key,
            rows=rows or msgspec.UNSET,
        )
    )  # fmt: skip
