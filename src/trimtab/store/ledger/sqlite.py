"""The ledger on SQLite: one writer at a time, so events get their positions inside the change itself.

This is the hottest path of the store: the statements are given to the driver by hand, in a quarter of the time.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Connection

from trimtab.kernel import Refused
from trimtab.store.database import Database, driver_of
from trimtab.store.failures import RowsDamaged
from trimtab.store.ledger.authentic import Authenticity
from trimtab.store.ledger.growth import EVENT_COLUMNS, Growth, grow, is_due, sign
from trimtab.store.ledger.head import head_in
from trimtab.store.ledger.records import Head, Pending, Receipt, Signed
from trimtab.store.ledger.tree import TILE, Frontier

_INSERT_EVENT = f"INSERT INTO ledger_events ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_INSERT_SUBJECT = "INSERT INTO ledger_subjects (position, kind, id) VALUES (?, ?, ?)"
_INSERT_TILE = "INSERT INTO ledger_tiles (level, number, root) VALUES (?, ?, ?)"
_MOVE_HEAD = "UPDATE ledger_head SET size = ?, frontier = ?"
_FIND_KEY = "SELECT position, ruled_before, body, code FROM ledger_events WHERE idempotency_key = ?"
_PUT_CHECKPOINT = "INSERT OR REPLACE INTO ledger_checkpoints (tile, size, note, key) VALUES (?, ?, ?, ?)"


class _Left(NamedTuple):
    """The ledger's end as this process left it, and in which state: as long as that lasts, it need not be read."""

    state: int
    head: Head
    frontier: Frontier


class SqliteLedger:
    """Adds events to the ledger of a SQLite database."""

    def __init__(self, database: Database, authenticity: Authenticity) -> None:
        self._database = database
        self._authenticity = authenticity
        self._added = False
        self._left: _Left | None = None

    def enter(self, connection: Connection, events: list[Pending], *, durable: bool) -> Callable[[], Receipt]:
        """Add events inside their change's transaction. A checkpoint is signed only for what the disk will hold."""
        driver, known = driver_of(connection), self._authenticity
        state = self._database.admission.state
        left = self._left
        end = known.known(left.head) if left is not None and left.state == state else None
        if left is None or end is None:
            head = head_in(connection)
            left = _Left(state, head, Frontier.unpack(head.size, head.frontier))
            end = known.trusted(connection, head)
        self._left = None  # its frontier grows now
        head, growth = left.head, grow(left.frontier, events, ruled=end.ruled, code=known.code)
        # What nobody waits for is signed in time all the same; nobody is told before the disk holds it.
        signed = sign(known.key, growth.frontier) if durable or is_due(head, growth.frontier) else None
        _write(driver, growth)
        made = known.expect(growth, after=end)
        if signed:
            _put(driver, signed, made.frontier)
        self._left = _Left(state, Head(head.origin, made.size, made.frontier, signed or head.signed), growth.frontier)
        position = made.size - 1

        def acknowledge() -> Receipt:
            self._added = True
            known.settle(made)
            if not durable or signed is None:
                return Receipt(position)
            self._database.flush()
            return Receipt(position, signed.note, signed.key)

        return acknowledge

    def position_of_key(self, connection: Connection, key: str) -> int | None:
        """Return the position of the event that carries an idempotency key; the write transaction itself keeps it."""
        row = driver_of(connection).execute(_FIND_KEY, (key,)).fetchone()
        return self._authenticity.position_with(connection, key, row) if row else None

    def sequence(self) -> None:
        """Nothing ever waits for its position here."""

    def sign(self) -> Signed:
        """Sign the ledger as it is; return the newest checkpoint."""
        with self._database.write() as connection:
            driver = driver_of(connection)
            head = head_in(connection)
            self._authenticity.trusted(connection, head)
            signed = head.signed
            if signed.size != head.size:
                signed = sign(self._authenticity.key, Frontier.unpack(head.size, head.frontier))
                _put(driver, signed, head.frontier)
        self._database.flush()
        return signed

    def close(self) -> None:
        """Sign what this process has added and not yet signed; what does not fit together is left to ``verify``."""
        if self._added:
            with suppress(RowsDamaged, Refused):
                self.sign()


def _write(driver: sqlite3.Connection, growth: Growth) -> None:
    for row in growth.events:
        driver.execute(_INSERT_EVENT, row)
    for subject in growth.subjects:
        driver.execute(_INSERT_SUBJECT, subject)
    for tile in growth.tiles:
        driver.execute(_INSERT_TILE, (tile.level, tile.number, tile.root))


def _put(driver: sqlite3.Connection, signed: Signed, frontier: bytes) -> None:
    """Keep a checkpoint, and let the ledger's head stand where it was signed."""
    driver.execute(_PUT_CHECKPOINT, (signed.size // TILE, signed.size, signed.note, signed.key))
    driver.execute(_MOVE_HEAD, (signed.size, frontier))
