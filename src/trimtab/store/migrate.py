"""Bring a database up to date when it is opened: nothing if it is, Alembic's migrations if not.

Opening happens with every command, so an up-to-date database is recognised by one query, without Alembic. Two processes
that open an old database at once are put in a row by the write lock (SQLite) or an advisory lock (PostgreSQL).
"""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, insert, select, text

from trimtab.kernel import Conflict
from trimtab.store.admission import ClosedAs, alone, closing_of, refusal
from trimtab.store.database import Database, take_your_time
from trimtab.store.ledger.keys import Keys
from trimtab.store.ledger.notes import Checkpoint
from trimtab.store.tables import ledger_events, ledger_head, store_closed

FOLDER = Path(__file__).parent / "migrations"


class NewerDatabase(Conflict):
    """The database was written by a later version of Trimtab."""

    code = "store.newer-database"
    default_why = "Its schema is {found}, which this version does not know."
    default_next = "install the version that wrote it, or a newer one: pip install trimtab-VERSION.whl"


class HistoryMissing(Conflict):
    """A home that has seen events is pointed at a database without any."""

    code = "store.history-missing"
    default_why = (
        "It has seen {size} events of the ledger {origin}; a new ledger begun here would hide that they are gone."
    )
    default_next = (
        "correct the setting database, or bring them back: trimtab restore FOLDER; to begin anew, take another home: "
        "trimtab --home FOLDER plan"
    )


History = Callable[[], Checkpoint | None]


def revisions() -> list[str]:
    """Return the names of all migrations, oldest first: they are files, and their names begin with their numbers."""
    return sorted(file.stem for file in (FOLDER / "versions").glob("[0-9]*.py"))


def bring_up_to_date(database: Database, *, name: str, keys: Keys, history: History = lambda: None) -> str:
    """Make or migrate the schema where needed; return the ledger's origin, which is ``name`` if it is new.

    A new ledger's key is made with it, in ``keys``: whoever finds a ledger later has to have its key. ``history`` is
    asked for the longest ledger that was ever here when the database holds no event: no new one is begun then. Raises
    ``HistoryMissing`` for that, ``NewerDatabase`` when a later version of Trimtab has migrated it, ``Closed`` when it
    is not complete. From here on the database takes changes of this program only as long as nobody migrates or closes
    it.
    """
    known = revisions()
    with database.read() as connection:
        origin = _origin(connection, history) if version_of(connection) == known[-1] else None
    if not origin:
        origin = _brought(database, known, name, keys, history)
    database.admission.revision = known[-1]
    return origin


def _brought(database: Database, known: list[str], name: str, keys: Keys, history: History) -> str:
    with database.write() as connection:
        alone(connection)
        take_your_time(connection)
        found = version_of(connection)  # again: another process may have been quicker
        refuse_newer(found)
        if found != known[-1]:
            upgrade_to(connection, "head")
        origin = _origin(connection, history)
        if origin is None:
            if connection.execute(select(ledger_events.c.position).limit(1)).first() is None:
                keys.make(name)  # elsewhere somebody has taken the head away, and what is there has its key
            connection.execute(insert(ledger_head).values(one=1, origin=name, size=0, frontier=b""))
    return origin or name


def refuse_newer(found: str | None) -> None:
    """Raise ``NewerDatabase`` for a schema that this version does not know."""
    if found and found not in revisions():
        raise NewerDatabase("the database is newer than this version of Trimtab", where="store.database", found=found)


def upgrade_to(connection: Connection, revision: str) -> None:
    """Run Alembic up to a revision inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


def version_of(connection: Connection) -> str | None:
    """Return the revision of the schema, or None for a database without one."""
    if connection.dialect.name == "sqlite":
        there = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).first()
    else:
        there = connection.execute(text("SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL")).first()
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if there else None


def _origin(connection: Connection, history: History) -> str | None:
    """Return the ledger's origin, None for a new one. Raises ``Closed`` for a database that is not complete."""
    columns = (store_closed.c.state, ledger_head.c.origin, ledger_head.c.size)
    asked = [select(column).limit(1).scalar_subquery() for column in (*columns, ledger_events.c.position)]
    state, origin, size, event = connection.execute(select(*asked)).one()
    if state == ClosedAs.ARRIVING and (found := closing_of(connection)):
        raise refusal(found)
    if not size and event is None:
        known = history()
        if known is not None and known.origin != origin:
            raise HistoryMissing(
                "the database holds no event, and this home had a history",
                where="store.database",
                origin=known.origin,
                size=known.size,
            )
    return None if origin is None else str(origin)
