"""Read what the decision log has gained since it was last read, column by column and each decision once.

A reader keeps an opaque ``Mark`` for each segment that it has begun. Open segments are read on from where it stopped;
a segment that was sealed meanwhile lies in another order, so what is new in it is told by the decisions' ids.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import bindparam, func, select

from trimtab.serving.frames import Entry, Layout, Scan, frames_in
from trimtab.serving.log import decisions_folder
from trimtab.serving.records import Stage
from trimtab.serving.segments import AGE, FEATURE, RESULT, SUFFIX
from trimtab.serving.tables import serving_removed_segments, serving_segments
from trimtab.store import Store

MOST_ROWS = 200_000
SLACK = timedelta(hours=1)
"""How much later than its own time of sealing a segment may come to be seen."""
Known = Callable[[Sequence[str]], set[str]]
"""Say which of these decisions the reader has taken already."""
_Shapes = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How far a segment was read: bytes and decisions, and the layouts met on the way. ``done``: all of it, sealed."""

    offset: int = 0
    rows: int = 0
    layouts: tuple[Layout, ...] = ()
    done: bool = False


class Marks(msgspec.Struct, frozen=True, array_like=True):
    """Where a reader stands in the log of one endpoint. ``finished`` counts sealed segments that were read whole."""

    segments: dict[str, Mark] = {}
    sealed_at: str = ""
    finished: int = 0


class LoggedRows(msgspec.Struct, eq=False):
    """Decisions of one version in one stage, column by column, in lists of one length. Moments are microseconds.

    ``features`` and ``results`` are lists by name; ``mirrors`` holds the answered decision's id for a shadow's.
    """

    model: str
    version: int
    release: str
    stage: Stage
    ids: list[str]
    as_of_us: list[int]
    latency_us: list[int]
    keys: list[dict[str, Any] | None]
    mirrors: list[str | None]
    features: dict[str, Sequence[Any]]
    results: dict[str, Sequence[Any]]


class Unread(msgspec.Struct, eq=False):
    """What was new, and the marks to keep once it is taken. ``more``: there is still more, for another call."""

    rows: list[LoggedRows]
    marks: Marks
    more: bool = False


def read_unread(store: Store, endpoint: str, *, marks: Marks, known: Known, most: int = MOST_ROWS) -> Unread:
    """Return the decisions of an endpoint that ``marks`` do not cover yet, in open and sealed segments.

    A long log is handed out in parts, a segment at a time, of hardly more than ``most`` decisions each.
    """
    # Open files first: one that is sealed meanwhile is in the table by then.
    opened = [_read_open(path, marks.segments.get(path.stem, Mark()), known) for path in _files(store, endpoint)]
    since = marks.sealed_at and (datetime.fromisoformat(marks.sealed_at) - SLACK).isoformat()
    sealed, total = _sealed(store, endpoint, since=since)
    news = sum(not marks.segments.get(one.id, Mark()).done for one in sealed)
    wary = marks.finished + news != total  # a segment came to be seen very late, or the clock was set back
    if wary:
        sealed, total = _sealed(store, endpoint, since="")
    rows: list[LoggedRows] = []
    segments: dict[str, Mark] = {}
    done, left, count = [], dict[str, str](), 0
    for one in sealed:
        mark = marks.segments.get(one.id, Mark())
        if not mark.done and mark.rows < one.count:
            if count >= most:
                left[one.id] = one.sealed_at
                continue
            rows += _read_sealed(store, one.digest, known if wary or mark.rows else None)
            count += one.count
        segments[one.id] = Mark(done=True)
        done.append(one)
    for path, found, mark in opened:
        if path.stem in left:
            segments[path.stem] = marks.segments.get(path.stem, Mark())
        elif path.stem not in segments:
            rows += found
            segments[path.stem] = mark
    # How far one was read that is left for later is still to be known then, and of one that is open in another home,
    # which no other sees: once forgotten here, that home would read it from its beginning.
    segments |= {
        id_: mark for id_, mark in marks.segments.items()
        if id_ in left or (mark.rows and not mark.done and id_ not in segments)
    }  # fmt: skip
    newest = max([marks.sealed_at, *(one.sealed_at for one in done)])
    newest = min([newest, *left.values()])
    recent = newest and (datetime.fromisoformat(newest) - SLACK).isoformat()
    old = {one.id for one in done if one.sealed_at < recent}
    kept = {id_: mark for id_, mark in segments.items() if id_ not in old}
    return Unread(rows, Marks(kept, newest, total - len(left)), bool(left))


def _files(store: Store, endpoint: str) -> list[Path]:
    return sorted((decisions_folder(store) / endpoint).glob(f"*{SUFFIX}"))


def _sealed(store: Store, endpoint: str, *, since: str) -> tuple[Sequence[Any], int]:
    """Return the segments sealed since a moment, and how many there ever were, as of one state of the database."""
    with store.read() as connection:
        found = connection.execute(_SEALED, {"endpoint": endpoint, "since": since}).all()
        total = connection.execute(_TOTAL, {"endpoint": endpoint}).scalar_one()
    return found, total


_TABLE = serving_segments.c
_SEALED = (
    select(_TABLE.id, _TABLE.digest, _TABLE.count, _TABLE.sealed_at)
    .where(_TABLE.endpoint == bindparam("endpoint"), _TABLE.sealed_at >= bindparam("since"))
    .order_by(_TABLE.sealed_at, _TABLE.id)
)
_TOTAL = select(
    select(func.count()).where(_TABLE.endpoint == bindparam("endpoint")).scalar_subquery()
    + select(func.count()).where(serving_removed_segments.c.endpoint == bindparam("endpoint")).scalar_subquery()
)


def _read_open(path: Path, mark: Mark, known: Known) -> tuple[Path, list[LoggedRows], Mark]:
    try:
        if path.stat().st_size == mark.offset:
            return path, [], mark
        with path.open("rb") as file:
            # A write that the disk refused was cut off again: what was read of it may lie elsewhere now.
            cut = file.seek(0, 2) < mark.offset
            file.seek(0 if cut else mark.offset)
            data = file.read()
    except FileNotFoundError:
        return path, [], mark
    if cut:
        mark = Mark()
    scan, layouts = Scan(), {one.number: one for one in mark.layouts}
    groups: dict[tuple[int, Stage], list[Entry]] = {}
    count = 0
    for frame in frames_in(data, scan):
        if isinstance(frame, Layout):
            layouts[frame.number] = frame
        elif isinstance(frame, Entry) and frame.layout in layouts:
            groups.setdefault((frame.layout, frame.stage), []).append(frame)
            count += len(frame.ids)
    rows = [_from_entries(layouts[number], stage, entries) for (number, stage), entries in groups.items()]
    if cut:
        rows = _without(rows, known)
    return path, rows, Mark(mark.offset + scan.end, mark.rows + count, tuple(layouts.values()))


def _from_entries(layout: Layout, stage: Stage, entries: Sequence[Entry]) -> LoggedRows:
    ids: list[str] = []
    as_of: list[int] = []
    latency: list[int] = []
    keys: list[dict[str, Any] | None] = []
    mirrors: list[str | None] = []
    values: list[Sequence[Any]] = []
    results: dict[str, list[Any]] = {name: [] for name, _ in layout.outputs}
    for entry in entries:
        count = len(entry.ids)
        ids += entry.ids
        as_of += entry.as_of_us or [entry.at_us] * count
        latency += [entry.latency_us] * count
        keys += entry.keys or [None] * count
        mirrors += entry.mirrors or [None] * count
        values += entry.values
        for (name, _), output in zip(layout.outputs, entry.outputs, strict=True):
            results[name] += output
    columns = zip(*values, strict=True)
    return LoggedRows(
        layout.model, layout.version, layout.release, stage, ids, as_of, latency, keys, mirrors,
        {name: column for (name, _), column in zip(layout.columns, columns, strict=True)}, {**results},
    )  # fmt: skip


def _read_sealed(store: Store, digest: str, known: Known | None) -> list[LoggedRows]:
    file = pq.ParquetFile(store.blobs.local_path(digest))
    names = [name for name in file.schema_arrow.names if not name.startswith(AGE)]
    table = file.read(columns=names)
    shapes = msgspec.json.decode(file.schema_arrow.metadata[b"trimtab.layouts"], type=_Shapes)
    groups: dict[tuple[str, str], list[int]] = {}
    for place, found in enumerate(zip(table["release"].to_pylist(), table["stage"].to_pylist(), strict=True)):
        groups.setdefault(found, []).append(place)
    rows = [_from_table(table.take(pa.array(places)), *shapes[release]) for (release, _), places in groups.items()]
    return rows if known is None else _without(rows, known)


def _from_table(table: pa.Table, columns: tuple[str, ...], outputs: tuple[str, ...]) -> LoggedRows:
    def listed(name: str) -> list[Any]:
        found: list[Any] = table[name].to_pylist()
        return found

    keys = [None if key is None else msgspec.json.decode(key) for key in listed("key")]
    return LoggedRows(
        table["model"][0].as_py(), table["version"][0].as_py(), table["release"][0].as_py(),
        table["stage"][0].as_py(), listed("id"), table["as_of"].cast(pa.int64()).to_pylist(), listed("latency_us"),
        keys, listed("mirrors"), {name: listed(FEATURE + name) for name in columns},
        {name: listed(RESULT + name) for name in outputs},
    )  # fmt: skip


def _without(rows: Iterable[LoggedRows], known: Known) -> list[LoggedRows]:
    return [left for one in rows if (left := _part(one, known(one.ids))) is not None]


def _part(rows: LoggedRows, gone: set[str]) -> LoggedRows | None:
    if not gone:
        return rows
    places = [place for place, id_ in enumerate(rows.ids) if id_ not in gone]

    def part(values: Sequence[Any]) -> list[Any]:
        return [values[place] for place in places]

    changed: Mapping[str, Any] = {
        name: part(getattr(rows, name)) for name in ("ids", "as_of_us", "latency_us", "keys", "mirrors")
    }
    features = {name: part(values) for name, values in rows.features.items()}
    results = {name: part(values) for name, values in rows.results.items()}
    return msgspec.structs.replace(rows, **changed, features=features, results=results) if places else None
