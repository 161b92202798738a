"""A database that is filled from elsewhere: made ready, marked as not complete, filled in one transaction, opened.

Until that transaction is committed, whoever opens the database is told that it is not complete; from then on it is
whole. A program that is killed on the way leaves the mark, and the same command begins again where it can.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection, select, text

from trimtab.kernel import Clock, Conflict
from trimtab.store.admission import ClosedAs, Closing, alone, close, closing_of, reopen
from trimtab.store.carrying import Sum, Told, copy_tables, tables_of
from trimtab.store.database import Database, take_your_time
from trimtab.store.ledger.head import head_in as end_in
from trimtab.store.ledger.head import move_head
from trimtab.store.ledger.proofs import root_at
from trimtab.store.ledger.prove import Nodes
from trimtab.store.ledger.tree import Frontier
from trimtab.store.migrate import refuse_newer, upgrade_to, version_of
from trimtab.store.tables import ledger_head


class Found(msgspec.Struct, frozen=True):
    """A ledger as the head of a database tells it: which one it is, how many events it has, and their root."""

    origin: str
    size: int
    root: bytes


class HoldsSomething(Conflict):
    """A database that is to be filled holds something already."""

    code = "store.holds-something"
    default_why = "It holds {found}, and nothing that is there is ever overwritten."
    default_next = "name an empty database or home: createdb NAME, or trimtab --home FOLDER"


@contextmanager
def unchecked(url: str) -> Iterator[Database]:
    """Open a database as it is, without bringing it up to date: who fills or closes one writes where others may not."""
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


def head_in(connection: Connection) -> Found:
    """Return the ledger of a database; one without a head has no name and no events."""
    if connection.execute(select(ledger_head.c.one)).first() is None:
        return Found("", 0, Frontier().root())
    head = end_in(connection)
    return Found(head.origin, head.size, Frontier.unpack(head.size, head.frontier).root())


def is_complete(target: Database, source: Connection) -> bool:
    """Say whether a database is open and its ledger begins with all of the source's: it was filled before."""
    head = head_in(source)
    with target.read() as connection:
        if version_of(connection) is None or closing_of(connection) is not None:
            return False
        found = head_in(connection)
        same = found.origin == head.origin and found.size >= head.size > 0
        return same and root_at(Nodes(connection), head.size) == head.root


def make_ready(target: Database, source: Connection, *, sender: str, clock: Clock) -> None:
    """Give an empty database its tables and the mark that it is not complete. Raises ``HoldsSomething``.

    Not empty, and yet good, is one that the same ledger was on its way to, or that it was moved away from and that
    holds nothing else than its beginning.
    """
    head = head_in(source)
    with target.write() as connection:
        alone(connection)
        revision = version_of(connection)
        refuse_newer(revision)
        found = _held(connection, head, source) if revision is not None else ""
        if found:
            raise HoldsSomething("the database to fill is not empty", where="store.database", found=found)
        upgrade_to(connection, "head")
        mark = Closing(ClosedAs.ARRIVING, sender, head.origin, clock.now().isoformat(timespec="seconds"))
        close(connection, mark)
    target.flush()


def fill(target: Database, source: Connection, *, told: Told) -> dict[str, Sum]:
    """Fill a database that was made ready, verify it, and open it: all of it, or nothing. It is on disk afterwards."""
    with target.write() as connection:
        alone(connection)
        take_your_time(connection)
        if not target.is_sqlite:
            connection.execute(text("SET LOCAL synchronous_commit = on"))
        sums = copy_tables(source, connection, told=told)
        move_head(connection)
        reopen(connection)
    target.flush()
    return sums


def _held(connection: Connection, head: Found, source: Connection) -> str:
    """Say in words what a database holds that must stay; empty when it may be filled."""
    closing = closing_of(connection) if _has_mark(connection) else None
    if closing is not None and closing.state == ClosedAs.ARRIVING:
        return "" if closing.origin == head.origin else f"the beginning of another ledger, {closing.origin}"
    found = head_in(connection)
    is_left = closing is not None and closing.state == ClosedAs.MOVED
    if is_left and found.origin == head.origin and found.size <= head.size:
        if root_at(Nodes(source), found.size) == found.root:
            return ""
        return "another history of the same ledger"
    rows = [t.name for t in tables_of(connection) if t.name != "ledger_head" and _has_rows(connection, t.name)]
    return f"{found.size} events of the ledger {found.origin}" if rows else ""


def _has_mark(connection: Connection) -> bool:
    return connection.dialect.has_table(connection, "store_closed")


def _has_rows(connection: Connection, table: str) -> bool:
    return connection.execute(text(f'SELECT 1 FROM "{table}" LIMIT 1')).first() is not None  # noqa: S608
