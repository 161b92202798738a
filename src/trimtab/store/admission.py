"""Who may write to a database: a program that knows its schema, as long as the database is open.

A program may run for weeks while another one, of a newer version, migrates the database under it, or while the database
is moved elsewhere. So each write transaction looks at both first, in the message that begins it.
On PostgreSQL it holds a lock that others share, and that who migrates or moves the database holds alone; on SQLite
there is one writer at a time in any case.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from sqlalchemy import Connection, text

from trimtab.kernel import Conflict, Refused
from trimtab.store.prepared import Call, Prepared, cells, send

if TYPE_CHECKING:
    from trimtab.store.patience import Patient

_LOCK = "hashtextextended(current_schema() || '.migrate', 0)"
_AS_IT_IS = "SELECT version_num, (SELECT state FROM store_closed) FROM alembic_version"
_CLOSING = "SELECT state, other, origin, at FROM store_closed"
_CLOSE = "INSERT INTO store_closed (one, state, other, origin, at) VALUES (1, :state, :other, :origin, :at)"
_REOPEN = "DELETE FROM store_closed"
_ENTER = Prepared("trimtab_enter", f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
_LOOK = Prepared(
    "trimtab_look",
    """
    SELECT 1 / ((SELECT version_num FROM alembic_version) = $1 AND NOT EXISTS (SELECT FROM store_closed))::int
    """,
    "text",
)
"""Fails where the program may not write, so that what follows in the same message is not done."""
_OF_THE_SCHEMA = ("22012", "42")
"""How the SQLSTATE of errors begins that may be because of another schema: that division, and names of nothing."""

OPTION = "trimtab_admission"
"""The option with which a connection to SQLite carries the ``Admission`` of its program."""


class ClosedAs(StrEnum):
    """Why a database takes no changes."""

    ARRIVING = "arriving"
    LEAVING = "leaving"
    MOVED = "moved"
    BACKUP = "backup"


class Closing(msgspec.Struct, frozen=True):
    """That a database is closed: from where it is filled or to where it went, with which ledger, since when (UTC)."""

    state: str
    other: str
    origin: str
    at: str


class Closed(Refused):
    """A database takes no changes: it is not complete yet, or it was moved."""

    code = "store.closed"
    default_why = "It was moved to {other} on {at}, and what was written here would be missing there."
    default_next = (
        "set the settings database and blobs to where it is; or write here again: trimtab move --reopen --because '...'"
    )


class SchemaChanged(Conflict):
    """Another version of Trimtab has brought the database to another schema while this program ran."""

    code = "store.schema-changed"
    default_why = "Its schema is {found} by now, and this program writes {known}."
    default_next = "stop this program, and start it with the version that migrated the database"


class Admission:
    """Begins the write transactions of one program, and lets it in only where it may write.

    ``revision`` is the schema that the program knows. Before it is set, while a database is opened or filled, nothing
    is looked at.
    """

    def __init__(self) -> None:
        self.revision = ""
        self.state = 0
        """Another number after each moment at which somebody else may have written to a SQLite database, or a
        transaction of this program failed: what was known before is to be read again."""
        self._left: tuple[sqlite3.Connection, int] | None = None

    def begin_sqlite(self, driver: sqlite3.Connection) -> None:
        """Begin a write transaction. Raises ``SchemaChanged`` or ``Closed``; whoever began it rolls back."""
        driver.execute("BEGIN IMMEDIATE")
        if not self.revision:
            self.look_again()
            return
        # The number is another one after each commit of another connection, and costs less to read than two tables.
        now = (driver, driver.execute("PRAGMA data_version").fetchone()[0])
        if now != self._left:
            self.look_again()
            self._check(driver, driver.execute(_AS_IT_IS).fetchone())
            self._left = now

    def look_again(self) -> None:
        """Take nothing for known: a transaction of this program failed, or has closed or opened the database."""
        self._left = None
        self.state += 1

    def send(self, driver: "Patient", *parts: str | Call) -> None:
        """Send what is queued and more statements of a write transaction to PostgreSQL, in one message.

        It begins in the same message, if it has not begun, and nothing after its beginning is done where the program
        may not write. Raises ``SchemaChanged`` or ``Closed``; whoever asked rolls back.
        """
        said = (*driver.queued, *parts)
        driver.queued.clear()
        if driver.pgconn.transaction_status:
            if said:
                send(driver, *said)
            return
        if not self.revision:
            send(driver, "BEGIN", *said)
            return
        try:
            send(driver, "BEGIN", _ENTER(), _LOOK(self.revision), *said)
        except Exception as error:
            if str(getattr(error, "sqlstate", "")).startswith(_OF_THE_SCHEMA):
                self._look(driver)
            if not driver.closed and not driver.pgconn.transaction_status:
                with suppress(Exception):
                    send(driver, "BEGIN", "SELECT 1 / 0")  # whoever catches the error must not go on without the row
            raise

    def _look(self, driver: "Patient") -> None:
        """Raise what says why if the program may not write; nothing is left of the transaction that has failed."""
        if driver.pgconn.transaction_status:
            send(driver, "ROLLBACK")
        row = next(iter(cells(send(driver, _AS_IT_IS)[0])), None)
        self._check(driver, row and [value and value.decode() for value in row])

    def _check(self, driver: Any, found: Sequence[Any] | None) -> None:
        revision, state = found or ("none", None)
        if revision != self.revision:
            raise SchemaChanged(
                "the database was brought to another schema while this program ran", where="store.database",
                found=revision, known=self.revision,
            )  # fmt: skip
        if state is not None:
            raise refusal(Closing(*driver.execute(_CLOSING).fetchone()))


def alone(connection: Connection) -> None:
    """Wait until nobody else writes, and keep others from it until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def closing_of(connection: Connection) -> Closing | None:
    """Return how a database is closed, None when it is open."""
    row = connection.execute(text(_CLOSING)).first()
    return None if row is None else Closing(*row)


def close(connection: Connection, closing: Closing) -> None:
    """Close a database to all changes, or say anew how it is closed."""
    reopen(connection)
    connection.execute(text(_CLOSE), msgspec.structs.asdict(closing))


def reopen(connection: Connection) -> None:
    """Let a database take changes again."""
    alone(connection)
    connection.execute(text(_REOPEN))
    if (admission := connection.get_execution_options().get(OPTION)) is not None:
        admission.look_again()


def refusal(closing: Closing) -> Closed:
    """Return the error with which a closed database answers."""
    known = {"where": "store.database", "other": closing.other, "at": closing.at}
    state = ClosedAs(closing.state)
    match state:
        case ClosedAs.ARRIVING:
            return Closed(
                "the database is not complete",
                why=f"Since {closing.at} it is being filled from {closing.other}, and that is not done.",
                next="wait for it, or repeat the command that fills it: trimtab move or trimtab restore",
                **known,
            )
        case ClosedAs.LEAVING:
            return Closed(
                "the database is being moved",
                why=f"Since {closing.at} it goes to {closing.other}, and what was written here would be missing there.",
                next="repeat trimtab move to finish it; or stay here: trimtab move --reopen --because '...'",
                **known,
            )
        case ClosedAs.MOVED:
            return Closed("the database was moved", **known)
        case ClosedAs.BACKUP:
            return Closed(
                "this is a backup",
                why=f"It was taken of {closing.other} at {closing.at}, and stays as it is.",
                next="restore it into a home of its own: trimtab --home FOLDER restore BACKUP",
                **known,
            )
        case _:
            assert_never(state)
