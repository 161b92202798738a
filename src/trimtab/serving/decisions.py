"""Look decisions up: one by its id, or those of an endpoint in a stretch of time, in open and sealed segments alike."""

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import select

from trimtab.kernel import is_id, time_of
from trimtab.serving.errors import DecisionUnknown, elsewhere
from trimtab.serving.homes import seal_elsewhere
from trimtab.serving.log import decisions_folder
from trimtab.serving.records import Decision
from trimtab.serving.retention import check_not_removed
from trimtab.serving.segments import SUFFIX, OpenRows, decisions_in, table_of
from trimtab.serving.tables import serving_segments
from trimtab.store import Store

BROKEN_MARK = b"promised "
"""What every word about a broken row holds."""
SLACK = timedelta(seconds=1)
"""How far the clock that tells the time and the one that measures latencies may drift apart within a segment."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed segment of the decision log: what it spans, and the digest of its Parquet blob."""

    id: str
    endpoint: str
    first_id: str
    last_id: str
    first_at: datetime
    last_at: datetime
    count: int
    size_bytes: int
    digest: str
    sealed_at: datetime


def find_decision(store: Store, id: str) -> Decision:
    """Return the decision with this id, wherever it lies, also unsealed on another machine of the same database.

    Raises ``DecisionUnknown``, ``DecisionRemoved`` when it would lie in a segment that was let go, and
    ``DecisionElsewhere`` when a machine that may have it does not answer.
    """
    found = _in_reach(store, id)
    if found is not None:
        return found
    check_not_removed(store, id)
    silent: list[str] = []
    if is_id(id):
        silent = seal_elsewhere(store, decided_at=time_of(id))
        found = _in_reach(store, id)
    if found is not None:
        return found
    if silent:
        raise elsewhere(f"decision {id}", silent)
    raise DecisionUnknown(f"there is no decision {id[:40]!r}", where="decision log")


def _in_reach(store: Store, id: str) -> Decision | None:
    """Return a decision that lies in this home, or sealed in the database's reach."""
    # Open segments first: one that is sealed meanwhile is in the table by then.
    for path in _open_files(store, None):
        decision = _in_open(path, id)
        if decision is not None:
            return decision
    table = serving_segments.c
    query = select(serving_segments).where(table.first_id <= id, table.last_id >= id).order_by(table.id)
    with store.read() as connection:
        digests = [row.digest for row in connection.execute(query)]
    for digest in digests:
        decision = _in_sealed(store, digest, id)
        if decision is not None:
            return decision
    return None


def decisions(
    store: Store,
    endpoint: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
    before_id: str | None = None,
) -> list[Decision]:
    """Return an endpoint's decisions answered in [since, until), newest first, at most ``limit``.

    ``before_id`` goes on from the last decision of an earlier call. Decisions of shadows are among them.
    """
    newest = _Newest(limit, since=since, until=until, before_id=before_id)
    for path in _open_files(store, endpoint):
        for batch in OpenRows(_bytes(path), endpoint=endpoint).newest_first():
            if batch and newest.is_settled_before(batch[0]):
                break
            newest.consider(batch)
    for segment in reversed(sealed_segments(store, endpoint, since=since, until=until)):
        if newest.has_only_newer_than(segment.last_id) or (before_id is not None and segment.first_id >= before_id):
            continue
        table = _within(pq.read_table(store.blobs.local_path(segment.digest)), since, until)
        if before_id is not None:
            table = table.filter(pc.less(table["id"], before_id))
        # It is sorted by id: the newest are its last rows.
        newest.consider(decisions_in(table.slice(max(0, table.num_rows - limit))))
    return newest.found()


class _Newest:
    """The newest decisions seen so far, at most ``limit``, of those that are asked for."""

    def __init__(self, limit: int, *, since: datetime | None, until: datetime | None, before_id: str | None) -> None:
        self._limit, self._since, self._until, self._before_id = limit, since, until, before_id
        self._by_id: dict[str, Decision] = {}
        self._ids: list[str] = []  # a heap: the oldest first

    def consider(self, some: Iterable[Decision]) -> None:
        for one in some:
            if (
                one.id in self._by_id
                or (self._since is not None and one.at < self._since)
                or (self._until is not None and one.at >= self._until)
                or (self._before_id is not None and one.id >= self._before_id)
            ):
                continue
            self._by_id[one.id] = one
            heapq.heappush(self._ids, one.id)
            if len(self._ids) > self._limit:
                del self._by_id[heapq.heappop(self._ids)]

    def has_only_newer_than(self, id_: str) -> bool:
        """Say whether enough was found, all of it newer than this id."""
        return len(self._ids) >= self._limit and id_ < self._ids[0]

    def is_settled_before(self, one: Decision) -> bool:
        """Say whether nothing that was written before this decision can be among the newest.

        Entries are written in the order of their answers. Whatever was answered before this one was also asked before
        it was answered. (A shadow's latency does not count from the question, so it says nothing.)
        """
        if len(self._ids) < self._limit or one.stage == "shadow":
            return False
        answered_at = one.at + timedelta(microseconds=one.latency_us)
        return answered_at + SLACK < self._by_id[self._ids[0]].at

    def found(self) -> list[Decision]:
        """Return them, the newest first."""
        return [self._by_id[id_] for id_ in sorted(self._by_id, reverse=True)]


def decision_tables(
    store: Store, endpoint: str, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[pa.Table]:
    """Yield an endpoint's decisions answered in [since, until) as tables, one for each segment, sealed ones first.

    Columns: ``id``, ``at``, ``as_of``, ``model``, ``version``, ``release``, ``stage``, ``reason``, ``source``, ``key``
    (JSON), ``latency_us``, ``mirrors``, then ``feature_*``, ``age_*`` (seconds) and ``result_*`` of the versions in it.
    """
    # Listed before the sealed ones are: a segment sealed meanwhile is then seen twice, and passed over once.
    open_ = [(path.stem, _bytes(path)) for path in _open_files(store, endpoint)]
    segments = sealed_segments(store, endpoint)
    sealed = {segment.id for segment in segments}
    for segment in segments:
        if (until is None or segment.first_at < until) and (since is None or segment.last_at >= since):
            yield _within(pq.read_table(store.blobs.local_path(segment.digest)), since, until)
    for id_, data in open_:
        if id_ not in sealed:
            yield _within(table_of(data), since, until)


def broken_decisions(store: Store, endpoint: str, *, since: datetime, until: datetime) -> list[tuple[str, list[str]]]:
    """Return the decisions answered in [since, until) whose rows break their contract, with what they break, by id.

    Quick where there are none: a sealed segment tells by its columns, an open one by its bytes.
    """
    open_ = [(path.stem, data) for path in _open_files(store, endpoint) if BROKEN_MARK in (data := _bytes(path))]
    segments = sealed_segments(store, endpoint, since=since, until=until)
    sealed = {segment.id for segment in segments}
    tables = [table_of(data) for id_, data in open_ if id_ not in sealed]
    for segment in segments:
        file = pq.ParquetFile(store.blobs.local_path(segment.digest))
        if "broken" in file.schema_arrow.names:
            tables.append(file.read(columns=["id", "at", "mirrors", "broken"]))
    found: list[tuple[str, list[str]]] = []
    for table in (_within(one, since, until) for one in tables if "broken" in one.column_names):
        kept = table.filter(pc.and_(pc.is_valid(table["broken"]), pc.is_null(table["mirrors"])))
        found += zip(kept["id"].to_pylist(), kept["broken"].to_pylist(), strict=True)
    return sorted(found)


def sealed_segments(
    store: Store, endpoint: str, *, since: datetime | None = None, until: datetime | None = None
) -> list[Segment]:
    """Return the sealed segments of an endpoint that may hold decisions of [since, until), oldest first."""
    table = serving_segments.c
    query = select(serving_segments).where(table.endpoint == endpoint).order_by(table.first_id, table.id)
    if since is not None:
        query = query.where(table.last_at >= since.isoformat())
    if until is not None:
        query = query.where(table.first_at < until.isoformat())
    with store.read() as connection:
        rows = connection.execute(query).mappings().all()
    return [msgspec.convert({str(name): value for name, value in row.items()}, Segment) for row in rows]


def _within(table: pa.Table, since: datetime | None, until: datetime | None) -> pa.Table:
    if since is not None:
        table = table.filter(pc.greater_equal(table["at"], pa.scalar(since, table["at"].type)))
    if until is not None:
        table = table.filter(pc.less(table["at"], pa.scalar(until, table["at"].type)))
    return table


def _open_files(store: Store, endpoint: str | None) -> list[Path]:
    return sorted(decisions_folder(store).glob(f"{endpoint or '*'}/*{SUFFIX}"))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _in_open(path: Path, id_: str) -> Decision | None:
    # Read, not mapped: its owner cuts off what a full disk refused, and a map of that ends this process.
    data = _bytes(path)
    return OpenRows(data, endpoint=path.parent.name).find(id_) if id_.encode() in data else None


def _in_sealed(store: Store, digest: str, id_: str) -> Decision | None:
    file = pq.ParquetFile(store.blobs.local_path(digest))
    for group in range(file.metadata.num_row_groups):
        stats = file.metadata.row_group(group).column(0).statistics
        if stats is None or (stats.min <= id_ <= stats.max):
            table = file.read_row_group(group)
            rows = decisions_in(table.filter(pc.equal(table["id"], id_)))
            if rows:
                return rows[0]
    return None
