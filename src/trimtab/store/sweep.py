"""Remove blobs that no row names: mark and sweep.

A blob is needed if its digest stands anywhere in any row, but for the ledger, which remembers what is gone, and for
columns that only mention digests (``Column(..., info=MENTIONS)``). So no room can forget to say what it needs.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from sqlalchemy import Column, Connection, Table, cast, select
from sqlalchemy.types import String, Text

from trimtab.kernel import Actor
from trimtab.store.blobs import Listed
from trimtab.store.carrying import tables_of
from trimtab.store.database import metadata
from trimtab.store.events import Event, Subject
from trimtab.store.holds import ALL, active_holds, one_at_a_time
from trimtab.store.ledger.streaming import streamed

if TYPE_CHECKING:
    from trimtab.store.opened import Store

MENTIONS = {"mentions": True}
"""``Column(..., info=MENTIONS)``: its texts tell of blobs, and need none; other rows do, as long as they must."""
AT_ONCE = 200
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})(?![0-9a-f])")
_LENGTH = len("sha256:") + 64


class Swept(msgspec.Struct, frozen=True):
    """How many blobs, how many bytes, and when the oldest was written."""

    count: int = 0
    size_bytes: int = 0
    oldest: datetime | None = None


class BlobsRemoved(Event, frozen=True, kw_only=True):
    """Blobs that no row names any more were let go of; one that was kept anew in that moment stays."""

    type: ClassVar[str] = "store.blobs-removed"
    age: str
    cutoff: datetime
    count: int
    size_bytes: int
    digests: tuple[str, ...]

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("rule", "attempts"),)


def sweep(store: "Store", *, before: datetime, age: str, actor: Actor | None, because: str) -> Swept:
    """Remove the blobs that were last kept before a moment (of the machines' clocks) and that no row names.

    Without an ``actor`` only count them. The event comes first: killed in between, the rest is found again. Whoever
    keeps the same bytes at the same time either comes first, and they stay, or writes them anew. What remains is a row
    that names an old blob which no other row names, without keeping its bytes, and is written while this goes on; a
    hold on everything that is made meanwhile, which stops it at the next batch; and in S3, which cannot remove on a
    condition, the moment between the last look and the removal.
    """
    # Listed before the rows are read: what is kept later is young, and what is named later was kept again.
    old = [blob for blob in store.blobs.listed() if blob.written_at < before]
    if not old:
        return Swept()
    with store.read() as connection:
        needed = named_in(connection)
    doomed = sorted((blob for blob in old if bytes.fromhex(blob.digest[7:]) not in needed), key=lambda b: b.digest)
    found = Swept(
        len(doomed), sum(blob.size_bytes for blob in doomed), min((blob.written_at for blob in doomed), default=None)
    )
    if actor is None:
        return found
    count = size = 0
    for start in range(0, len(doomed), AT_ONCE):
        gone = _remove(store, doomed[start : start + AT_ONCE], before=before, age=age, actor=actor, because=because)
        count, size = count + len(gone), size + sum(blob.size_bytes for blob in gone)
    return Swept(count, size, found.oldest)


def _remove(
    store: "Store", some: list[Listed], *, before: datetime, age: str, actor: Actor, because: str
) -> list[Listed]:
    with store.change(actor, because) as change:
        one_at_a_time(change)
        if any(hold.subject == ALL for hold in active_holds(change.connection)):
            return []
        change.record(
            BlobsRemoved(
                age=age, cutoff=before, count=len(some), size_bytes=sum(blob.size_bytes for blob in some),
                digests=tuple(blob.digest for blob in some),
            )
        )  # fmt: skip
    return [blob for blob in some if store.blobs.remove(blob.digest, before=before)]


def named_in(connection: Connection) -> set[bytes]:
    """Return every SHA-256 that stands in a row, but for the ledger's and what only mentions it."""
    found: set[bytes] = set()
    for table in tables_of(connection):
        if not table.name.startswith("ledger_"):
            for column in _naming(table):
                query = select(column).where(cast(column, Text).like("%sha256:%"))
                found.update(digest for (text,) in _rows(connection, query) for digest in _digests(text))
    return found


def _rows(connection: Connection, query: Any) -> Iterator[Any]:
    with streamed(connection, query) as rows:
        yield from rows


def _digests(text: str) -> Iterator[bytes]:
    return (bytes.fromhex(digest) for digest in _DIGEST.findall(text))


def _naming(table: Table) -> list[Column[Any]]:
    """Return the columns of a table that may hold a digest, and are not only mentioning it."""
    known = metadata.tables.get(table.name)
    return [
        column for column in table.columns
        if isinstance(column.type, String) and (column.type.length or _LENGTH) >= _LENGTH
        and not (known is not None and column.name in known.c and known.c[column.name].info.get("mentions"))
    ]  # fmt: skip
