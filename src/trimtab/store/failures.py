"""What the databases' drivers say when something is wrong, in Trimtab's own words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from trimtab.kernel import Invalid, Refused, TrimtabError, Unavailable

_SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY: "another process is writing and did not finish in time",
    sqlite3.SQLITE_LOCKED: "another connection holds a lock",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the file may not be written",
    sqlite3.SQLITE_PERM: "the file may not be opened",
}
_SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LEDGER_TAKEN = "UNIQUE constraint failed: ledger_events.position"
# Classes and codes of SQLSTATE: connection, resources, operator intervention, system error, lock not available,
# serialization failure, deadlock, a transaction that was ended because nothing was said in it for long.
_POSTGRES_AWAY = ("08", "53", "57", "58", "55P03", "40001", "40P01", "25P03")


class StoreAway(Unavailable):
    """What facts lie in (the database, a disk, the blob store) does not answer: nobody's mistake, and it passes."""

    code = "store.away"


class DatabaseDamaged(Invalid):
    """The file that should be the database is not one, or not a whole one."""

    code = "store.database-damaged"
    default_why = "SQLite cannot read it as a database."
    default_next = "restore trimtab.db from a backup, then run trimtab verify"


class RowsDamaged(Invalid):
    """Rows that Trimtab wrote say something that it never writes."""

    code = "store.rows-damaged"
    default_why = "Somebody wrote to the database past Trimtab, or restored a part of it."
    default_next = "trimtab verify, then restore the database from a backup"


class NotAuthentic(Refused):
    """What the database says is not what Trimtab recorded, or that cannot be told here: whoever would act refuses."""

    code = "store.not-authentic"


class KeyMissing(NotAuthentic):
    """A ledger may be read without its key, and not be written."""

    code = "store.key-missing"
    default_why = "Events are authenticated and signed by the ledger's key, which the database does not hold."
    default_next = (
        "copy the file keys/ledger-*.key of the home that wrote it into this home's folder keys; "
        'if it is lost: trimtab ledger new-key --because "..."'
    )


@contextmanager
def named(*, reading: bool = False) -> Iterator[None]:
    """Turn a driver's error that is nobody's mistake (locked, away, full, damaged) into a ``TrimtabError``.

    When ``reading``, an attempt to write is a programmer's mistake, and stays one.
    """
    try:
        yield
    except Exception as error:
        translated = name_of(error)
        if translated is None or (reading and _is_write(error)):
            raise
        raise translated from error


def name_of(error: Exception) -> TrimtabError | None:
    """Return what a driver's error means that is nobody's mistake, None for any other one."""
    if isinstance(error, PoolTimeout):
        return _away("every connection to it is in use")
    # An edge: the drivers' own errors come wrapped by SQLAlchemy, or bare where the driver is called by hand.
    return _translated(error.orig if isinstance(error, DBAPIError) else error)


def _is_write(error: Exception) -> bool:
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY


def _translated(error: BaseException | None) -> TrimtabError | None:
    if isinstance(error, msgspec.DecodeError):
        # What a caller sends is decoded at the edges; in here only rows are.
        return RowsDamaged(f"a row of the database cannot be read: {error}", where="store.database")
    if isinstance(error, UnicodeDecodeError) or str(error).startswith("Could not decode to UTF-8"):
        return RowsDamaged("a row of the database holds text that is none", where="store.database")
    if isinstance(error, sqlite3.Error):
        if str(error) == _LEDGER_TAKEN:
            return RowsDamaged("the ledger's head is not where its events end", where="store.ledger")
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _SQLITE_DAMAGED:
            return DatabaseDamaged("the database file is damaged", where="store.database")
        return _away(_SQLITE_AWAY[code]) if code in _SQLITE_AWAY else None
    # psycopg takes a fifth of a second to import, so its errors are known by their shape.
    state = getattr(error, "sqlstate", "")
    if state is None and {"OperationalError", "InterfaceError"} & {kind.__name__ for kind in type(error).__mro__}:
        return _unreachable(str(error))
    if state and state.startswith(_POSTGRES_AWAY):
        return _away(f"the server answers SQLSTATE {state}")
    return None


def _unreachable(said: str) -> StoreAway:
    # The last line is the newest attempt's reason; it names host, port, database and user, never the password.
    reason = said.strip().splitlines()[-1].strip() if said.strip() else "nothing"
    return StoreAway(
        "the database cannot be reached",
        where="setting database",
        why=f"The server cannot be reached; the driver says: {reason[:200].rstrip('.')}.",
        next="start PostgreSQL, or correct the setting database; trimtab doctor shows where it comes from",
    )


def _away(why: str) -> StoreAway:
    return StoreAway(
        "the database does not answer",
        where="store.database",
        why=f"It says that {why}.",
        next="trimtab doctor",
    )
