"""One database behind one small interface: SQLite by default, PostgreSQL by a URL.

Readers cannot write: on SQLite their connections are ``query_only``, on PostgreSQL their transactions are read only.
The only way to write is ``Store.change`` (with an event) or ``Store.journal`` (journal tables only).
"""

import math
import select
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.pool import QueuePool

from trimtab.kernel import Conflict, Invalid
from trimtab.store.admission import OPTION, Admission
from trimtab.store.disk import Disk
from trimtab.store.failures import StoreAway, name_of, named
from trimtab.store.folding import fold
from trimtab.store.place import Place
from trimtab.store.prepared import send

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)
"""The tables of every room. A room adds its own in its ``tables.py``."""

WAIT_S = 30.0
"""How long a writer waits for another before the database counts as locked."""

STATEMENT_S = 120.0
"""How long PostgreSQL works on one statement before it gives it up; waiting for locks is part of it."""

IDLE_S = 5.0
"""After how long a connection to PostgreSQL is asked whether it still works, before it is used."""

_SILENCE = 1.25
"""Times as long as a statement may take: then a server that says nothing is given up."""

_AT_REST = 8
"""How many connections of each kind rest at most; beyond them a process would keep what a burst has opened."""

_RESTS_SINCE = "rests_since"
_PING_S = 5.0
"""A connection that was idle and does not answer for so long is replaced."""

_ABANDONED_S = 600.0
"""After so long without a word inside a change, the server ends it: its author is stopped, and holds locks."""

_PAGE_BYTES = 2048
"""Of a new SQLite database. A change touches some five pages and writes each whole, so that it writes half as much as
with SQLite's own size; the file of a ledger of small events is a fifth larger."""

_LOG_BYTES = 32 << 20
"""How long SQLite's log grows before its pages are moved into the database, which waits for the disk twice."""


class NestedChange(Conflict):
    """A programmer's mistake: a change was begun inside a change of the same thread."""

    code = "store.nested-change"
    default_why = "The inner one would be kept when the outer one fails; on SQLite it would wait for it for ever."
    default_next = "pass the outer change on to the verb instead of opening another"


class Database:
    """Connections to one database; safe to share between threads, to be opened anew in each process.

    ``wait_s`` is how long a writer waits for another one before it gives up with ``StoreAway``; ``statement_s`` is
    how long PostgreSQL may work on one statement.
    """

    def __init__(self, url: str, *, wait_s: float = WAIT_S, statement_s: float = STATEMENT_S) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise _unknown_url() from None
        self.dialect = parsed.get_backend_name()
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._rest: list[tuple[float, Connection]] = []
        """Connections that changes have left, and when: getting one from the pool costs as much as a small insert."""
        self._rest_by_hand: list[tuple[float, Connection]] = []
        self._disk: Disk | None = None
        self._place: Place | None = None
        self.admission = Admission()
        self.is_sqlite = self.dialect == "sqlite"
        if self.dialect == "sqlite" and parsed.database:
            path = Path(parsed.database)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._disk = Disk(path.with_name(path.name + "-wal"))
            self._place = Place(path)
            self._writer = _sqlite_engine(url, admission=self.admission, wait_s=wait_s)
            self._reader = _sqlite_engine(url, admission=None, wait_s=wait_s)
        elif self.dialect == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
            self._writer = _postgres_engine(parsed, admission=self.admission, wait_s=wait_s, statement_s=statement_s)
            plain = _postgres_engine(parsed, admission=None, wait_s=wait_s, statement_s=statement_s)
            self._by_hand = plain.execution_options(isolation_level="AUTOCOMMIT")
            self._reader = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        else:
            raise _unknown_url()
        self._engines = (self._writer, self._reader)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one consistent state and cannot write."""
        with named(reading=True):
            if self._place is not None:
                self._place.check()
            with self._reader.connect() as connection:
                yield connection

    def write(self) -> "Writing":
        """Return what yields a connection inside a write transaction, committed at the end. For the store's own use.

        On PostgreSQL it begins with the first statement, in the same message where that is given by hand.
        The commit can be seen by everyone at once, and survives a killed process; it survives a power failure only
        after ``flush`` (SQLite) or a later commit ``by_hand`` (PostgreSQL).
        """
        return Writing(self)

    def begin(self) -> tuple[Connection, Any]:
        """Begin this thread's write transaction, and return its connection and the driver's own.

        ``commit`` or ``abandon`` end it. Raises ``NestedChange``.
        """
        if getattr(self._thread, "writes", False):
            raise NestedChange("a change was begun inside another one", where="store.change")
        # SQLite has one writer at a time: queueing here is fairer and cheaper than its busy handler.
        if self.is_sqlite and not self._lock.acquire(timeout=self._wait_s):
            raise _busy(self._wait_s)
        self._thread.writes = True
        connection = None
        try:
            connection = self._taken(self._rest, self._writer)
            driver = driver_of(connection)
            if self.is_sqlite:
                self.admission.begin_sqlite(driver)
        except BaseException as error:
            self.abandon(connection, error)
            raise
        return connection, driver

    def commit(self, connection: Connection, driver: Any) -> None:
        """Commit this thread's write transaction."""
        try:
            _commit(driver, connection)
            self._let_rest(self._rest, self._writer, connection)
        except BaseException as error:
            self.abandon(connection, error)
            raise
        self._thread.writes = False
        if self.is_sqlite:
            self._lock.release()

    def abandon(self, connection: Connection | None, error: BaseException) -> None:
        """Roll back this thread's write transaction for an error; raise instead of it what it means, if it says so."""
        try:
            self.admission.look_again()
            if connection is not None:
                connection.close()
        except Exception as worse:  # noqa: BLE001  it is translated like the first
            error = worse
        finally:
            self._thread.writes = False
            if self.is_sqlite:
                self._lock.release()
        translated = name_of(error) if isinstance(error, Exception) else None
        if translated is not None:
            raise translated from error

    @contextmanager
    def by_hand(self) -> Iterator[Connection]:
        """Yield a connection to PostgreSQL that begins and commits nothing by itself, and whose commits are on disk."""
        with named():
            connection = self._taken(self._rest_by_hand, self._by_hand)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._let_rest(self._rest_by_hand, self._by_hand, connection)

    def tell(self, options: dict[str, Any]) -> None:
        """Let every connection carry these options, for whoever is only given a connection."""
        with self._lock:
            self._close_resting()  # they were made before
        for engine in self._engines:
            engine.update_execution_options(**options)

    def flush(self) -> None:
        """Return when every commit of this process so far is on disk; concurrent callers share one wait (SQLite)."""
        if self._disk:
            self._disk.flush()

    def dispose(self) -> None:
        """Close every pooled connection."""
        with self._lock:
            self._close_resting()
        self._writer.dispose()
        self._reader.dispose()

    def _taken(self, rest: list[tuple[float, Connection]], engine: Engine) -> Connection:
        """Return a connection that rests, the last one first, or one from the pool."""
        if self._place is not None:
            self._place.check()
        while rest:
            try:
                since, connection = rest.pop()
            except IndexError:  # another thread was quicker
                break
            if self.is_sqlite or (time.monotonic() - since <= IDLE_S and not _has_ended(connection)):
                return connection
            info = connection.connection.info
            connection.close()
            info[_RESTS_SINCE] = -math.inf  # so the pool asks whether its server is still there
        return engine.connect()

    def _let_rest(self, rest: list[tuple[float, Connection]], engine: Engine, connection: Connection) -> None:
        """Keep a connection for the next one, unless so many are in use that somebody may wait for the pool."""
        if self.is_sqlite:  # there is one
            rest.append((0.0, connection))
        elif cast(QueuePool, engine.pool).checkedout() > _AT_REST:
            connection.close()
        else:
            rest.append((time.monotonic(), connection))

    def _close_resting(self) -> None:
        for rest in (self._rest, self._rest_by_hand):
            while rest:
                rest.pop()[1].close()


class Writing:
    """A write transaction as a block: see ``Database.write``.

    A class and not a generator, which would double the calls: this is what every change pays for.
    """

    __slots__ = ("_connection", "_database", "driver")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Connection:
        self._connection, self.driver = self._database.begin()
        return self._connection

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._database.commit(self._connection, self.driver)
        else:
            self._database.abandon(self._connection, error)


def _busy(wait_s: float) -> StoreAway:
    return StoreAway(
        "the database is busy",
        where="store.database",
        why=f"Another change in this process has been going on for more than {wait_s:g} s.",
        next="try again; a change should only write rows, not wait for anything",
    )


def _sqlite_engine(url: str, *, admission: Admission | None, wait_s: float) -> Engine:
    """Return an engine for writing where ``admission`` lets it, or without one for reading."""
    engine = create_engine(
        url,
        pool_size=1 if admission else 8,
        max_overflow=0 if admission else 24,
        connect_args={"timeout": wait_s, "isolation_level": None},  # the driver begins nothing by itself
        execution_options={OPTION: admission} if admission else {},
    )

    @event.listens_for(engine, "connect")
    def _configure(driver: Any, _record: Any) -> None:
        if admission:
            driver.execute(f"PRAGMA page_size={_PAGE_BYTES}")  # one that is there keeps its own
            driver.execute("PRAGMA journal_mode=WAL")
            driver.execute("PRAGMA synchronous=NORMAL")  # see Disk for what waits for the disk
            pages = _LOG_BYTES // driver.execute("PRAGMA page_size").fetchone()[0]
            driver.execute(f"PRAGMA wal_autocheckpoint={pages}")
            driver.execute("PRAGMA foreign_keys=ON")
        else:
            driver.execute("PRAGMA query_only=ON")
            driver.create_function("fold", 1, lambda text: text and fold(text), deterministic=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        driver = driver_of(connection)
        if driver.in_transaction:
            return  # it was begun by hand
        if admission:
            admission.begin_sqlite(driver)
        else:
            driver.execute("BEGIN")

    return engine


def driver_of(connection: Connection) -> Any:
    """Return the driver's own connection: what goes to it by hand costs a fraction."""
    return connection.connection.dbapi_connection  # the shortest way to it: every change goes there several times


def _commit(driver: Any, connection: Connection) -> None:
    if isinstance(driver, sqlite3.Connection):
        driver.execute("COMMIT")
    elif driver.pgconn.transaction_status:  # else nothing was written, or the ledger has committed in its own message
        send(driver, "COMMIT")
    if connection.in_transaction():
        connection.rollback()  # for SQLAlchemy the transaction ends too, if it took part


def take_your_time(connection: Connection) -> None:
    """Let the statements of this transaction last as long as they do: a migration reads and writes whole tables."""
    if connection.dialect.name == "postgresql":
        driver = driver_of(connection)
        driver.silent_s = 0.0
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _postgres_engine(url: URL, *, admission: Admission | None, wait_s: float, statement_s: float) -> Engine:
    """Return an engine for writing where ``admission`` lets it, or without one for reading and for work by hand."""
    from trimtab.store.patience import TCP, Patient  # the driver takes a fifth of a second to import

    # Last in, first out: the connections that are used most have their statements prepared.
    engine = create_engine(url, pool_size=_AT_REST, max_overflow=24, pool_timeout=wait_s, pool_use_lifo=True)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, args: Any, given: dict[str, Any]) -> Any:
        return Patient.connect(*args, **{**TCP, **given})

    @event.listens_for(engine, "connect")
    def _configure(driver: Any, _record: Any) -> None:
        driver.silent_s = statement_s * _SILENCE
        driver.execute(f"SET SESSION lock_timeout = {int(wait_s * 1000)}")
        driver.execute(f"SET SESSION statement_timeout = {int(statement_s * 1000)}")
        if admission:
            driver.execute(f"SET SESSION idle_in_transaction_session_timeout = {int(_ABANDONED_S * 1000)}")
            # A change is acknowledged only after the sequencer's commit, which is later in the same log and waits for
            # the disk, so it need not wait itself.
            driver.execute("SET SESSION synchronous_commit = off")
        driver.commit()
        driver.autocommit = admission is not None  # ``Admission`` begins

    if admission:

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            driver = driver_of(connection)
            if not driver.pgconn.transaction_status:  # else it was begun by hand
                admission.send(driver)

        @event.listens_for(engine, "before_cursor_execute")
        def _before(connection: Connection, *_: Any) -> None:
            driver = driver_of(connection)
            if driver.queued:
                admission.send(driver)

    _ask_after_rest(engine, statement_s=statement_s)
    return engine


def _ask_after_rest(engine: Engine, *, statement_s: float) -> None:
    """Ask a connection that has rested whether its server is still there, before it is used again."""

    @event.listens_for(engine, "checkin")
    def _rest(driver: Any, record: Any) -> None:
        if driver is not None:  # else it was broken, and is closed by now
            driver.silent_s = statement_s * _SILENCE
            driver.queued.clear()
        record.info[_RESTS_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _wake(driver: Any, record: Any, _proxy: Any) -> None:
        # Asking before each use whether the server is still there would cost a round trip of the few that a change has.
        if time.monotonic() - record.info.get(_RESTS_SINCE, math.inf) > IDLE_S:
            try:
                driver.silent_s = min(_PING_S, statement_s)
                driver.execute("SELECT 1")
                driver.rollback()
                driver.silent_s = statement_s * _SILENCE
            except Exception:  # noqa: BLE001 - whatever the driver says, the pool connects anew
                raise DisconnectionError from None


def _has_ended(connection: Connection) -> bool:
    """Say whether the server has closed a connection that rests: nothing else is to be read there."""
    driver = driver_of(connection)
    try:
        return bool(select.select([driver.pgconn.socket], (), (), 0)[0])
    except (OSError, ValueError):  # it is closed on this side, or has a number that cannot be looked at so
        return True


def _unknown_url() -> Invalid:
    return Invalid(
        "the database URL cannot be used",
        where="setting database",
        why="Trimtab keeps its facts in SQLite or PostgreSQL.",
        next="leave it empty for SQLite, or write postgresql://user@host/name",
    )
