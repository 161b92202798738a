"""Bring a database up to date when it is opened: nothing if it is, Alembic's migrations if not.

Opening happens with every command, so an up-to-date database is recognised by one query, without Alembic. Two processes
that open an old database at once are put in a row by the write lock (SQLite) or an advisory lock (PostgreSQL).
"""

from pathlib import Path

from sqlalchemy import Connection, insert, select, text

from trimtab.kernel import Conflict
from trimtab.store.database import Database
from trimtab.store.tables import ledger_head

FOLDER = Path(__file__).parent / "migrations"


class NewerDatabase(Conflict):
    """The database was written by a later version of Trimtab."""

    code = "store.newer-database"
    default_why = "Its schema is {found}, which this version does not know."
    default_next = "install the version that wrote it, or a newer one: pip install trimtab-VERSION.whl"


def revisions() -> list[str]:
    """Return the names of all migrations, oldest first: they are files, and their names begin with their numbers."""
    return sorted(file.stem for file in (FOLDER / "versions").glob("[0-9]*.py"))


def bring_up_to_date(database: Database, *, name: str) -> str:
    """Make or migrate the schema where needed; return the ledger's origin, which is ``name`` if it is new.

    Raises ``NewerDatabase`` when a later version of Trimtab has migrated it.
    """
    known = revisions()
    with database.read() as connection:
        origin = _origin(connection) if _version(connection) == known[-1] else None
    if origin:
        return origin
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.migrate', 0))")
            )
        found = _version(connection)  # again: another process may have been quicker
        if found and found not in known:
            raise NewerDatabase(
                "the database is newer than this version of Trimtab", where="store.database", found=found
            )
        if found != known[-1]:
            upgrade_to(connection, "head")
        origin = _origin(connection)
        if origin is None:
            connection.execute(insert(ledger_head).values(one=1, origin=name, size=0, frontier=b""))
    return origin or name


def upgrade_to(connection: Connection, revision: str) -> None:
    """Run Alembic up to a revision inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


def _version(connection: Connection) -> str | None:
    """Return the revision of the schema, or None for a database without one."""
    if connection.dialect.name == "sqlite":
        there = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).first()
    else:
        there = connection.execute(text("SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL")).first()
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if there else None


def _origin(connection: Connection) -> str | None:
    return connection.execute(select(ledger_head.c.origin)).scalar()
