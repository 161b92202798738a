"""Rows that give power, held against the events that made them: the ledger rules, rows do not.

An approval, a release, a token, a route: whoever acts on such a row calls ``check_rows`` first. A change that writes
one puts the digest of the row, as it stands at the end, into its event; the newest digest of each row is what the
ledger says. It is read once for each event that rules, so a check costs one row of the ledger and a digest.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy import (
    BindParameter,
    Column,
    Connection,
    Delete,
    Insert,
    MetaData,
    RowMapping,
    Table,
    Update,
    func,
    select,
)

from trimtab.kernel import Conflict, digest_of
from trimtab.store.events import RowDigest
from trimtab.store.failures import NotAuthentic
from trimtab.store.ledger.authentic import BASELINES, NONE_BEFORE, Authenticity, EventForged
from trimtab.store.ledger.growth import entry
from trimtab.store.ledger.tree import leaf_hash
from trimtab.store.tables import ledger_events, ledger_outbox

GOVERNED = frozenset(
    {
        "loop_declarations",
        "loop_proposals",
        "loop_turns",
        "registry_aliases",
        "registry_approvals",
        "registry_releases",
        "registry_versions",
        "server_sessions",
        "server_tokens",
        "serving_routes",
        "store_holds",
    }
)
"""The tables whose rows give power."""

OPTION = "trimtab_governed"
"""Under this name a connection knows what checks its rows."""

Key = tuple[str | int, ...]
Rows = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""Values that are given to a statement beside it."""
_REMEMBERED = 256


class RowForged(NotAuthentic):
    """A row that gives power is not the one that was recorded. ``data["key"]`` is its primary key."""

    code = "store.row-forged"
    default_why = "Somebody wrote to the database past Trimtab, or restored a part of it."
    default_next = "trimtab verify, then restore the database from a backup"


class _Ruling(msgspec.Struct):
    rows: list[RowDigest] = []


_ruling = msgspec.json.Decoder(_Ruling).decode


class Governed:
    """What the ledger says of the governed rows. Safe to share between threads."""

    def __init__(self, authenticity: Authenticity) -> None:
        self._authenticity = authenticity
        self._lock = threading.Lock()
        self._said: dict[str, dict[Key, list[tuple[int, str | None]]]] = {}
        """By table and key, what each event has said."""
        self._newest = NONE_BEFORE
        self._head: tuple[int, bytes] | None = None
        self._is_known = False
        self._right: dict[tuple[object, ...], int] = {}
        """Rows that were found right, and the newest event that ruled then."""

    @property
    def authenticity(self) -> Authenticity:
        """What tells the ledger's events from others."""
        return self._authenticity

    def check(
        self, connection: Connection, table: Table, rows: Sequence[RowMapping], *, all_of: Key | None = None
    ) -> None:
        """Raise ``RowForged`` unless every row, whole and as read on this connection, is what the ledger says.

        With ``all_of`` the rows are all those whose key begins so: none that the ledger knows may be missing.
        """
        seen = (table.name, all_of, tuple([tuple(row.values()) for row in rows]))
        mine = pending_of(connection)
        with self._lock:
            upto = self._read(connection)
        if not mine and self._right.get(seen) == upto:
            return
        for row in rows:
            key = key_of(table, row)
            if not self._is_said(connection, table.name, key, digest_of_row(row)):
                self._refuse(connection, table, key, row)
        if all_of is not None:
            self._check_complete(connection, table, {key_of(table, row) for row in rows}, all_of)
        if not mine:
            with self._lock:
                if len(self._right) >= _REMEMBERED:
                    self._right.clear()
                self._right[seen] = upto

    def _check_complete(self, connection: Connection, table: Table, keys: set[Key], all_of: Key) -> None:
        said = self.said(connection) | {of: row.digest for of, row in pending_of(connection).items()}
        for (name, key), digest in said.items():
            if name == table.name and key[: len(all_of)] == all_of and digest is not None and key not in keys:
                self._refuse(connection, table, key, None)

    def said(self, connection: Connection) -> dict[tuple[str, Key], str | None]:
        """Return the digest of every governed row that the ledger knows, as this connection sees it."""
        with self._lock:
            upto = self._read(connection)
            found = {
                (table, key): _at(said, upto) for table, keys in self._said.items() for key, said in keys.items()
            }  # fmt: skip
        return found | self._waiting(connection)

    def keys(self, connection: Connection, table: str) -> set[Key]:
        """Return the keys of all rows of a table that there are, as this connection sees the ledger."""
        with self._lock:
            upto = self._read(connection)
            found = {key: _at(said, upto) for key, said in self._said.get(table, {}).items()}
        mine = pending_of(connection)
        found |= {key: digest for (name, key), digest in self._waiting(connection).items() if name == table}
        found |= {key: row.digest for (name, key), row in mine.items() if name == table}
        return {key for key, digest in found.items() if digest is not None}

    def _is_said(self, connection: Connection, table: str, key: Key, digest: str) -> bool:
        mine = pending_of(connection).get((table, key))
        if mine is not None:
            return mine.digest == digest
        for _ in range(2):  # an event may leave the outbox between the two looks
            with self._lock:
                upto = self._read(connection)
                said = _at(self._said.get(table, {}).get(key, ()), upto)
            if said == digest or self._waiting(connection).get((table, key)) == digest:
                return True
        return False

    def _refuse(self, connection: Connection, table: Table, key: Key, row: RowMapping | None) -> None:
        again = connection.execute(select(table).where(_is(table, key))).mappings().first()
        if (again and digest_of_row(again)) != (row and digest_of_row(row)):
            raise Conflict(
                f"a row of {table.name} was changed just now",
                where=_named(table.name, key),
                why="Another change came in between.",
                next="try again",
            )
        how = "is not what the ledger says" if row else "was taken out"
        raise RowForged(f"a row of {table.name} {how}", where=_named(table.name, key), key=key)

    def _read(self, connection: Connection) -> int:
        """Read the rulings up to what this connection sees; return the position of the newest one that it sees."""
        head = connection.execute(_NEWEST).first()
        if head is None:
            return NONE_BEFORE
        position, rules, before, leaf, code = head
        if self._head != (position, code):
            self._authenticity.check_event(position, before, leaf, code)
            if not self._is_known:
                self._authenticity.check_history(connection, position + 1)
                self._is_known = True
            self._head = (position, code)
        newest = int(position if rules else before)
        if newest > self._newest:
            self._take(connection, newest)
        return newest

    def _take(self, connection: Connection, newest: int) -> None:
        event = ledger_events.c
        query = select(event.position, event.ruled_before, event.body, event.code).where(
            event.rules, event.position > self._newest, event.position <= newest
        )
        if self._newest == NONE_BEFORE:
            since = select(func.max(event.position)).where(event.rules, event.type.in_(BASELINES))
            query = query.where(event.position >= func.coalesce(since.scalar_subquery(), 0))
        last = self._newest
        for position, before, body, code in connection.execute(query.order_by(event.position)).all():
            self._authenticity.check_event(position, before, leaf_hash(entry(body.encode(), position)), code)
            baseline = _type(body).type in BASELINES
            if before != last and not baseline:
                raise EventForged(f"an event after event {last} was taken out", where=f"ledger position {before}")
            if baseline:
                self._said.clear()
            for row in _ruling(body).rows:
                self._said.setdefault(row.table, {}).setdefault(row.key, []).append((position, row.digest))
            last = self._newest = position
        if last != newest:
            raise EventForged(f"event {newest} was taken out", where=f"ledger position {newest}")

    def _waiting(self, connection: Connection) -> dict[tuple[str, Key], str | None]:
        """Return what committed changes say whose events have no position yet (PostgreSQL)."""
        if connection.dialect.name == "sqlite":
            return {}
        column = ledger_outbox.c
        found: dict[tuple[str, Key], str | None] = {}
        for bodies, code in connection.execute(select(column.bodies, column.code).order_by(column.seq)):
            if self._authenticity.is_waiting(bodies, code) and not _is_placed(connection, bodies):
                for body in bodies.split("\n"):
                    found |= {(row.table, row.key): row.digest for row in _ruling(body).rows}
        return found


_event = ledger_events.c
_NEWEST = select(_event.position, _event.rules, _event.ruled_before, _event.leaf, _event.code)
_NEWEST = _NEWEST.order_by(_event.position.desc()).limit(1)  # made once: every check asks it


class _Named(msgspec.Struct):
    id: str


_named_by = msgspec.json.Decoder(_Named).decode


def _is_placed(connection: Connection, bodies: str) -> bool:
    """Say whether events in the outbox have their positions already: then somebody put them there again."""
    ids = [_named_by(body).id for body in bodies.split("\n")]
    query = select(ledger_events.c.position).where(ledger_events.c.id.in_(ids)).limit(1)
    return connection.execute(query).first() is not None


def was_put_again(connection: Connection) -> bool:
    """Say whether the outbox holds events that have their positions: whoever gives them takes them out of it."""
    for bodies in connection.execute(select(ledger_outbox.c.bodies)).scalars().all():
        with suppress(msgspec.DecodeError):  # what is no event is set aside by whoever gives positions
            if _is_placed(connection, bodies):
                return True
    return False


class _Typed(msgspec.Struct):
    type: str


_type = msgspec.json.Decoder(_Typed).decode


def check_rows(connection: Connection, table: Table, rows: Iterable[RowMapping], *, all_of: Key | None = None) -> None:
    """Raise ``RowForged`` unless each row of a governed table is what the ledger says.

    Rows are whole (every column), and were read on this connection. With ``all_of`` they are all those whose primary
    key begins so, and none may be missing. Raises ``EventForged`` or ``HistoryDiffers`` when the ledger itself is not
    to be relied on, and ``KeyMissing`` in a home that cannot tell.
    """
    governed: Governed = connection.get_execution_options()[OPTION]
    governed.check(connection, table, list(rows), all_of=all_of)


def all_rows(connection: Connection, table: Table) -> Sequence[RowMapping]:
    """Return every row of a governed table, by its primary key. Raises ``RowForged`` unless all are as the ledger says.

    Raises what ``check_rows`` does.
    """
    rows = connection.execute(select(table).order_by(*table.primary_key)).mappings().all()
    check_rows(connection, table, rows, all_of=())
    return rows


def known_keys(connection: Connection, table: Table) -> set[Key]:
    """Return the primary keys of all rows of a governed table that there are, as the ledger says."""
    governed: Governed = connection.get_execution_options()[OPTION]
    return governed.keys(connection, str(table.name))


def check_none_missing(connection: Connection, table: Table) -> None:
    """Raise ``RowForged`` unless every row of a governed table is there that the ledger knows."""
    there = {tuple(row) for row in connection.execute(select(*table.primary_key))}
    for key in sorted(known_keys(connection, table) - there, key=repr):
        raise RowForged(f"a row of {table.name} was taken out", where=_named(str(table.name), key), key=key)


def written(
    connection: Connection, statement: Insert | Update | Delete, table: Table, rows: Rows
) -> list[Mapping[str, Any]]:
    """Run a statement on a governed table; return the rows as it left them, or those that it deleted.

    They are the ones that it was to write, whatever the database says: a trigger could change them, or leave them as
    they were. Raises ``RowForged`` for that, and when rows that it is about are not what the ledger says.
    """
    given, computed = _given(statement, rows)
    if isinstance(statement, Insert):
        expected: list[Mapping[str, Any]] = list(given)
    else:
        query = select(table) if statement.whereclause is None else select(table).where(statement.whereclause)
        before = connection.execute(query.with_for_update(), rows).mappings().all()
        check_rows(connection, table, before)
        expected = [{name: value for name, value in row.items() if name not in computed} | given[0] for row in before]
    found = connection.execute(statement.returning(*table.columns), rows).mappings().all()
    wanted, made = _in_order(table, expected), _in_order(table, found)
    right = len(made) == len(wanted) and all(
        name not in one or _plain(one[name]) == _plain(value)
        for one, other in zip(wanted, made, strict=True)
        for name, value in other.items()
    )
    if not right:
        raise RowForged(
            f"the database wrote other rows of {table.name} than it was told to",
            where="store.change",
            why="A trigger or a rule that is not Trimtab's stands in the way.",
            next="look for triggers, rules and views in the database, and drop them",
        )
    return [dict(row) for row in made]


def _given(statement: Insert | Update | Delete, rows: Rows) -> tuple[list[dict[str, Any]], set[str]]:
    """Return the values that a statement writes, by column, and the columns that the database is to compute."""
    if isinstance(statement, Delete):
        return [{}], set()
    if rows:
        return ([dict(rows)] if isinstance(rows, Mapping) else [dict(row) for row in rows]), set()
    values: Mapping[Any, Any] = statement._values or {}  # noqa: SLF001 - there is no other way to ask for them
    parts = {str(getattr(column, "key", column)): part for column, part in values.items()}
    given = {name: part.value for name, part in parts.items() if isinstance(part, BindParameter)}
    return [given], parts.keys() - given.keys()


def _in_order(table: Table, rows: Iterable[Mapping[Any, Any]]) -> list[Mapping[Any, Any]]:
    names = [column.name for column in table.primary_key]
    return sorted(rows, key=lambda row: repr([row.get(name) for name in names]))


def differences(connection: Connection) -> Iterator[str]:
    """Yield each governed row that is not what the ledger says, in words."""
    governed: Governed = connection.get_execution_options()[OPTION]
    said = governed.said(connection)
    for name, key, digest in every_row(connection):
        expected = said.pop((name, key), None)
        if expected is None:
            yield f"{_named(name, key)} is not known to the ledger"
        elif expected != digest:
            yield f"{_named(name, key)} is not what the ledger says"
    for (name, key), expected in said.items():
        if expected is not None:
            yield f"{_named(name, key)} was taken out"


def every_row(connection: Connection) -> Iterator[tuple[str, Key, str]]:
    """Yield table, key and digest of every governed row that there is, read as the database describes itself."""
    for name in sorted(GOVERNED):
        table = Table(name, MetaData(), autoload_with=connection)
        for row in connection.execute(select(table).order_by(*table.primary_key)).mappings():
            yield name, key_of(table, row), digest_of_row(row)


def key_of(table: Table, row: Mapping[Any, Any]) -> Key:
    """Return a row's primary key."""
    return tuple([row[column.name] for column in table.primary_key])


def digest_of_row(row: Mapping[Any, Any]) -> str:
    """Return the digest of a row's columns; an empty one does not count, so that a new column changes no digest."""
    return digest_of({name: _plain(value) for name, value in row.items() if value is not None})


def pending_of(connection: Connection) -> dict[tuple[str, Key], RowDigest]:
    """Return what the change in progress on a connection has written so far."""
    found: dict[tuple[str, Key], RowDigest] = connection.info.setdefault("trimtab_rows", {})
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)  # as SQLite keeps it
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else value


def _at(said: Sequence[tuple[int, str | None]], upto: int) -> str | None:
    return next((digest for position, digest in reversed(said) if position <= upto), None)


def _is(table: Table, key: Key) -> Any:
    columns: list[Column[Any]] = list(table.primary_key)
    condition = columns[0] == key[0]
    for column, value in zip(columns[1:], key[1:], strict=True):
        condition &= column == value
    return condition


def _named(table: str, key: Key) -> str:
    return f"row {'/'.join(str(part) for part in key)} of {table}"
