"""The ledger's head, and where the ledger ends: where it was signed last, and what was recorded since.

The head says where the ledger ended when its newest checkpoint was signed. On PostgreSQL that is its end; on SQLite up
to 255 events may follow, for which nobody has waited, so that recording them need not move the head each time.
"""

from sqlalchemy import Connection, func, select, update

from trimtab.store.failures import RowsDamaged
from trimtab.store.ledger.growth import head_of
from trimtab.store.ledger.records import Head
from trimtab.store.ledger.tree import Frontier
from trimtab.store.tables import ledger_checkpoints, ledger_events, ledger_head


def head_in(connection: Connection) -> Head:
    """Return the ledger's end. Raises ``RowsDamaged`` when there is none, or an event is missing before it."""
    head, signed = ledger_head.c, ledger_checkpoints.c
    newest = select(func.max(signed.tile)).scalar_subquery()
    query = select(
        head.origin, head.size, head.frontier, func.coalesce(signed.size, 0), func.coalesce(signed.note, ""),
        func.coalesce(signed.key, ""),
    ).select_from(ledger_head.outerjoin(ledger_checkpoints, signed.tile == newest))  # fmt: skip
    found = head_of(connection.execute(query).first())
    return _grown(connection, found) if lags(connection) else found


def lags(connection: Connection) -> bool:
    """Say whether events may follow the head."""
    return connection.dialect.name == "sqlite"


def _grown(connection: Connection, head: Head) -> Head:
    """Return the end after the events that follow a head. Raises ``RowsDamaged`` for a gap."""
    frontier, event = Frontier.unpack(head.size, head.frontier), ledger_events.c
    since = select(event.position, event.leaf).where(event.position >= head.size).order_by(event.position)
    for position, leaf in connection.execute(since):
        if position != frontier.size:
            raise RowsDamaged(f"event {frontier.size} is missing", where="store.ledger")
        frontier.add(leaf)
    return Head(head.origin, frontier.size, frontier.pack(), head.signed)


def size_of(connection: Connection) -> int:
    """Return the number of events in the ledger."""
    if not lags(connection):
        return int(connection.execute(select(ledger_head.c.size)).scalar_one())
    newest = select(func.max(ledger_events.c.position)).scalar_subquery()
    size, last = connection.execute(select(ledger_head.c.size, newest)).one()
    return max(int(size), 0 if last is None else last + 1)


def move_head(connection: Connection) -> None:
    """Let the head say where the ledger ends, in a database that was filled from another one."""
    head = ledger_head.c
    row = connection.execute(select(head.origin, head.size, head.frontier)).one()
    end = _grown(connection, head_of((*row, 0, "", "")))
    connection.execute(update(ledger_head).values(size=end.size, frontier=end.frontier))
