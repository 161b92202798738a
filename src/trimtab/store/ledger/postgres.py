"""The ledger on PostgreSQL: a change leaves its events in an outbox, and one sequencer at a time gives them positions.

Many transactions write at once, and none of them may wait for the others just to learn its place in the order. So a
change commits its events to the outbox, together with its rows. Then whoever gets the advisory lock takes every event
that is visible (the order of the ledger is the order in which commits became visible), appends them all in one
transaction that waits for the disk, and thereby makes the changes themselves durable, which come before it in the same
log. A process that dies in between leaves its events in the outbox, for the next one to sequence.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection

from trimtab.kernel import Unavailable
from trimtab.store.database import Database
from trimtab.store.ledger.growth import EVENT_COLUMNS, Growth, grow, head_of, sign
from trimtab.store.ledger.keys import Keys
from trimtab.store.ledger.records import Pending, Receipt, Signed, pending_of
from trimtab.store.ledger.tree import TILE

if TYPE_CHECKING:
    import psycopg

# The search path decides which ledger is meant, so the lock is named after its schema.
_KEY = "hashtextextended('trimtab.ledger.' || current_schema(), 0)"
_TRY = f"BEGIN; SELECT pg_try_advisory_xact_lock({_KEY})"
# The lock is held already, so this statement sees all that its last holder has committed.
_TAKE = """
    WITH taken AS (DELETE FROM ledger_outbox RETURNING seq, bodies)
    SELECT (SELECT json_agg(bodies ORDER BY seq) FROM taken),
        h.origin, h.size, h.frontier, coalesce(c.size, 0), coalesce(c.note, ''), coalesce(c.key, '')
    FROM ledger_head h LEFT JOIN ledger_checkpoints c ON c.tile = (SELECT max(tile) FROM ledger_checkpoints)
"""
_PUT_OUTBOX = "INSERT INTO ledger_outbox (idempotency_key, bodies) VALUES (%s, %s)"
_LOCK_KEY = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.key.' || %s, 0))"
_WAITING_KEY = "SELECT 1 FROM ledger_outbox WHERE idempotency_key = %s"
_FIND_KEY = "SELECT position FROM ledger_events WHERE idempotency_key = %s"
_IS_WAITING = "SELECT EXISTS (SELECT FROM ledger_outbox)"
_POSITIONS = """
    SELECT e.id, e.position, c.note, c.key FROM ledger_events e,
        (SELECT note, key FROM ledger_checkpoints ORDER BY tile DESC LIMIT 1) c
    WHERE e.id = ANY(%s)
"""
# A shared lock is granted to all who wait, at the moment at which the sequencer has committed.
_WAIT = f"ROLLBACK; SELECT pg_advisory_xact_lock_shared({_KEY}); {_POSITIONS}"
# Rows travel as JSON text: for a handful of them that is several times cheaper than arrays of parameters.
_WRITE = f"""
    WITH events AS (
        INSERT INTO ledger_events ({EVENT_COLUMNS})
        SELECT position, id, at, actor, type, idempotency_key, body, decode(leaf, 'hex')
        FROM json_to_recordset(%s::json) AS row (
            position bigint, id text, at text, actor text, type text, idempotency_key text, body text, leaf text
        )
    ), subjects AS (
        INSERT INTO ledger_subjects (position, kind, id)
        SELECT position, kind, id FROM json_to_recordset(%s::json) AS row (position bigint, kind text, id text)
    ), checkpoints AS (
        INSERT INTO ledger_checkpoints (tile, size, note, key) VALUES (%s, %s, %s, %s)
        ON CONFLICT (tile) DO UPDATE SET size = excluded.size, note = excluded.note, key = excluded.key
    )
    UPDATE ledger_head SET size = %s, frontier = %s
"""  # noqa: S608
_INSERT_TILE = "INSERT INTO ledger_tiles (level, number, root) VALUES (%s, %s, %s)"
_EVENT_NAMES = EVENT_COLUMNS.split(", ")


class _Ticket(msgspec.Struct):
    """Someone who waits: the id of the last event, and the receipt as soon as somebody has sequenced it."""

    last_id: str
    receipt: Receipt | None = None


class PostgresLedger:
    """Adds events to the ledger of a PostgreSQL database."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys
        self._lead = threading.Lock()
        self._register = threading.Lock()
        self._waiting: dict[str, _Ticket] = {}

    def enter(self, connection: Connection, events: list[Pending], *, durable: bool) -> Callable[[], Receipt]:  # noqa: ARG002
        """Leave events in the outbox, inside their change's transaction; every receipt waits for the disk here."""
        bodies = b"\n".join([event.body for event in events]).decode()
        _driver(connection).execute(_PUT_OUTBOX, (events[0].idempotency_key, bodies))
        return lambda: self._receipt_of(_Ticket(events[-1].id))

    def position_of_key(self, connection: Connection, key: str) -> int | None:
        """Return the position of the event that carries an idempotency key, and lock the key until the end."""
        driver = _driver(connection)
        driver.execute(_LOCK_KEY, [key])
        if driver.execute(_WAITING_KEY, [key]).fetchone():
            self.sequence()
        row = driver.execute(_FIND_KEY, [key]).fetchone()
        return row[0] if row else None

    def _receipt_of(self, ticket: _Ticket) -> Receipt:
        """Return the receipt of committed events, sequencing them and all that wait if nobody has done so yet."""
        with self._register:
            self._waiting[ticket.last_id] = ticket
        # One thread of a process leads; those that came meanwhile find their receipts when it is done.
        with self._lead:
            if ticket.receipt is None:
                try:
                    self._serve()
                except Unavailable as error:
                    raise _unplaced(error.why) from error
        if ticket.receipt is None:
            raise _unplaced("Its event is neither in the outbox nor in the ledger.")
        return ticket.receipt

    def sequence(self) -> None:
        """Give positions to whatever waits, as left by a process that died."""
        with self._database.read() as connection:
            waiting = _driver(connection).execute(_IS_WAITING).fetchone()
        if waiting and waiting[0]:
            self.sign()

    def sign(self) -> Signed:
        """Sign the ledger as it is; return the newest checkpoint."""
        with self._lead, self._database.by_hand() as connection:
            signed = None
            while signed is None:
                signed = self._lead_or_wait(_driver(connection), {})
        return signed

    def close(self) -> None:
        """Every batch was signed when it was sequenced."""

    def _serve(self) -> None:
        """Get receipts for all whom this process has waiting, from its own sequencing or from another's."""
        with self._register:
            tickets, self._waiting = self._waiting, {}
        open_tickets = dict(tickets)
        try:
            with self._database.by_hand() as connection:
                has_led = None
                while open_tickets and has_led is None:
                    has_led = self._lead_or_wait(_driver(connection), open_tickets)
        except BaseException:
            with self._register:
                self._waiting |= open_tickets
            raise

    def _lead_or_wait(self, driver: "psycopg.Connection[Any]", tickets: dict[str, _Ticket]) -> Signed | None:
        """Sequence the outbox, or let another do it; remove the tickets that got their receipts.

        Returns the newest checkpoint when it was this process that sequenced.
        """
        try:
            if _rows(driver, _TRY)[0][0]:
                given, signed = self._append(driver)
                for id_ in given.keys() & tickets.keys():
                    tickets.pop(id_).receipt = Receipt(given[id_], signed.note, signed.key)
                if not tickets:
                    return signed
            else:
                signed = None
            for id_, position, note, key in _rows(driver, _POSITIONS if signed else _WAIT, [list(tickets)]):
                tickets.pop(id_).receipt = Receipt(position, note, key)
        except BaseException:
            if not driver.closed:
                driver.execute("ROLLBACK")
            raise
        return signed

    def _append(self, driver: "psycopg.Connection[Any]") -> tuple[dict[str, int], Signed]:
        """Sequence the outbox and commit; return the positions that were given and the newest checkpoint."""
        rows = _rows(driver, _TAKE)
        head = head_of(rows[0][1:] if rows else None)
        changes = rows[0][0]
        growth = grow(head, [pending_of(body.encode()) for bodies in changes or () for body in bodies.split("\n")])
        signed = head.signed
        if signed.size < growth.frontier.size:
            signed = sign(head, growth.frontier, self._keys)
            _write(driver, growth, signed)
        driver.execute("COMMIT")
        return {row[1]: row[0] for row in growth.events}, signed


def _unplaced(why: str) -> Unavailable:
    return Unavailable(
        "a change was committed, but its position in the ledger is not known yet",
        where="store.ledger",
        why=why,
        next="do not repeat the change; look for it with trimtab get events",
    )


def _rows(driver: "psycopg.Connection[Any]", message: str, parameters: list[object] | None = None) -> list[Any]:
    """Send a message and return the rows with which its last statement answers."""
    if parameters and ";" in message:
        import psycopg

        # Only text may hold several statements, so the parameters are written into it.
        cursor: psycopg.Cursor[Any] = psycopg.ClientCursor(driver)
        cursor.execute(message, parameters)
    else:
        cursor = driver.execute(message, parameters)
    while cursor.nextset():
        pass
    return cursor.fetchall()


def _driver(connection: Connection) -> "psycopg.Connection[Any]":
    driver: psycopg.Connection[Any] | None = connection.connection.driver_connection
    assert driver is not None
    return driver


def _write(driver: "psycopg.Connection[Any]", growth: Growth, signed: Signed) -> None:
    events = [dict(zip(_EVENT_NAMES, (*row[:-1], row[-1].hex()), strict=True)) for row in growth.events]
    subjects = [{"position": position, "kind": kind, "id": id_} for position, kind, id_ in growth.subjects]
    checkpoint = (signed.size // TILE, signed.size, signed.note, signed.key)
    head = (growth.frontier.size, growth.frontier.pack())
    driver.execute(_WRITE, (_json(events), _json(subjects), *checkpoint, *head))
    for tile in growth.tiles:
        driver.execute(_INSERT_TILE, (tile.level, tile.number, tile.root))


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
