"""Things of a table that grow old, as a room would let them go: for tests of the store's own part of it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select
from tests.store.conftest import ThingMade, thing_table

from trimtab.kernel import Actor
from trimtab.store import RUNS, Change, Collection, Old, Retention, Store, collect, preview

EPOCH = datetime(2013, 1, 1, tzinfo=UTC)
ANN = Actor("ann")


class OldThings:
    """A thing ``group-name`` of the table is of no use since ``n`` hours after the epoch."""

    name, what, at_once = RUNS, "things", 3

    def old(self, connection: Connection, *, before: datetime) -> Iterator[Old]:
        for row in connection.execute(select(thing_table).order_by(thing_table.c.n)):
            since = EPOCH + timedelta(hours=row.n)
            if since < before:
                yield Old(of=(f"thing:{row.id}", f"model:{row.id.split('-')[0]}"), since=since, size_bytes=10)

    def remove(self, change: Change, some: Sequence[Old]) -> None:
        ids = [one.names[0].removeprefix("thing:") for one in some]
        change.execute(delete(thing_table).where(thing_table.c.id.in_(ids)))

    def finish(self, some: Sequence[Old]) -> None:
        pass


def retention(*needed: str) -> Retention:
    def needs(_connection: Connection) -> Iterable[str]:
        return needed

    return Retention(rules=(OldThings(),), needs=(needs,), covers=lambda *_: (), writing_since=lambda _: None)


def with_ages(store: Store, **ages: str) -> Store:
    """Set how long things are kept."""
    store.settings = msgspec.structs.replace(store.settings, **ages)
    return store


def add(store: Store, *ids: str, hours: int = 0) -> None:
    with store.change(ANN, "for a test") as change:
        for id_ in ids:
            change.execute(insert(thing_table), {"id": id_, "n": hours})
            change.record(ThingMade(thing=id_, n=hours))


def left(store: Store) -> set[str]:
    with store.read() as connection:
        return set(connection.execute(select(thing_table.c.id)).scalars())


def gc(store: Store, *needed: str, **more: Any) -> Collection:
    return collect(store, retention(*needed), actor=ANN, because="they are old", **more)


def dry(store: Store, *needed: str, **more: Any) -> Collection:
    return preview(store, retention(*needed), **more)


def grow_old(folder: Path) -> None:
    """Let every blob of a folder be ten years older than it is."""
    for path in folder.glob("[0-9a-f][0-9a-f]/*"):
        at = path.stat().st_mtime - 10 * 365 * 86_400
        os.utime(path, (at, at))
