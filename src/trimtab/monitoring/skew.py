"""Skew: a sample of served rows is computed again offline, by the definition that trained the model, and compared.

What a model is asked must be what it has learnt from. A row that comes out otherwise, if only in its last bit, was
served from other data or other code than its training would see.
"""

import hashlib
import heapq
import struct
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import insert, select

from trimtab.data import Snapshot, get_snapshot, latest_snapshot, load_snapshot
from trimtab.declare import FeatureViewSpec
from trimtab.features import compile_view, get_view, training_frame
from trimtab.kernel import NotFound, percent
from trimtab.monitoring.moments import moment_of, us_of
from trimtab.monitoring.records import Sign
from trimtab.monitoring.tables import monitoring_skews
from trimtab.registry import VersionRef, get_version
from trimtab.serving import decision_tables
from trimtab.store import Store

SAMPLE = 200
PAGE_SHARE = 0.01
DAY = timedelta(days=1)
_SHOWN = 10
_FEATURE = "feature_"


class Skew(msgspec.Struct, frozen=True, kw_only=True):
    """How many served rows of a day were computed again, and how many of them came out otherwise.

    ``columns`` counts the differences of each column; ``lines`` shows the first of them.
    """

    endpoint: str
    version: int
    day: str
    rows: int
    differing: int
    columns: dict[str, int] = {}
    lines: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """The share of rows that differ; None when none could be compared."""
        return self.differing / self.rows if self.rows else None


class _Kept(msgspec.Struct):
    columns: dict[str, int]
    lines: tuple[str, ...]


def measure_skew(
    store: Store, endpoint: str, *, version: int, day: datetime, model: str = "", sample: int = SAMPLE
) -> Skew | None:
    """Compare a sample of a day's served rows with their offline values, once; return what was found, then and later.

    The sample is drawn by a hash of the decisions' ids: the same rows, whoever draws. Only rows that were read from the
    online store at their own moment of decision can be compared: rows that came with all their features hold what the
    caller says, and rows asked early were right to know less. None for a version that no view makes.
    """
    name = f"{day:%Y-%m-%d}"
    known = _known(store, endpoint, version, name)
    if known is not None:
        return known
    definition = _definition(store, model or endpoint, version)
    if definition is None:
        return None
    rows, columns, lines = _compared(store, definition, _sampled(store, endpoint, version, day, sample))
    differing = len({row for row, _ in columns})
    counted: dict[str, int] = {}
    for _, column in columns:
        counted[column] = counted.get(column, 0) + 1
    found = Skew(
        endpoint=endpoint, version=version, day=name, rows=rows, differing=differing,
        columns=dict(sorted(counted.items())), lines=tuple(lines[:_SHOWN]),
    )  # fmt: skip
    _keep(store, found)
    return found


def measured_skew(store: Store, endpoint: str, *, version: int) -> Skew | None:
    """Return what was found on the last day that was measured."""
    table = monitoring_skews.c
    query = select(table.day).where(table.endpoint == endpoint, table.version == version)
    with store.read() as connection:
        day = connection.execute(query.order_by(table.day.desc()).limit(1)).scalar()
    return None if day is None else _known(store, endpoint, version, day)


def skew_signs(found: Skew | None) -> list[Sign]:
    """Return whether served rows differ from what training would see."""
    if found is None or not found.differing:
        return []
    share = found.share or 0.0
    left = sum(found.columns.values()) - len(found.lines)
    return [
        Sign(
            kind="skew", group="skew", severity="page" if share > PAGE_SHARE else "note",
            title=(
                f"{percent(share)} of {found.rows} served rows of {found.day} are not what training would see: "
                f"{', '.join(found.columns)}"
            ),
            lines=(*found.lines, *([f"and {left:,} more differences"] if left > 0 else [])),
        )
    ]  # fmt: skip


def _sampled(store: Store, endpoint: str, version: int, day: datetime, sample: int) -> list[dict[str, Any]]:
    """Return the sampled rows that were read from the online store: those whose hashed ids are the smallest."""
    kept: list[tuple[int, str, dict[str, Any]]] = []
    for table in decision_tables(store, endpoint, since=day, until=day + DAY):
        if not table.num_rows:
            continue
        mine = table.filter(pc.and_(pc.equal(table["version"], version), pc.not_equal(table["source"], "raw")))
        names = [name for name in mine.column_names if name.startswith(_FEATURE)]
        for place, id_ in enumerate(mine["id"].to_pylist()):
            rank = -int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest(), "big")
            if len(kept) == sample and rank <= kept[0][0]:
                continue
            row = mine.select(["key", "as_of", *names]).slice(place, 1).to_pylist()[0]
            heapq.heappush(kept, (rank, id_, row))
            if len(kept) > sample:
                heapq.heappop(kept)
    return [row | {"id": id_} for _, id_, row in sorted(kept, key=lambda one: one[1])]


class _Definition(msgspec.Struct, frozen=True, eq=False):
    """What made a version's features, and the newest state of each source."""

    view: FeatureViewSpec
    snapshots: tuple[Snapshot, ...]


def _definition(store: Store, model: str, version: int) -> _Definition | None:
    try:
        lineage = get_version(store, VersionRef(model, version, "")).lineage
        if lineage.view is None:
            return None
        view = get_view(store, lineage.view).spec
        sources = {get_snapshot(store, id_).source for id_ in lineage.snapshots}
    except NotFound:
        return None
    snapshots = [found for source in sorted(sources) if (found := latest_snapshot(store, source)) is not None]
    if not {contract.name for contract in view.contracts} <= {one.contract for one in snapshots}:
        return None
    return _Definition(view, tuple(snapshots))


def _compared(
    store: Store, definition: _Definition, served: list[dict[str, Any]]
) -> tuple[int, list[tuple[str, str]], list[str]]:
    """Return how many rows were compared, where they differ (decision and column), and the differences in words."""
    if not served:
        return 0, [], []
    tables = {one.contract: load_snapshot(store, one) for one in definition.snapshots}
    compiled, keys = compile_view(definition.view), definition.view.of.keys
    moments = [us_of(row["as_of"]) for row in served]
    frame = training_frame(compiled, tables, since=moment_of(min(moments)), until=moment_of(max(moments) + 1))
    offline = _by_key(frame, keys)
    rows = 0
    where: list[tuple[str, str]] = []
    lines: list[str] = []
    for row in served:
        key = msgspec.json.decode(row["key"]) if row["key"] else {}
        expected = offline.get((*(str(key.get(name)) for name in keys), us_of(row["as_of"])))
        if expected is None:
            continue  # asked before its moment, or about a row that the source does not know
        rows += 1
        for column in compiled.names:
            value = row.get(_FEATURE + column)
            if _FEATURE + column in row and not _same(expected[column], value):
                where.append((row["id"], column))
                lines.append(f"{row['id']}  {column}: served {value!r}, offline {expected[column]!r}")
    return rows, where, lines


def _by_key(frame: pa.Table, keys: Iterable[str]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    names = [f"key_{key}" for key in keys]
    return {
        (*(str(row[name]) for name in names), us_of(row["decided_at"])): row
        for row in frame.to_pylist()
        if row["decided_at"] is not None
    }


def _same(offline: Any, served: Any) -> bool:
    """Say whether two values are the same to the last bit; where training saw floats, whole numbers were widened."""
    if isinstance(served, float) and isinstance(offline, bool | int):
        offline = float(offline)
    if isinstance(offline, float) and isinstance(served, float):
        return struct.pack("<d", offline) == struct.pack("<d", served)
    return type(offline) is type(served) and bool(offline == served)


def _known(store: Store, endpoint: str, version: int, day: str) -> Skew | None:
    table = monitoring_skews.c
    query = select(monitoring_skews).where(table.endpoint == endpoint, table.version == version, table.day == day)
    with store.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    kept = msgspec.json.decode(row.columns, type=_Kept)
    return Skew(
        endpoint=endpoint, version=version, day=day, rows=row.rows, differing=row.differing, columns=kept.columns,
        lines=kept.lines,
    )  # fmt: skip


def _keep(store: Store, found: Skew) -> None:
    with store.journal() as journal:
        table = monitoring_skews.c
        mine = (table.endpoint == found.endpoint, table.version == found.version, table.day == found.day)
        if journal.connection.execute(select(table.rows).where(*mine)).first() is None:
            journal.execute(
                insert(monitoring_skews).values(
                    endpoint=found.endpoint, version=found.version, day=found.day, rows=found.rows,
                    differing=found.differing,
                    columns=msgspec.json.encode(_Kept(found.columns, found.lines)).decode(),
                )
            )  # fmt: skip
