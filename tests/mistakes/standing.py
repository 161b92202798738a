"""How a home stands: its ledger, every row of every table, every file. A mistake must leave all of it as it was."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import create_engine, make_url, select

from trimtab.kernel import digest_of_file
from trimtab.store import Store, metadata

OF_SQLITE = (".db", ".db-wal", ".db-shm")


class Standing(NamedTuple):
    """``rows``: number and digest of the rows by table; ``files``: digest by path, without databases and logs."""

    ledger: tuple[object, ...]
    rows: dict[str, tuple[int, str]]
    files: dict[str, str]

    def without(self, *names: str) -> "Standing":
        """Leave out tables, folders and (as ``ledger``) the ledger whose names begin with one of these."""
        return Standing(
            () if "ledger" in names else self.ledger,
            {name: found for name, found in self.rows.items() if not name.startswith(names)},
            {name: found for name, found in self.files.items() if not name.startswith(names)},
        )


def standing_of(of: Store | Path, *, database: str = "") -> Standing:
    """Read how a home stands, past Trimtab and without changing anything, and its ``database`` on PostgreSQL."""
    home = of if isinstance(of, Path) else of.settings.home_path
    rows: dict[str, tuple[int, str]] = {}
    ledger: tuple[object, ...] = ()
    if isinstance(of, Store) and not of.database.is_sqlite:
        database = of.settings.database
    if database:
        engine = create_engine(make_url(database).set(drivername="postgresql+psycopg"))
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                rows[table.name] = _digested(map(repr, map(tuple, connection.execute(select(table)))))
            ledger = tuple(connection.execute(select(metadata.tables["ledger_head"])).first() or ())
        engine.dispose()
    for file in sorted(home.rglob("*.db")):
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
            for (name,) in names:
                rows[name] = _digested(map(repr, connection.execute(f'SELECT * FROM "{name}"')))
            if ("ledger_head",) in names:
                ledger = connection.execute("SELECT origin, size, frontier FROM ledger_head").fetchone() or ()
    files = {
        str(path.relative_to(home)): digest_of_file(path)
        for path in sorted(home.rglob("*"))
        if path.is_file() and not (path.name.endswith(OF_SQLITE) and rows) and path.relative_to(home).parts[0] != "logs"
    }
    return Standing(ledger, rows, files)


def _digested(rows: Iterable[str]) -> tuple[int, str]:
    ordered = sorted(rows)
    return len(ordered), hashlib.sha256("\n".join(ordered).encode()).hexdigest()


def wrong_blobs(home: Path) -> set[str]:
    """Return the blobs that do not hold what their names say."""
    blobs = (home / "blobs").glob("*/*")
    return {blob.name for blob in blobs if digest_of_file(blob) != f"sha256:{blob.parent.name}{blob.name}"}


def nothing_half_written(home: Path, *, damaged: set[str] | None = None) -> None:
    """Fail when a temporary file was left behind, or a blob is wrong that was not among the ``damaged`` before."""
    for path in home.rglob("*"):
        is_temporary = path.name.startswith(".") and path != home / ".gitignore"
        assert not is_temporary, f"left behind: {path.relative_to(home)}"
        assert not path.name.endswith((".tmp", ".part")), f"left behind: {path.relative_to(home)}"
    assert wrong_blobs(home) == (damaged or set()), "half written"


REFUSED = ("server_refusals",)
"""Who was refused what is counted, on the command line too."""
RECORDED = (*REFUSED, "ledger", "witness")
"""An approval that the gate refuses is an event."""


ALWAYS = ("server_refusals", "serving_homes")
"""Tables that a mistake may always add to: who was refused what, and which homes have asked."""


@contextmanager
def unchanged(of: Store | Path, *, but: tuple[str, ...] = (), database: str = "") -> Iterator[None]:
    """Fail when the block changes anything in a store's home or database, or leaves anything half done.

    ``but`` names what it may add to: tables and folders by the beginnings of their names, and the ``ledger``.
    """
    home = of if isinstance(of, Path) else of.settings.home_path
    but = (*but, *ALWAYS)
    before, damaged = standing_of(of, database=database).without(*but), wrong_blobs(home)
    yield
    after = standing_of(of, database=database).without(*but)
    assert after.ledger == before.ledger, "the ledger has grown, or is another one"
    changed = {
        name: (found[0], after.rows.get(name, (0,))[0])
        for name, found in before.rows.items()
        if after.rows.get(name) != found
    }
    assert not changed, f"rows by table, before and after: {changed}"
    assert set(after.rows) == set(before.rows)
    assert set(after.files) == set(before.files)
    assert after.files == before.files
    nothing_half_written(home, damaged=damaged)
