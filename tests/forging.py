"""Ways to change rows: behind the ledger's back, and with its key, as its thief or a fault of our own would."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import Connection, func, insert, select, text, update

from trimtab.kernel import Actor
from trimtab.store import Database, Event, Store, Subject, metadata
from trimtab.store.events import RowDigest, body_of
from trimtab.store.ledger.growth import entry
from trimtab.store.ledger.head import head_in
from trimtab.store.ledger.tree import Frontier, leaf_hash
from trimtab.store.opened import url_of
from trimtab.store.tables import ledger_events, ledger_head, ledger_subjects

MALLORY = Actor("mallory")


class RowsRewritten(Event):
    type: ClassVar[str] = "test.rows-rewritten"
    table: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("table", self.table),)


@contextmanager
def elsewhere(store: Store) -> Iterator[Connection]:
    """Yield a connection that is none of the store's own, as someone with the database's password has it."""
    database = Database(url_of(store.settings))
    try:
        with database.write() as connection:
            yield connection
    finally:
        database.dispose()


def by_sql(store: Store, statement: str, **values: Any) -> None:
    """Run a statement as someone with the database's password could."""
    with elsewhere(store) as connection:
        connection.execute(text(statement), values) if values else connection.exec_driver_sql(statement)


def with_key(store: Store, table: str, **columns: Any) -> None:
    """Set columns of every row of a table in a change that the ledger knows of."""
    with store.change(Actor("thief"), "with the ledger's key") as change:
        change.execute(update(metadata.tables[table]).values(**columns))
        change.record(RowsRewritten(table=table))


def put_event(store: Store, event: Event, *, code: bytes | None = None, rows: Sequence[RowDigest] = ()) -> int:
    """Append an event as it should be, tree and head included, but for a code that only the key can make.

    With ``rows`` it rules over them. Returns its position.
    """
    with elsewhere(store) as connection:
        head, column = head_in(connection), ledger_events.c
        frontier, position, at = Frontier.unpack(head.size, head.frontier), head.size, store.clock.now()
        ruled = connection.execute(select(func.max(column.position)).where(column.rules)).scalar()
        id_ = f"{position:026d}"
        body = body_of(event, id=id_, at=at, actor=MALLORY, because="x", idempotency_key=None, rows=rows)
        leaf = leaf_hash(entry(body, position))
        assert not frontier.add(leaf), "the tile that it completes is not written here"
        connection.execute(
            insert(ledger_events).values(
                position=position, id=id_, at=at.isoformat(), actor=MALLORY.id, type=event.type, body=body.decode(),
                leaf=leaf, rules=bool(rows), ruled_before=-1 if ruled is None else ruled, code=code,
            )
        )  # fmt: skip
        about = {(subject.kind, subject.id) for subject in event.subjects()}
        for kind, id_ in about:
            connection.execute(insert(ledger_subjects).values(position=position, kind=kind, id=id_))
        connection.execute(update(ledger_head).values(size=frontier.size, frontier=frontier.pack()))
    return position
