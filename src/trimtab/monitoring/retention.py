"""Let go of decisions with what was computed of them and what came of them; hourly sums stay."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import pyarrow.parquet as pq
from sqlalchemy import Connection, delete

from trimtab.monitoring.tables import monitoring_outcomes, monitoring_scores
from trimtab.monitoring.taking import chunks, take
from trimtab.serving import remove_segments, segments_before
from trimtab.store import Change, Old, Store


class OldDecisions:
    """Whole segments of the decision log, from their last decision on. ``chosen`` says of which endpoints.

    ``used_from`` tells from when on decisions of an endpoint are in use, as by a rollout: those are not old yet.
    """

    what, at_once = "decisions and their outcomes", 4

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        chosen: Callable[[Connection], Callable[[str], bool]],
        used_from: Callable[[Connection], Mapping[str, datetime]],
    ) -> None:
        self.name = name
        self._store = store
        self._chosen = chosen
        self._used_from = used_from

    def old(self, connection: Connection, *, before: datetime) -> Iterator[Old]:
        is_mine, used = self._chosen(connection), self._used_from(connection)
        for row in segments_before(connection, before):
            last_at = datetime.fromisoformat(row.last_at)
            if is_mine(row.endpoint) and last_at < used.get(row.endpoint, before):
                names = (f"segment:{row.id}", f"endpoint:{row.endpoint}")
                yield Old(of=names, since=last_at, size_bytes=row.size_bytes)

    def remove(self, change: Change, some: Sequence[Old]) -> None:
        for digest in remove_segments(change, [one.names[0].removeprefix("segment:") for one in some]):
            table = pq.read_table(self._store.blobs.local_path(digest), columns=["id"])
            for ids in chunks(table["id"].to_pylist()):
                change.execute(delete(monitoring_scores).where(monitoring_scores.c.id.in_(ids)))
                change.execute(delete(monitoring_outcomes).where(monitoring_outcomes.c.subject.in_(ids)))

    def finish(self, some: Sequence[Old]) -> None:
        """Segments are blobs, which are swept."""


def take_before(store: Store, before: datetime) -> None:
    """Take what is still untaken of the endpoints whose decisions grow old, so that their hourly sums are whole."""
    with store.read() as connection:
        endpoints = sorted({row.endpoint for row in segments_before(connection, before)})
    for endpoint in endpoints:
        take(store, endpoint)
