"""Carry what a store holds to another one: rows from database to database, blobs from place to place.

Rows are copied through the columns that the target has, so that every kind of database takes what every other one
gives. What was carried is counted and summed up on both sides.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, MetaData, Table, func, select

from trimtab.kernel import Invalid, NotFound
from trimtab.store.blobs import Blobs, Damaged, Listed
from trimtab.store.database import driver_of
from trimtab.store.ledger.streaming import streamed

Told = Callable[[str, int, int], None]
"""Is told how far a step is: its name, how much is done, and of how much."""

_AT_ONCE = 2000
_THREADS = 8
_OF_THE_PLACE = frozenset({"alembic_version", "store_closed"})
"""Tables that speak of the database that they lie in."""


class Sum(msgspec.Struct, frozen=True):
    """How many rows a table has, and the sum of their hashes, which does not depend on their order."""

    rows: int
    digest: str


class NotTheSame(Invalid):
    """What arrived in a database is not what was sent."""

    code = "store.not-the-same"
    default_why = "{text}."
    default_next = "look at the disk, or at what else writes to the target, and repeat the command"


def tables_of(connection: Connection) -> list[Table]:
    """Return the tables that are carried, each after those that it refers to."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name not in _OF_THE_PLACE]


def copy_tables(source: Connection, target: Connection, *, told: Told) -> dict[str, Sum]:
    """Fill the target's tables with the source's rows, inside its transaction; return what each holds.

    Both have the same schema. What the target's tables held before is deleted. Raises ``NotTheSame`` when what can be
    read there afterwards is not what was read here.
    """
    tables = tables_of(target)
    for table in reversed(tables):
        target.execute(table.delete())
    sums = {}
    for number, table in enumerate(tables):
        told("tables", number, len(tables))
        sums[table.name] = _copy(table, source, target)
    arrived = sums_of(target, tables)
    told("tables", len(tables), len(tables))
    wrong = [f"{name}: {sums[name].rows} rows were sent" for name in sums if arrived[name] != sums[name]]
    if wrong:
        raise NotTheSame(
            "the rows that arrived are not those that were sent", where="store.database", text="; ".join(wrong)
        )
    return sums


def sums_of(connection: Connection, tables: Iterable[Table]) -> dict[str, Sum]:
    """Count and sum up the rows of tables."""
    return {table.name: _summed(table, connection) for table in tables}


def copy_blobs(source: Blobs, target: Blobs, *, only: frozenset[str] | None = None, told: Told) -> list[Damaged]:
    """Bring the blobs to the target that it does not have; return those that are damaged, which are not brought.

    Each is read and verified on the way. May be repeated after a crash at any point. ``only`` leaves others out.
    """
    there = {blob.digest: blob.size_bytes for blob in target.listed()}
    wanted = [
        blob for blob in source.listed()
        if there.get(blob.digest) != blob.size_bytes and (only is None or blob.digest in only)
    ]  # fmt: skip
    done, damaged = 0, list[Damaged]()
    with ThreadPoolExecutor(_THREADS) as pool:
        for trouble in pool.map(lambda blob: _carried(blob, source, target), wanted):
            done += 1
            damaged += [trouble] if trouble else []
            told("blobs", done, len(wanted))
    return damaged


def _carried(blob: Listed, source: Blobs, target: Blobs) -> Damaged | None:
    try:
        target.put_pieces(source.pieces(blob.digest))
    except NotFound:
        return None  # it was removed since it was listed
    except Damaged as error:
        return error
    return None


def _copy(table: Table, source: Connection, target: Connection) -> Sum:
    counting = _Counting(table)
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    with streamed(source, select(table)) as rows:
        passing = counting.passing(rows)
        driver = driver_of(target)
        if target.dialect.name == "sqlite":
            marks = ", ".join("?" * len(table.columns))
            insert = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'  # noqa: S608
            while some := list(islice(passing, _AT_ONCE)):
                driver.executemany(insert, some)
        else:
            with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:
                for row in passing:
                    copy.write_row(row)
            _go_on_counting(table, target)
    return counting.sum()


def _go_on_counting(table: Table, target: Connection) -> None:
    """Let PostgreSQL number new rows after those that have come with their numbers."""
    for column in table.columns:
        if column.identity is not None:
            highest = select(func.max(column)).scalar_subquery()
            target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, column.name), highest)))


def _summed(table: Table, connection: Connection) -> Sum:
    counting = _Counting(table)
    with streamed(connection, select(table)) as rows:
        for _ in counting.passing(rows):
            pass
    return counting.sum()


class _Counting:
    """Counts the rows that pass, and adds up their hashes."""

    def __init__(self, table: Table) -> None:
        self._order = [number for _, number in sorted((c.name, n) for n, c in enumerate(table.columns))]
        self._rows = 0
        self._total = 0

    def passing(self, rows: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        encode = msgspec.msgpack.Encoder().encode
        for row in rows:
            values = tuple(row)
            hashed = hashlib.sha256(encode([values[number] for number in self._order])).digest()
            self._total += int.from_bytes(hashed, "big")
            self._rows += 1
            yield values

    def sum(self) -> Sum:
        return Sum(self._rows, f"{self._total % (1 << 256):064x}")
