"""The ledger on PostgreSQL: a change leaves its events in an outbox, and one sequencer at a time gives them positions.

Many transactions write at once, and none of them may wait for the others just to learn its place in the order. So a
change commits its events to the outbox, together with its rows. Then whoever gets the advisory lock takes every event
that is visible (the order of the ledger is the order in which commits became visible), appends them all in one
transaction that waits for the disk, and thereby makes the changes themselves durable, which come before it in the same
log. A process that dies in between leaves its events in the outbox, for the next one to sequence.

What lies in the outbox carries the code of the ledger's key. Whatever does not was put there by somebody else: it is
set aside, gets no position, and is named by ``verify``.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection

from trimtab.kernel import Unavailable
from trimtab.store.database import Database
from trimtab.store.failures import StoreAway
from trimtab.store.ledger.authentic import Authenticity
from trimtab.store.ledger.growth import EVENT_COLUMNS, Growth, grow, head_of, sign
from trimtab.store.ledger.keys import KeyMissing
from trimtab.store.ledger.records import Pending, Receipt, Signed, pending_of
from trimtab.store.ledger.tree import TILE

if TYPE_CHECKING:
    import psycopg

# The search path decides which ledger is meant, so the lock is named after its schema.
_KEY = "hashtextextended('trimtab.ledger.' || current_schema(), 0)"
_TRY = f"BEGIN; SELECT pg_try_advisory_xact_lock({_KEY})"
# The lock is held already, so this statement sees all that its last holder has committed.
_TAKE = """
    WITH taken AS (DELETE FROM ledger_outbox RETURNING seq, bodies, encode(code, 'hex') AS code)
    SELECT (SELECT json_agg(json_build_array(seq, bodies, code) ORDER BY seq) FROM taken),
        h.origin, h.size, h.frontier, coalesce(c.size, 0), coalesce(c.note, ''), coalesce(c.key, '')
    FROM ledger_head h LEFT JOIN ledger_checkpoints c ON c.tile = (SELECT max(tile) FROM ledger_checkpoints)
"""
# Only the key that signs the ledger now may leave events: those of another one would be refused after their rows stand.
_PUT_OUTBOX = """
    INSERT INTO ledger_outbox (idempotency_key, bodies, code) SELECT %s, %s, %s
    WHERE coalesce((SELECT key FROM ledger_checkpoints ORDER BY tile DESC LIMIT 1), %s) = %s
"""
_SET_ASIDE = "INSERT INTO ledger_refused (seq, bodies, why) VALUES (%s, %s, %s) ON CONFLICT (seq) DO NOTHING"
_KNOWN = "SELECT id FROM ledger_events WHERE id = ANY(%s)"
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
_PUT_CHECKPOINT = """
    INSERT INTO ledger_checkpoints (tile, size, note, key) VALUES (%s, %s, %s, %s)
    ON CONFLICT (tile) DO UPDATE SET size = excluded.size, note = excluded.note, key = excluded.key
"""
# Rows travel as JSON text: for a handful of them that is several times cheaper than arrays of parameters.
_WRITE = f"""
    WITH events AS (
        INSERT INTO ledger_events ({EVENT_COLUMNS})
        SELECT position, id, at, actor, type, idempotency_key, body, decode(leaf, 'hex'), rules, ruled_before,
            decode(code, 'hex')
        FROM json_to_recordset(%s::json) AS row (
            position bigint, id text, at text, actor text, type text, idempotency_key text, body text, leaf text,
            rules boolean, ruled_before bigint, code text
        )
    ), subjects AS (
        INSERT INTO ledger_subjects (position, kind, id)
        SELECT position, kind, id FROM json_to_recordset(%s::json) AS row (position bigint, kind text, id text)
    ), checkpoints AS ({_PUT_CHECKPOINT})
    UPDATE ledger_head SET size = %s, frontier = %s
"""  # noqa: S608
_INSERT_TILE = "INSERT INTO ledger_tiles (level, number, root) VALUES (%s, %s, %s)"
_EVENT_NAMES = EVENT_COLUMNS.split(", ")
log = logging.getLogger("trimtab.store")


class _Ticket(msgspec.Struct):
    """Someone who waits: the id of the last event, and the receipt as soon as somebody has sequenced it."""

    last_id: str
    receipt: Receipt | None = None


class PostgresLedger:
    """Adds events to the ledger of a PostgreSQL database."""

    def __init__(self, database: Database, authenticity: Authenticity) -> None:
        self._database = database
        self._authenticity = authenticity
        self._lead = threading.Lock()
        self._register = threading.Lock()
        self._waiting: dict[str, _Ticket] = {}

    def enter(self, connection: Connection, events: list[Pending], *, durable: bool) -> Callable[[], Receipt]:  # noqa: ARG002
        """Leave events in the outbox, inside their change's transaction; every receipt waits for the disk here."""
        bodies = b"\n".join([event.body for event in events]).decode()
        known, signed_by = self._authenticity, self._authenticity.signed_by
        row = (events[0].idempotency_key, bodies, known.code_of_waiting(bodies), signed_by, signed_by)
        if not _driver(connection).execute(_PUT_OUTBOX, row).rowcount:
            raise KeyMissing("the ledger is signed by another key than this home's", where="store.ledger")
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
                signed = self._lead_or_wait(connection, {})
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
                    has_led = self._lead_or_wait(connection, open_tickets)
        except BaseException:
            with self._register:
                self._waiting |= open_tickets
            raise

    def _lead_or_wait(self, connection: Connection, tickets: dict[str, _Ticket]) -> Signed | None:
        """Sequence the outbox, or let another do it; remove the tickets that got their receipts.

        Returns the newest checkpoint when it was this process that sequenced.
        """
        driver = _driver(connection)
        try:
            if _rows(driver, _TRY)[0][0]:
                given, signed = self._appended(connection)
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

    def _appended(self, connection: Connection) -> tuple[dict[str, int], Signed]:
        import psycopg

        try:
            return self._append(connection)
        except psycopg.errors.UniqueViolation:
            # Somebody put events into the outbox again that are in the ledger: look at each one, which costs more.
            driver = _driver(connection)
            driver.execute("ROLLBACK")
            _rows(driver, f"BEGIN; SELECT pg_advisory_xact_lock({_KEY})")
            return self._append(connection, doubtful=True)

    def _append(self, connection: Connection, *, doubtful: bool = False) -> tuple[dict[str, int], Signed]:
        """Sequence the outbox and commit; return the positions that were given and the newest checkpoint."""
        driver, known = _driver(connection), self._authenticity
        rows = _rows(driver, _TAKE)
        head = head_of(rows[0][1:] if rows else None)
        trusted = known.trusted(connection, head)
        events = list(self._authentic(driver, rows[0][0] or (), doubtful=doubtful))
        growth = grow(head, events, ruled=trusted.ruled, code=known.code)
        signed = head.signed
        if events:
            signed = sign(known.key, growth.frontier)
            known.expect(growth.frontier.size, _write(driver, growth, signed), growth.ruled, after=trusted)
        elif signed.size < head.size:
            signed = sign(known.key, growth.frontier)
            _put(driver, signed)
        driver.execute("COMMIT")
        return {row[1]: row[0] for row in growth.events}, signed

    def _authentic(
        self, driver: "psycopg.Connection[Any]", waiting: Iterable[tuple[int, str, str]], *, doubtful: bool
    ) -> Iterator[Pending]:
        """Yield the events that Trimtab left; set aside what somebody else put there, or put there again."""
        taken: set[str] = set()
        for seq, bodies, code in waiting:
            why = "it does not carry the code of the ledger's key"
            if self._authenticity.is_waiting(bodies, bytes.fromhex(code or "")):
                events = [pending_of(body.encode()) for body in bodies.split("\n")]
                ids = {event.id for event in events}
                if not doubtful or not (ids & taken or driver.execute(_KNOWN, [list(ids)]).fetchone()):
                    taken |= ids
                    yield from events
                    continue
                why = "it is in the ledger already"
            driver.execute(_SET_ASIDE, (seq, bodies, why))
            log.error("row %s of the outbox is refused: %s; somebody writes to the database past Trimtab", seq, why)


def _unplaced(why: str) -> StoreAway:
    return StoreAway(
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


def _write(driver: "psycopg.Connection[Any]", growth: Growth, signed: Signed) -> bytes:
    """Write what was added; return the packed frontier."""
    events = [
        {name: value.hex() if type(value) is bytes else value for name, value in zip(_EVENT_NAMES, row, strict=True)}
        for row in growth.events
    ]
    subjects = [{"position": position, "kind": kind, "id": id_} for position, kind, id_ in growth.subjects]
    checkpoint = (signed.size // TILE, signed.size, signed.note, signed.key)
    frontier = growth.frontier.pack()
    driver.execute(_WRITE, (_json(events), _json(subjects), *checkpoint, growth.frontier.size, frontier))
    for tile in growth.tiles:
        driver.execute(_INSERT_TILE, (tile.level, tile.number, tile.root))
    return frontier


def _put(driver: "psycopg.Connection[Any]", signed: Signed) -> None:
    driver.execute(_PUT_CHECKPOINT, (signed.size // TILE, signed.size, signed.note, signed.key))


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
