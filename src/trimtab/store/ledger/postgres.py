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
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection

from trimtab.kernel import TrimtabError, Unavailable
from trimtab.store.database import Database, driver_of
from trimtab.store.failures import KeyMissing, RowsDamaged, StoreAway
from trimtab.store.ledger.authentic import Authenticity
from trimtab.store.ledger.growth import EVENT_COLUMNS, Growth, grow, head_of, sign
from trimtab.store.ledger.records import Head, Pending, Receipt, Signed, pending_of
from trimtab.store.ledger.tree import TILE, Frontier
from trimtab.store.ledger.waiting import Ticket, Waiting
from trimtab.store.prepared import Call, Prepared, cells, send

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

    from trimtab.store.patience import Patient

# The search path decides which ledger is meant, so the lock is named after its schema.
_KEY = "hashtextextended('trimtab.ledger.' || current_schema(), 0)"
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_LEAD = Prepared("trimtab_lead", f"SELECT set_config('trimtab.leads', pg_try_advisory_xact_lock({_KEY})::text, true)")
"""Takes the lock if it is free; ``_TAKE`` is told by the setting, for in the same statement it would not yet see all
that the last holder has committed."""
_TAKE = Prepared(
    "trimtab_take",
    """
    WITH taken AS (
        DELETE FROM ledger_outbox WHERE current_setting('trimtab.leads') = 'true'
        RETURNING seq, CASE WHEN code = ANY($1) THEN NULL ELSE bodies END AS bodies, encode(code, 'hex') AS code
    )
    SELECT (SELECT json_agg(json_build_array(seq, bodies, code) ORDER BY seq) FROM taken),
        h.origin, h.size, encode(h.frontier, 'hex'), coalesce(c.size, 0), coalesce(c.note, ''), coalesce(c.key, '')
    FROM ledger_head h LEFT JOIN ledger_checkpoints c ON c.tile = (SELECT max(tile) FROM ledger_checkpoints)
    """,
    "bytea[]",
)
"""Leaves out the bodies of those whose codes are given: who takes them has them still."""
# Only the key that signs the ledger now may leave events: those of another one would be refused after their rows stand.
# Nothing divides by zero as long as the row comes to stand in the outbox; else the change ends before its commit.
_PUT_OUTBOX = Prepared(
    "trimtab_put",
    """
    WITH put AS (
        INSERT INTO ledger_outbox (idempotency_key, bodies, code) SELECT $1, $2, $3
        WHERE coalesce((SELECT key FROM ledger_checkpoints ORDER BY tile DESC LIMIT 1), $4) = $4
        RETURNING seq
    )
    SELECT 1 / count(*) FROM put
    """,
    "text, text, bytea, text",
)
_SET_ASIDE = "INSERT INTO ledger_refused (seq, bodies, why) VALUES (%s, %s, %s) ON CONFLICT (seq) DO NOTHING"
_KNOWN = "SELECT id FROM ledger_events WHERE id = ANY(%s)"
_LOCK_KEY = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.key.' || %s, 0))"
_WAITING_KEY = "SELECT 1 FROM ledger_outbox WHERE idempotency_key = %s"
_FIND_KEY = "SELECT position, ruled_before, body, code FROM ledger_events WHERE idempotency_key = %s"
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
_WRITE = Prepared(
    "trimtab_write",
    f"""
    WITH events AS (
        INSERT INTO ledger_events ({EVENT_COLUMNS})
        SELECT position, id, at, actor, type, idempotency_key, body, decode(leaf, 'hex'), rules, ruled_before,
            decode(code, 'hex')
        FROM json_to_recordset($1) AS row (
            position bigint, id text, at text, actor text, type text, idempotency_key text, body text, leaf text,
            rules boolean, ruled_before bigint, code text
        )
    ), subjects AS (
        INSERT INTO ledger_subjects (position, kind, id)
        SELECT position, kind, id FROM json_to_recordset($2) AS row (position bigint, kind text, id text)
    ), checkpoints AS (
        INSERT INTO ledger_checkpoints (tile, size, note, key) VALUES ($3, $4, $5, $6)
        ON CONFLICT (tile) DO UPDATE SET size = excluded.size, note = excluded.note, key = excluded.key
    )
    UPDATE ledger_head SET size = $4, frontier = $7
    """,  # noqa: S608
    "json, json, bigint, bigint, text, text, bytea",
)
_PUT_TILE = Prepared(
    "trimtab_tile",
    "INSERT INTO ledger_tiles (level, number, root) VALUES ($1, $2, $3)",
)
_EVENT_NAMES = EVENT_COLUMNS.split(", ")
log = logging.getLogger("trimtab.store")

Own = dict[str, list[Pending]]
"""The events of those who wait in this process, by their codes in hexadecimal."""
Outbox = list[tuple[int, str | None, str | None]]
"""What lay in the outbox: its number there, its bodies (None: they are known by the code), and its code."""


class PostgresLedger:
    """Adds events to the ledger of a PostgreSQL database."""

    def __init__(self, database: Database, authenticity: Authenticity) -> None:
        self._database = database
        self._authenticity = authenticity
        self._lead = threading.Lock()
        self._waiting = Waiting()

    def enter(self, connection: Connection, events: list[Pending], *, durable: bool) -> Callable[[], Receipt]:  # noqa: ARG002
        """Leave events in the outbox, and end their change's transaction; every receipt waits for the disk here."""
        import psycopg

        bodies = b"\n".join([event.body for event in events]).decode()
        known, signed_by = self._authenticity, self._authenticity.signed_by
        known.check_before_change(connection)
        code = known.code_of_waiting(bodies)
        put = _PUT_OUTBOX(events[0].idempotency_key, bodies, code, signed_by)
        try:
            self._database.admission.send(_driver(connection), put, "COMMIT")  # in one message: each is a round trip
        except psycopg.errors.DivisionByZero:
            raise KeyMissing("the ledger is signed by another key than this home's", where="store.ledger") from None
        return lambda: self._receipt_of(Ticket(events, code))

    def position_of_key(self, connection: Connection, key: str) -> int | None:
        """Return the position of the event that carries an idempotency key, and lock the key until the end."""
        driver = _driver(connection)
        self._database.admission.send(driver)
        driver.execute(_LOCK_KEY, [key])
        if driver.execute(_WAITING_KEY, [key]).fetchone():
            self.sequence()
        row = driver.execute(_FIND_KEY, [key]).fetchone()
        return self._authenticity.position_with(connection, key, row) if row else None

    def _receipt_of(self, ticket: Ticket) -> Receipt:
        """Return the receipt of committed events, sequencing them and all that wait if nobody has done so yet."""
        try:
            if self._waiting.join(ticket):
                self._serve(ticket)
        except Unavailable as error:
            raise _unplaced(error.why) from error
        except TrimtabError as error:  # it was not refused: nothing of it is undone
            raise _unplaced(f"{error.what}.", next=error.next) from error
        finally:
            self._waiting.leave(ticket)
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

    def _serve(self, ticket: Ticket) -> None:
        """Get receipts for all who wait in this process, from its own sequencing or from another's."""
        with self._lead, self._database.by_hand() as connection:
            has_led = None
            while ticket.receipt is None and has_led is None:
                has_led = self._lead_or_wait(connection, self._waiting.snapshot())

    def _lead_or_wait(self, connection: Connection, tickets: dict[str, Ticket]) -> Signed | None:
        """Sequence the outbox, or let another do it; give those who wait their receipts.

        Returns the newest checkpoint when it was this process that sequenced.
        """
        driver = _driver(connection)
        try:
            own = {ticket.code.hex(): ticket.events for ticket in tickets.values()}
            leads, taken = send(driver, _BEGIN, _LEAD(), _TAKE(_listed(own)))[1:]
            if leads.get_value(0, 0) == b"true":
                given, signed = self._appended(connection, taken, own)
                self._waiting.answer({id_: Receipt(at, signed.note, signed.key) for id_, at in given.items()})
                tickets = {id_: ticket for id_, ticket in tickets.items() if id_ not in given}
                if not tickets:
                    return signed
            else:
                signed = None
            found = _rows(driver, _POSITIONS if signed else _WAIT, [list(tickets)])
            self._waiting.answer({id_: Receipt(position, note, key) for id_, position, note, key in found})
        except BaseException:
            if not driver.closed:
                driver.execute("ROLLBACK")
            raise
        return signed

    def _appended(self, connection: Connection, taken: "PGresult", own: Own) -> tuple[dict[str, int], Signed]:
        import psycopg

        try:
            return self._append(connection, taken, own)
        except psycopg.errors.UniqueViolation:
            # Somebody put events into the outbox again that are in the ledger: look at each one, which costs more.
            driver = _driver(connection)
            send(driver, "ROLLBACK")
            send(driver, _BEGIN, f"SELECT pg_advisory_xact_lock({_KEY})", "SET LOCAL trimtab.leads = 'true'")
            try:
                return self._append(connection, send(driver, _TAKE(_listed(own)))[0], own, doubtful=True)
            except psycopg.errors.UniqueViolation:
                raise RowsDamaged("the ledger's head is not where its events end", where="store.ledger") from None

    def _append(
        self, connection: Connection, taken: "PGresult", own: Own, *, doubtful: bool = False
    ) -> tuple[dict[str, int], Signed]:
        """Sequence what was taken out of the outbox, and commit; return what was given and the newest checkpoint."""
        driver, known = _driver(connection), self._authenticity
        waiting, head = _taken(taken)
        trusted = known.trusted(connection, head)
        events = list(self._authentic(driver, waiting, own, doubtful=doubtful))
        growth = grow(Frontier.unpack(head.size, head.frontier), events, ruled=trusted.ruled, code=known.code)
        signed = head.signed
        if events:
            signed = sign(known.key, growth.frontier)
            made = known.expect(growth, after=trusted)
            send(driver, *_writing(growth, signed), "COMMIT")
            known.settle(made)
            known.keep(signed)
        else:
            if signed.size < head.size:
                signed = sign(known.key, growth.frontier)
                driver.execute(_PUT_CHECKPOINT, (signed.size // TILE, signed.size, signed.note, signed.key))
            send(driver, "COMMIT")
        return {row[1]: row[0] for row in growth.events}, signed

    def _authentic(self, driver: "Patient", waiting: Outbox, own: Own, *, doubtful: bool) -> Iterator[Pending]:
        """Yield the events that Trimtab left; set aside what somebody else put there, or put there again."""
        taken: set[str] = set()
        for seq, bodies, code in waiting:
            events = own.get(code or "") if bodies is None else None
            why = "it does not carry the code of the ledger's key"
            if events is None and self._authenticity.is_waiting(bodies or "", bytes.fromhex(code or "")):
                events = [pending_of(body.encode()) for body in (bodies or "").split("\n")]
            if events is not None:
                ids = {event.id for event in events}
                if not doubtful or not (ids & taken or driver.execute(_KNOWN, [list(ids)]).fetchone()):
                    taken |= ids
                    yield from events
                    continue
                why = "it is in the ledger already"
            refused = bodies or "\n".join([event.body.decode() for event in events or ()])
            driver.execute(_SET_ASIDE, (seq, refused, why))
            log.error("row %s of the outbox is refused: %s; somebody writes to the database past Trimtab", seq, why)


def _unplaced(why: str, *, next: str = "look for it with trimtab get events") -> StoreAway:
    return StoreAway(
        "a change was committed, but its position in the ledger is not known yet",
        where="store.ledger",
        why=why,
        next=f"do not repeat the change; {next}",
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


def _driver(connection: Connection) -> "Patient":
    driver: Patient = driver_of(connection)
    return driver


def _listed(own: Own) -> str:
    """Return codes as PostgreSQL reads an array of them."""
    return "{" + ",".join([f'"\\\\x{code}"' for code in own]) + "}"


def _taken(answer: "PGresult") -> tuple[Outbox, Head]:
    """Return what lay in the outbox, and where the ledger ends. Raises ``RowsDamaged``."""
    rows = cells(answer)
    if not rows:
        return [], head_of(None)
    waiting, origin, size, frontier, signed, note, key = [(value or b"").decode() for value in rows[0]]
    head = head_of((origin, int(size), bytes.fromhex(frontier), int(signed), note, key))
    return msgspec.json.decode(waiting or "[]", type=Outbox), head


def _writing(growth: Growth, signed: Signed) -> list[Call]:
    """Return the statements that write what was added."""
    events = [
        {name: value.hex() if type(value) is bytes else value for name, value in zip(_EVENT_NAMES, row, strict=True)}
        for row in growth.events
    ]
    subjects = [{"position": position, "kind": kind, "id": id_} for position, kind, id_ in growth.subjects]
    checkpoint = (signed.size // TILE, signed.size, signed.note, signed.key)
    write = _WRITE(_json(events), _json(subjects), *checkpoint, growth.frontier.pack())
    return [write, *(_PUT_TILE(tile.level, tile.number, tile.root) for tile in growth.tiles)]


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
