"""The embedded online store: one SQLite file of packed cells, read in microseconds, also while it is being filled."""

import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from trimtab.features.compile import compile_view
from trimtab.features.errors import BeforeHorizon, NotMaterialised, UnknownRow
from trimtab.features.reading import CellsOf, Reader, request_values
from trimtab.features.records import CompiledView, OnlineRow, View
from trimtab.features.training import micros_of, when
from trimtab.kernel import Invalid
from trimtab.store import Store, StoreAway

FILE_NAME = "online.db"

_TABLES = """
CREATE TABLE IF NOT EXISTS views (
    digest TEXT PRIMARY KEY, first_part INTEGER NOT NULL, materialised INTEGER NOT NULL, exact_from INTEGER,
    state BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS cells (
    part INTEGER NOT NULL, key BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (part, key)
);
CREATE TABLE IF NOT EXISTS rows (
    part INTEGER NOT NULL, key BLOB NOT NULL, event INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (part, key)
) WITHOUT ROWID;
"""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds of one view. Parts are numbered from ``first_part``: lookups, tails, then the rows."""

    digest: str
    first_part: int
    materialised: int
    exact_from: int | None
    state: bytes


class OnlineStore:
    """Feature values for one request at a time; safe to share between threads, one file for all views and processes.

    A read is exact for every moment from ``exact_from`` (the last materialisation minus its horizon) on: it uses the
    facts that were known at that moment, also when newer ones are here already. An earlier moment raises
    ``BeforeHorizon``. A moment after the last materialisation is answered from the facts loaded by then, which
    ``OnlineRow.materialised_at`` tells.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._idle: deque[sqlite3.Connection] = deque()
        self._readers: dict[str, Reader] = {}
        # Outside of a transaction: where the tables exist this writes nothing, so it need not wait for a writer.
        try:
            with closing(_connect(path)) as connection:
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
        except sqlite3.Error as error:
            raise _trouble(path, error) from error

    def read(
        self, view: View, keys: Mapping[str, Any], at: datetime | None = None, *, latest: datetime | None = None
    ) -> OnlineRow:
        """Return the features of the row with these keys: ``Reading.read`` for one row, and what it raises.

        Raises ``NotMaterialised`` too. Pass a compiled view where speed matters.
        """
        with self.reading(view) as state:
            return state.read(keys, at, latest=latest)

    def row(
        self, view: View, request: Mapping[str, Any], at: datetime | None = None, *, latest: datetime | None = None
    ) -> OnlineRow:
        """Return the features of a row that the request describes: ``Reading.row`` for one row, and what it raises.

        Raises ``NotMaterialised`` too. Pass a compiled view where speed matters.
        """
        with self.reading(view) as state:
            return state.row(request, at, latest=latest)

    @contextmanager
    def reading(self, view: View) -> Iterator["Reading"]:
        """Yield one state of a view for as many reads as you like, whatever is written meanwhile.

        Pass a compiled view where speed matters. Raises ``NotMaterialised``.
        """
        compiled = compile_view(view)
        reader = self._readers.get(compiled.digest)
        if reader is None:
            reader = self._readers[compiled.digest] = Reader(compiled)
        with self._reading() as connection:
            yield Reading(connection, compiled, reader, self.must_find(connection, compiled))

    def loaded(self, view: View) -> Loaded | None:
        """Return what the store holds of a view, or None."""
        with self._reading() as connection:
            return find_loaded(connection, compile_view(view).digest)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in one write transaction; readers see all of it or nothing. Raises ``StoreAway``."""
        try:
            with closing(_connect(self.path)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _trouble(self.path, error) from error

    def must_find(self, connection: sqlite3.Connection, compiled: CompiledView) -> Loaded:
        """Return what the file holds of a view; raise ``NotMaterialised``."""
        loaded = find_loaded(connection, compiled.digest)
        if loaded is None:
            raise NotMaterialised(
                f"the online store holds nothing of features {compiled.view.name} in this version",
                where=f"features {compiled.view.name}",
                view=compiled.view.name,
            )
        return loaded

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees one state of the file, whatever is written meanwhile."""
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = _connect(self.path)
                connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
                self._idle.append(connection)
        except sqlite3.Error as error:
            raise _trouble(self.path, error) from error


class Reading:
    """One state of a view in the store. What rows share (the weather of their airport) is looked up once."""

    def __init__(self, connection: sqlite3.Connection, compiled: CompiledView, reader: Reader, loaded: Loaded) -> None:
        self._connection = connection
        self._compiled = compiled
        self._reader = reader
        self._loaded = loaded
        self._cells = CellsOf(connection, loaded.first_part)

    def read(
        self, keys: Mapping[str, Any], at: datetime | None = None, *, latest: datetime | None = None
    ) -> OnlineRow:  # fmt: skip
        """Return the features of the row with these keys, decided at its own moment, or at ``at`` when it is given.

        With ``latest`` the moment is never later than that: who asks early gets what is known by then. Raises
        ``UnknownRow``, ``BeforeHorizon``, and ``Invalid`` for a missing or wrong key.
        """
        place = (self._loaded.first_part + self._reader.rows_part, self._reader.row_key(keys))
        packed = self._connection.execute(_ROW, place).fetchone()
        if packed is None:
            view = self._compiled.view
            shown = ", ".join(f"{name}={keys[name]!r}" for name in view.of.keys)
            raise UnknownRow(
                f"there is no {view.of.name} with {shown}", where=f"features {view.name}", view=view.name
            )  # fmt: skip
        return self._answer(self._reader.request_of(packed[0]), at, latest)

    def row(
        self, request: Mapping[str, Any], at: datetime | None = None, *, latest: datetime | None = None
    ) -> OnlineRow:  # fmt: skip
        """Return the features of a row that the request itself describes, at ``at`` or at its own moment of decision.

        ``request`` holds ``CompiledView.request_fields``; None or NaN is null, other fields are ignored. Raises as
        ``read`` does, and ``Invalid`` for a missing or wrong field.
        """
        return self._answer(request_values(self._compiled, request, with_decided=at is None), at, latest)

    def _answer(self, request: dict[str, Any], at: datetime | None, latest: datetime | None) -> OnlineRow:
        compiled, loaded = self._compiled, self._loaded
        moment = micros_of_request(compiled, request) if at is None else micros_of(at)
        if latest is not None:
            moment = min(moment, micros_of(latest))
        if loaded.exact_from is not None and moment < loaded.exact_from:
            raise BeforeHorizon(
                f"{when(moment).isoformat()} is before what the online store holds of {compiled.view.name}",
                where=f"features {compiled.view.name}",
                floor=when(loaded.exact_from).isoformat(),
            )
        values, ages = self._reader.answer(self._cells, request, moment)
        return OnlineRow(
            at=when(moment),
            names=self._reader.names,
            values=values,
            ages_s=ages,
            request=self._reader.shown(request),
            materialised_at=when(loaded.materialised),
        )


_ROW = "SELECT data FROM rows WHERE part = ? AND key = ?"


def open_online(store: Store) -> OnlineStore:
    """Open the online store of a project, in its home folder."""
    return OnlineStore(store.settings.home_path / FILE_NAME)


def online_row(view: View, online: OnlineStore, request: Mapping[str, Any], at: datetime | None = None) -> OnlineRow:
    """Return the features of a row that the request describes: ``OnlineStore.row`` as a function."""
    return online.row(view, request, at)


def row_with_key(store: Store, compiled: CompiledView, keys: Mapping[str, Any]) -> OnlineRow:
    """Return the features of the row with these keys, as a decision now would read them. Raises what ``read`` does."""
    rows = open_online(store)
    try:
        return rows.read(compiled, keys, latest=store.clock.now())
    finally:
        rows.close()


def find_loaded(connection: sqlite3.Connection, digest: str) -> Loaded | None:
    """Return what the file holds of a definition."""
    found = connection.execute(
        "SELECT digest, first_part, materialised, exact_from, state FROM views WHERE digest = ?", (digest,)
    ).fetchone()
    if found is None:
        return None
    return Loaded(digest=found[0], first_part=found[1], materialised=found[2], exact_from=found[3], state=found[4])


def micros_of_request(compiled: CompiledView, request: Mapping[str, Any]) -> int:
    """Return the moment at which a row is decided; raise ``Invalid`` when it has none."""
    decided = request[compiled.view.decided]
    if decided is None:
        raise Invalid(
            f"this {compiled.view.of.name} has no {compiled.view.decided}, so no moment of decision",
            where=f"features {compiled.view.name}",
            why="What may be known depends on when it is decided.",
            next=f"give {compiled.view.decided}, or the moment as at=...",
        )
    return int(decided) + compiled.offset_us


def _trouble(path: Path, error: sqlite3.Error) -> StoreAway:
    return StoreAway(
        "the online store does not answer",
        where=f"{path.name} in the home",
        why=f"SQLite says: {error}.",
        next=f"try again; if it stays so, remove {path} and fill it anew: trimtab run VIEW",
    )


def _connect(path: Path) -> sqlite3.Connection:
    # Connections wait in a pool and may be taken up by another thread, one at a time.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA mmap_size=268435456")
    return connection
