"""The one door for state: a transaction that refuses to commit without an event."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, CursorResult, Delete, Dialect, Insert, Table, Update
from sqlalchemy.sql.dml import UpdateBase

from trimtab.kernel import Actor, Conflict, Ids, Invalid, TrimtabError, digest_of_bytes
from trimtab.store.events import Event, RowDigest, body_of
from trimtab.store.governed import GOVERNED, Key, Rows, digest_of_row, every_row, key_of, pending_of, written
from trimtab.store.ledger.records import Pending, Receipt
from trimtab.store.prepared import Prepared

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


class ReasonMissing(Invalid):
    """Somebody decides, takes away or removes something, and does not say why."""

    code = "store.reason-missing"
    default_why = "Whoever reads the record later must learn why, not only who."
    default_next = (
        "say in a few words why: --because 'your reason' "
        "(over HTTP: because in the body, or the header Trimtab-Because)"
    )


class Change:
    """A transaction in progress. ``execute`` writes rows, ``record`` says what that means."""

    def __init__(
        self, connection: Connection, driver: Any, *, actor: Actor, because: str, at: datetime, ids: Ids,
        key: str | None,
    ) -> None:  # fmt: skip
        self.connection = connection
        self._driver = driver
        self.actor = actor
        self.because = because
        self.at = at
        self.receipt: Receipt | None = None
        self._ids = ids
        self._key = key
        self._wrote: Any = None
        """The first table that was written."""
        self._pending: list[Pending] = []
        self._last: tuple[Event, str | None] | None = None
        self._rows: dict[tuple[str, Key], RowDigest] | None = None
        """What this change has made of governed rows, as soon as it has; its last event says it."""

    def new_id(self) -> str:
        """Return a fresh id, sortable by time."""
        return self._ids.new(self.at)

    def execute(self, statement: UpdateBase, rows: Rows = None) -> Any:
        """Run an insert, update or delete and return its result; read with ``change.connection.execute(select(...))``.

        Rows that give power are held against the ledger before and after, and nothing is returned. Raises
        ``RowForged``.
        """
        assert isinstance(statement, Insert | Update | Delete)
        table = statement.table
        self._wrote = table if self._wrote is None else self._wrote
        if not isinstance(table, Table) or table.name not in GOVERNED:
            return self.connection.execute(statement, rows)
        gone, said = isinstance(statement, Delete), self._said()
        for row in written(self.connection, statement, table, rows):
            key = key_of(table, row)
            digest = None if gone else digest_of_row(row)
            said[table.name, key] = RowDigest(str(table.name), key, digest)
        return None

    def insert(self, table: Table, row: Mapping[str, Any]) -> None:
        """Insert one row of plain values (texts, numbers, None), as it is, into a table that gives no power.

        It goes to the driver by hand, in a fifth of the time; on PostgreSQL with the next statement or with the event,
        and only then an error of its own is raised.
        """
        assert table.name not in GOVERNED
        self._wrote = table if self._wrote is None else self._wrote
        statement = _insert_of(self.connection.dialect, table, tuple(row))
        if isinstance(statement, str):
            self._driver.execute(statement, tuple(row.values()))
        else:
            self._driver.queued.append(statement(*row.values()))

    def record(self, event: Event) -> str:
        """Add the event that explains this change; return its id."""
        id_ = self._ids.new(self.at)
        # An idempotency key names the change as a whole, so its first event carries it.
        key = self._key if not self._pending else None
        self._pending.append(self._made(event, id_, key).checked())
        self._last = (event, key)
        return id_

    def vouch_for_every_row(self) -> None:
        """Let this change's event say of every governed row that it stands as it is."""
        said = self._said()
        for table, key, digest in every_row(self.connection):
            said[table, key] = RowDigest(table, key, digest)

    def finish(self) -> list[Pending]:
        """Return the events to append; raise ``NoEvent`` when rows changed without one."""
        if self._wrote is not None and self._last is None:
            raise NoEvent("a change wrote rows and recorded no event", where=f"table {self._wrote}")
        if self._rows and self._last is not None:
            event, key = self._last
            self._pending[-1] = self._made(event, self._pending[-1].id, key, list(self._rows.values()))
        return self._pending

    def end(self) -> None:
        """Leave nothing of this change on its connection, which another one will have."""
        if self._rows is not None:
            self._rows.clear()

    def _said(self) -> dict[tuple[str, Key], RowDigest]:
        if self._rows is None:
            self._rows = pending_of(self.connection)
            self._rows.clear()  # of one that was interrupted before it could
        return self._rows

    def _made(self, event: Event, id_: str, key: str | None, rows: Sequence[RowDigest] = ()) -> Pending:
        subjects = event.subjects()
        body = body_of(
            event, id=id_, at=self.at, actor=self.actor, because=self.because, idempotency_key=key, rows=rows,
            subjects=subjects,
        )  # fmt: skip
        return Pending(
            id=id_, at=self.at.isoformat(), actor=self.actor.id, type=event.type, idempotency_key=key, body=body,
            subjects=subjects, rules=bool(rows),
        )  # fmt: skip


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


def check_reason(because: str, where: str) -> str:
    """Return a reason without the space around it; raise ``ReasonMissing`` when nothing is said."""
    if not (said := because.strip()):
        raise ReasonMissing("no reason was given", where=where)
    return said


@lru_cache(maxsize=256)
def _insert_of(dialect: Dialect, table: Table, names: tuple[str, ...]) -> str | Prepared:
    """Return an insert of some columns, with its values in order: as SQLite takes it, or prepared for PostgreSQL."""
    quote = dialect.identifier_preparer.quote
    begun = f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))}) VALUES "  # noqa: S608
    if dialect.name == "sqlite":
        return f"{begun}({', '.join('?' * len(names))})"
    statement = f"{begun}({', '.join(f'${n + 1}' for n in range(len(names)))})"
    return Prepared(f"trimtab_{digest_of_bytes(statement.encode())[7:39]}", statement)


@lru_cache(maxsize=64)
def _insert(dialect: Dialect, table: Table) -> tuple[str, tuple[str, ...]]:
    """Return an insert of whole rows as a driver takes it, and the names of its values where it takes them by name."""
    compiled = table.insert().compile(dialect=dialect)
    return compiled.string, () if compiled.positional else tuple(table.columns.keys())
