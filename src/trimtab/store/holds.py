"""Legal holds: as long as one is in force, nothing of what it is on is removed, however old it is."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

import msgspec
from sqlalchemy import Column, Connection, RowMapping, String, Table, Text, insert, select, text, update

from trimtab.kernel import Actor, Conflict, NotFound
from trimtab.store.change import Change, check_reason
from trimtab.store.database import metadata
from trimtab.store.events import Event, Subject
from trimtab.store.governed import all_rows

if TYPE_CHECKING:
    from trimtab.store.opened import Store

ALL = "all"
"""What a hold on everything is made on."""

_LOCK = "hashtextextended(current_schema() || '.holds', 0)"

store_holds = Table(
    "store_holds",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("subject", String(200), nullable=False),
    Column("because", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("made_at", String(32), nullable=False),
    Column("ended_at", String(32)),
    Column("ended_by", String(200)),
    Column("ended_because", Text),
)
"""One row for each hold that was ever made; it is ended, and never deleted."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold on ``endpoint:NAME``, ``model:NAME``, ``run:ID`` or ``all``, why it was made, and when it was ended."""

    id: str
    subject: str
    because: str
    by: str
    made_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_because: str | None = None

    @property
    def state(self) -> str:
        return "in force" if self.ended_at is None else "ended"


class HoldMade(Event, frozen=True, kw_only=True):
    """Nothing of this is removed from here on, however old it is."""

    type: ClassVar[str] = "store.hold-made"
    hold: str
    subject: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("hold", self.hold), _subject_of(self.subject))


class HoldEnded(Event, frozen=True, kw_only=True):
    """A hold is over: what is old may be removed again, unless another hold is on it."""

    type: ClassVar[str] = "store.hold-ended"
    hold: str
    subject: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("hold", self.hold), _subject_of(self.subject))


def make_hold(change: Change, subject: str) -> Hold:
    """Put a hold on something that is there, as the caller has found out. Raises ``ReasonMissing``."""
    check_reason(change.because, f"hold {subject}")
    one_at_a_time(change)
    hold = Hold(id=change.new_id(), subject=subject, because=change.because, by=change.actor.id, made_at=change.at)
    change.execute(
        insert(store_holds).values(
            id=hold.id, subject=subject, because=hold.because, by=hold.by, made_at=change.at.isoformat()
        )
    )  # fmt: skip
    change.record(HoldMade(hold=hold.id, subject=subject))
    return hold


def end_hold(store: "Store", id_or_subject: str, *, actor: Actor, because: str) -> Hold:
    """End a hold, named by its id or by what it is on, when one alone is. Raises ``NotFound``, ``Conflict``,
    ``ReasonMissing``, and ``RowForged`` for one that is not what the ledger says.
    """
    check_reason(because, f"end hold {id_or_subject[:100]}")
    with store.change(actor, because) as change:
        found = the_hold(active_holds(change.connection), id_or_subject)
        ended = msgspec.structs.replace(found, ended_at=change.at, ended_by=actor.id, ended_because=because)
        change.execute(
            update(store_holds)
            .where(store_holds.c.id == found.id)
            .values(ended_at=change.at.isoformat(), ended_by=actor.id, ended_because=because)
        )
        change.record(HoldEnded(hold=found.id, subject=found.subject))
    return ended


def the_hold(holds: Iterable[Hold], id_or_subject: str) -> Hold:
    """Return the hold in force with an id, or on something. Raises ``NotFound``, and ``Conflict`` for more than one."""
    found = [hold for hold in holds if hold.ended_at is None and id_or_subject in (hold.id, hold.subject)]
    if not found:
        raise NotFound(
            f"no hold in force is {id_or_subject[:100]!r}",
            where="holds",
            why="A hold is named by its id, or by what it is on; one that was ended holds nothing.",
            next="trimtab get holds",
        )
    if len(found) > 1:
        raise Conflict(
            f"{len(found)} holds are on {id_or_subject}",
            where="holds",
            why="Each was made for a reason of its own, and ends by itself.",
            next=f"name one by its id: trimtab hold end {found[0].id} --because '...'",
        )
    return found[0]


def list_holds(store: "Store") -> tuple[Hold, ...]:
    """Return every hold that was ever made, the newest first."""
    with store.read() as connection:
        rows = connection.execute(select(store_holds).order_by(store_holds.c.id.desc())).mappings()
        return tuple(hold_of(row) for row in rows)


def active_holds(connection: Connection) -> list[Hold]:
    """Return the holds in force, the oldest first. Raises ``RowForged`` unless all are as the ledger says."""
    return [hold_of(row) for row in all_rows(connection, store_holds) if row["ended_at"] is None]


def one_at_a_time(change: Change) -> None:
    """Let nobody else make a hold, or remove what one could be on, until the end of the change: from the moment on at
    which a hold is there, nothing of it goes. SQLite has one writer anyway.
    """
    if change.connection.dialect.name == "postgresql":
        change.connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def hold_of(row: RowMapping) -> Hold:
    """Read a hold from its row."""
    return msgspec.convert({str(name): value for name, value in row.items()}, Hold)


def _subject_of(name: str) -> Subject:
    kind, _, id_ = name.partition(":")
    return Subject(kind, id_ or kind)
