"""The one door for state: a transaction that refuses to commit without an event."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, CursorResult, Delete, Dialect, Insert, Table, Update
from sqlalchemy.sql.dml import UpdateBase

from trimtab.kernel import Actor, Conflict, Ids, TrimtabError
from trimtab.store.events import Event, body_of
from trimtab.store.ledger.records import Pending, Receipt

JOURNAL = {"journal": True}
"""``Table(..., info=JOURNAL)``: high-volume or operational rows that are no state of their own (metric points, leases).

They are written through ``Store.journal`` and vouched for by a later event that seals them."""


class NoEvent(TrimtabError):
    """A programmer's mistake: rows were changed and nothing was recorded."""

    code = "store.no-event"
    default_why = "No event, no commit: state that the ledger does not know cannot be explained later."
    default_next = "call change.record(...) with the event that says what happened"


class AlreadyDone(Conflict):
    """A change with this idempotency key was made before. ``data["position"]`` is that of its first event."""

    code = "store.already-done"
    default_why = "An idempotency key makes a change happen once, and event {position} of the ledger carries this one."
    default_next = "nothing needs to be done; use another key for another change"


class Change:
    """A transaction in progress. ``execute`` writes rows, ``record`` says what that means."""

    def __init__(
        self, connection: Connection, *, actor: Actor, because: str, at: datetime, ids: Ids, key: str | None
    ) -> None:
        self.connection = connection
        self.actor = actor
        self.because = because
        self.at = at
        self.receipt: Receipt | None = None
        self._ids = ids
        self._key = key
        self._wrote = ""
        self._pending: list[Pending] = []

    def new_id(self) -> str:
        """Return a fresh id, sortable by time."""
        return self._ids.new()

    def execute(
        self, statement: UpdateBase, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run an insert, update or delete; read with ``change.connection.execute(select(...))``."""
        assert isinstance(statement, Insert | Update | Delete)
        self._wrote = self._wrote or str(statement.table)
        return self.connection.execute(statement, rows)

    def record(self, event: Event) -> str:
        """Add the event that explains this change; return its id."""
        id_ = self._ids.new()
        # An idempotency key names the change as a whole, so its first event carries it.
        key = self._key if not self._pending else None
        body = body_of(event, id=id_, at=self.at, actor=self.actor, because=self.because, idempotency_key=key)
        pending = Pending(
            id=id_,
            at=self.at.isoformat(),
            actor=self.actor.id,
            type=event.type,
            idempotency_key=key,
            body=body,
            subjects=tuple([(subject.kind, subject.id) for subject in event.subjects()]),
        )
        self._pending.append(pending.checked())
        return id_

    def finish(self) -> list[Pending]:
        """Return the events to append; raise ``NoEvent`` when rows changed without one."""
        if self._wrote and not self._pending:
            raise NoEvent("a change wrote rows and recorded no event", where=f"table {self._wrote}")
        return self._pending


class Journal:
    """A transaction that may write journal tables only."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def execute(
        self, statement: UpdateBase, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run an insert, update or delete on a journal table; raise ``NoEvent`` for any other."""
        assert isinstance(statement, Insert | Update | Delete)
        self._check(statement.table)
        return self.connection.execute(statement, rows)

    def insert_many(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert whole rows of a journal table: plain values (texts, numbers, None) in the order of its columns.

        They go to the driver as they are: converting many one by one costs more than writing them. Raises ``NoEvent``
        for any other table.
        """
        self._check(table)
        text, names = _insert(self.connection.dialect, table)
        given: Any = [dict(zip(names, row, strict=True)) for row in rows] if names else list(rows)
        if given:
            self.connection.exec_driver_sql(text, given)

    def _check(self, table: Any) -> None:
        if not getattr(table, "info", {}).get("journal"):
            raise NoEvent("a journal tried to write state", where=f"table {table}")


@lru_cache(maxsize=64)
def _insert(dialect: Dialect, table: Table) -> tuple[str, tuple[str, ...]]:
    """Return an insert of whole rows as a driver takes it, and the names of its values where it takes them by name."""
    compiled = table.insert().compile(dialect=dialect)
    return compiled.string, () if compiled.positional else tuple(table.columns.keys())
