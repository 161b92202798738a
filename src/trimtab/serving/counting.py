"""Keep what gateways count: requests, errors and latencies of each version, minute by minute, in the database."""

import struct
import threading
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from trimtab.serving.records import Stage
from trimtab.serving.statistics import Histogram, Tallies, Tally
from trimtab.serving.tables import serving_figures
from trimtab.store import Journal, Store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_SUMS = struct.Struct("<dd")


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a version did at an endpoint: answered ``requests`` and their ``rows``, ``errors``, and rows ``dropped``
    by a shadow. Latencies are those of answered requests."""

    requests: int
    rows: int
    errors: int
    dropped: int
    latency: Histogram


class _Flushed(msgspec.Struct):
    """What a tally had counted when it was last written."""

    requests: int = 0
    rows: int = 0
    errors: int = 0
    dropped: int = 0
    sum_s: float = 0.0
    buckets: list[int] = []

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """What changes with every request, answered or not."""
        return (self.requests, self.rows, self.errors, self.dropped)


class Counting:
    """Writes what the tallies of one process have gained since the last time. Safe to share between threads."""

    def __init__(self, store: Store, tallies: Tallies) -> None:
        self._store = store
        self._tallies = tallies
        self._writer = store.ids.new()
        self._flushed: dict[tuple[str, int, str], _Flushed] = {}
        self._lock = threading.Lock()

    def flush(self) -> None:
        """Add what was gained to this minute's rows. When that fails, nothing is lost: the next flush adds it."""
        with self._lock:
            gained = []
            for name, tally in list(self._tallies.items()):
                was, now = self._flushed.get(name, _Flushed()), _counted(tally)
                if now.numbers != was.numbers:
                    gained.append((name, tally, was, now))
            if not gained:
                return
            minute = _minute(self._store.clock.now())
            with self._store.journal() as journal:
                for (endpoint, version, _), tally, was, now in gained:
                    self._add(journal, (endpoint, version, tally.stage, minute), was, now, tally.latency.max_s)
            self._flushed |= {name: now for name, _, _, now in gained}

    def _add(
        self, journal: Journal, place: tuple[str, int, Stage, int], was: _Flushed, now: _Flushed, max_s: float
    ) -> None:
        endpoint, version, stage, minute = place
        table = serving_figures.c
        mine = (
            table.endpoint == endpoint, table.version == version, table.stage == stage, table.minute == minute,
            table.writer == self._writer,
        )  # fmt: skip
        row = journal.connection.execute(select(serving_figures).where(*mine)).first()
        latency = Histogram()
        gained = [a - b for a, b in zip(now.buckets, was.buckets or [0] * len(now.buckets), strict=True)]
        latency.merge(gained, sum_s=now.sum_s - was.sum_s, max_s=max_s if any(gained) else 0.0)
        values = {name: getattr(now, name) - getattr(was, name) for name in ("requests", "rows", "errors", "dropped")}
        if row is None:
            journal.execute(
                insert(serving_figures).values(
                    endpoint=endpoint, version=version, stage=stage, minute=minute, writer=self._writer,
                    latency=_packed(latency), **values,
                )
            )  # fmt: skip
            return
        _merge(latency, row.latency)
        added = {name: value + getattr(row, name) for name, value in values.items()}
        journal.execute(update(serving_figures).where(*mine).values(latency=_packed(latency), **added))


def counts_between(
    store: Store,
    endpoint: str,
    *,
    version: int,
    since: datetime,
    until: datetime,
    stages: Collection[Stage] = ("full", "canary", "shadow"),
) -> Counts:
    """Return what all gateways counted of a version in the minutes of [since, until)."""
    table = serving_figures.c
    query = select(table.requests, table.rows, table.errors, table.dropped, table.latency).where(
        table.endpoint == endpoint, table.version == version, table.stage.in_(stages),
        table.minute >= _minute(since), table.minute < -(-(until - _EPOCH) // _MINUTE),
    )  # fmt: skip
    with store.read() as connection:
        rows: Sequence[Any] = connection.execute(query).all()
    latency = Histogram()
    for row in rows:
        _merge(latency, row.latency)
    requests, counted, errors, dropped = (sum(row[place] for row in rows) for place in range(4))
    return Counts(requests=requests, rows=counted, errors=errors, dropped=dropped, latency=latency)


def _counted(tally: Tally) -> _Flushed:
    return _Flushed(tally.latency.n, tally.rows, tally.errors, tally.dropped, tally.latency.sum_s, tally.latency.counts)


def _minute(at: datetime) -> int:
    return (at - _EPOCH) // _MINUTE


def _packed(latency: Histogram) -> bytes:
    """Return a histogram as bytes: sum and maximum, then each bucket that is not empty."""
    filled = {place: n for place, n in enumerate(latency.counts) if n}
    return _SUMS.pack(latency.sum_s, latency.max_s) + msgspec.msgpack.encode(filled)


def _merge(into: Histogram, data: bytes) -> None:
    sum_s, max_s = _SUMS.unpack_from(data)
    filled = msgspec.msgpack.decode(data[_SUMS.size :], type=dict[int, int])
    counts = [0] * len(into.counts)
    for place, n in filled.items():
        counts[place] = n
    into.merge(counts, sum_s=sum_s, max_s=max_s)
