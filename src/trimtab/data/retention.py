"""What of the data may be let go: snapshots that another one took the place of, and that nothing needs."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, select

from trimtab.data.events import SnapshotTaken
from trimtab.data.records import Snapshot
from trimtab.data.tables import data_snapshots, data_sources
from trimtab.store import SNAPSHOTS, Change, Old, Store, each_event


class SupersededSnapshots:
    """Old from the moment on at which its source was found in another state."""

    name, what, at_once = SNAPSHOTS, "superseded snapshots", 50

    def __init__(self, store: Store) -> None:
        self._store = store

    def old(self, connection: Connection, *, before: datetime) -> Iterator[Old]:
        left: dict[str, datetime] = {}
        for event in each_event(self._store, type=SnapshotTaken.type):
            if event.data["previous_id"] is not None:
                left[event.data["previous_id"]] = event.at
        table = data_snapshots.c
        rows = connection.execute(select(table.id, table.set_aside_digest, table.record).order_by(table.taken_at))
        for row in rows:
            since = left.get(row.id)
            if since is not None and since < before:
                yield _old(msgspec.json.decode(row.record, type=Snapshot), since)

    def remove(self, change: Change, some: Sequence[Old]) -> None:
        ids = [one.names[0].removeprefix("snapshot:") for one in some]
        change.execute(delete(data_snapshots).where(data_snapshots.c.id.in_(ids)))

    def finish(self, some: Sequence[Old]) -> None:
        """Their bytes are blobs, which are swept."""


def needed_as_latest(connection: Connection) -> Iterable[str]:
    """Yield the state in which each source was found last."""
    for id_ in connection.execute(select(data_sources.c.snapshot_id)).scalars():
        yield f"snapshot:{id_}"


def _old(snapshot: Snapshot, since: datetime) -> Old:
    blobs = [digest for digest in (snapshot.digest, snapshot.set_aside_digest) if digest]
    names = [f"snapshot:{snapshot.id}", f"source:{snapshot.source}", f"content:{snapshot.content_digest}"]
    return Old(of=(*names, *(f"blob:{digest}" for digest in blobs)), since=since, size_bytes=snapshot.size_bytes)
