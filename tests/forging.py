"""Ways to change rows: behind the ledger's back, and with its key, as its thief or a fault of our own would."""

from typing import Any, ClassVar

from sqlalchemy import text, update

from trimtab.kernel import Actor
from trimtab.store import Event, Store, Subject, metadata


class RowsRewritten(Event):
    type: ClassVar[str] = "test.rows-rewritten"
    table: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("table", self.table),)


def by_sql(store: Store, statement: str, **values: Any) -> None:
    """Run a statement as someone with the database's password could."""
    with store.database.write() as connection:
        connection.execute(text(statement), values) if values else connection.exec_driver_sql(statement)


def with_key(store: Store, table: str, **columns: Any) -> None:
    """Set columns of every row of a table in a change that the ledger knows of."""
    with store.change(Actor("thief"), "with the ledger's key") as change:
        change.execute(update(metadata.tables[table]).values(**columns))
        change.record(RowsRewritten(table=table))
