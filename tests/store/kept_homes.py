"""Filled homes of past schemas, kept as files: what every later migration has to bring up to date.

    .venv/bin/python -m tests.store.kept_homes      keeps a home of the schema of today, before it changes

A home lies in ``homes/``, named after its schema, without the keys that sign: whoever opens it signs with new ones.
The oldest one is never made again, since only the code of its day can make it.
"""

import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, MetaData, create_engine, func, select, text
from tests.seeded import seed_everything

from trimtab.kernel import Actor, Settings
from trimtab.store import Database, Store, open_store, replace_key
from trimtab.store.migrate import revisions, upgrade_to

FOLDER = Path(__file__).parent / "homes"
KEPT = sorted(file.name.removesuffix(".tar.xz") for file in FOLDER.glob("*.tar.xz"))
_LEFT_OUT = (".key", "release.ed25519")

Rows = dict[str, list[dict[str, object]]]


def keep() -> Path:
    """Make a home in which something of everything has happened, and keep it under the name of its schema."""
    file = FOLDER / f"{revisions()[-1]}.tar.xz"
    if file.exists():
        raise SystemExit(f"{file.name} is kept already; it must stay what the code of its day has made")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = seed_everything(Path(folder)).home
        with closing(create_engine(f"sqlite:///{home / 'trimtab.db'}").raw_connection()) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # the file alone is the whole database
        with tarfile.open(file, "w:xz") as archive:
            archive.add(home, "home", filter=lambda member: None if member.name.endswith(_LEFT_OUT) else member)
    return file


def settings_of_kept(name: str, folder: Path, *, database: str = "") -> Settings:
    """Lay a kept home into a folder and return its settings; with ``database``, its rows lie on PostgreSQL instead."""
    with tarfile.open(FOLDER / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    home = folder / "home"
    if database:
        _move_rows(home / "trimtab.db", database, revision=name)
        (home / "trimtab.db").unlink()
    return Settings(home=str(home), database=database)


def open_kept(name: str, folder: Path, *, database: str = "") -> Store:
    """Open a kept home with a new key, as somebody has to who has lost the one of before."""
    store = open_store(settings_of_kept(name, folder, database=database))
    replace_key(store, actor=Actor("keeper"), because="the key was not kept")
    return store


def rows_of(url: str) -> Rows:
    """Return every row of every table, in an order of its own that both databases share."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    tables = _reflected(engine)
    with engine.connect() as connection:
        rows = {
            table.name: sorted(map(dict, connection.execute(select(table)).mappings()), key=repr)
            for table in tables.sorted_tables
        }
    engine.dispose()
    return rows


def _move_rows(source: Path, url: str, *, revision: str) -> None:
    target = Database(url)
    with target.write() as connection:
        upgrade_to(connection, revision)
    rows = rows_of(f"sqlite:///{source}")
    with target.write() as connection:
        tables = _reflected(connection.engine)
        for table in tables.sorted_tables:
            if rows[table.name] and table.name != "alembic_version":
                connection.execute(table.insert(), rows[table.name])
                for column in table.columns:
                    if column.identity is not None:  # the numbers after those that are taken
                        highest = select(func.max(column)).scalar_subquery()
                        number = func.setval(func.pg_get_serial_sequence(table.name, column.name), highest)
                        connection.execute(select(number))
    target.dispose()


def _reflected(engine: Engine) -> MetaData:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION READ ONLY"))
        found = MetaData()
        found.reflect(connection)
    return found


if __name__ == "__main__":
    keep()
