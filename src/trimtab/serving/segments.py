"""Segments of the decision log: the open file that takes appends, and the sorted, compressed blob it becomes."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from mmap import mmap
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.kernel import lock
from trimtab.serving.errors import LogDamaged, NotRecorded
from trimtab.serving.frames import (
    ENTRY_TAG,
    FORMAT,
    LAYOUT_TAG,
    Entry,
    Layout,
    Opening,
    Place,
    Scan,
    frame_at,
    framed,
    frames_in,
    places_in,
)
from trimtab.serving.records import Decision

SUFFIX = ".log"
OPENING = ".opening"
"""Suffix of a segment that its owner does not hold locked yet."""
_TRIES = 16
"""How often a file is made that somebody else locks first: where none can be locked, nothing is recorded."""
ROWS_IN_GROUP = 8192
_Shapes = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""By release: the names of the columns and of the outputs."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = pa.timestamp("us", tz="UTC")
_TYPES = {
    "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "category": pa.string(), "text": pa.string(),
    "list": pa.list_(pa.float64()), "texts": pa.list_(pa.string()),
}  # fmt: skip
_EMPTY = pa.schema([("id", pa.string()), ("at", _MOMENT)])
FEATURE, AGE, RESULT = "feature_", "age_", "result_"
"""Prefixes of the columns that hold feature values, their ages in seconds, and results."""


def micros(at: datetime) -> int:
    """Return a moment as microseconds since 1970, exactly."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(at_us: int) -> datetime:
    """Return the moment that lies so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=at_us)


class OpenSegment:
    """A file that decisions are appended to. Its owner holds a lock on it, so that others know that it is alive."""

    def __init__(self, folder: Path, *, id: str, endpoint: str, at: datetime) -> None:
        self.id = id
        self.endpoint = endpoint
        self.at = at
        self.path = folder / f"{id}{SUFFIX}"
        self.size = 0
        self.rows = 0
        self.layouts: dict[str, Layout] = {}
        self._kinds: dict[str, str] = {}
        self._buffer = bytearray()
        # Under its own name nobody may find it unlocked, and take it for what a dead process has left.
        self._fd, opening = _owned(self.path)
        try:
            self.append([Opening(FORMAT, id, endpoint, micros(at))])
            _renamed(opening, self.path)
        except BaseException:
            self.close()
            opening.unlink(missing_ok=True)
            raise
        _sync_folder(folder)

    def takes(self, layout: Layout) -> bool:
        """Say whether a layout can stand beside the others: one name, one kind, so that a column has one type."""
        return all(self._kinds.get(name, kind) == kind for name, kind in _kinds_of(layout).items())

    def add(self, layout: Layout) -> Layout:
        """Number a layout and remember it; the caller appends it."""
        layout = msgspec.structs.replace(layout, number=len(self.layouts))
        self.layouts[layout.release] = layout
        self._kinds |= _kinds_of(layout)
        return layout

    def forget(self, layout: Layout) -> None:
        """Take back ``add``: the file does not hold the layout after all."""
        del self.layouts[layout.release]

    def append(self, frames: Sequence[Opening | Layout | Entry]) -> None:
        """Append frames with one write; raise ``NotRecorded`` when they could not be written whole."""
        if len(frames) == 1:
            framed(frames[0], self._buffer)
            data: bytes | bytearray = self._buffer
        else:
            parts = []
            for frame in frames:
                framed(frame, self._buffer)
                parts.append(bytes(self._buffer))
            data = b"".join(parts)
        try:
            written = os.write(self._fd, data)
            while written < len(data):  # nearly full: it takes a part, then refuses
                written += os.write(self._fd, bytes(data[written:]))
        except OSError as error:
            # Half a frame need not stand before the next one; a reader would find that one all the same.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise _not_recorded(self.path, error) from error
        self.size += len(data)

    def sync(self) -> None:
        """Wait until everything that was appended is on the disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Let go of the file and its lock."""
        os.close(self._fd)


def _owned(path: Path) -> tuple[int, Path]:
    """Create and lock a file beside ``path``, which nobody has yet taken for what a dead process has left.

    Between the two somebody may: they remove it, and another one is made, of another name.
    """
    for number in range(_TRIES):
        opening = path.with_suffix(f".{number}{OPENING}")
        fd = _created(opening)
        if lock(fd) and opening.exists():
            return fd, opening
        os.close(fd)
    raise _not_recorded(path, OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)))


def _created(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        raise _not_recorded(path, error) from error


def _renamed(path: Path, to: Path) -> None:
    try:
        path.rename(to)
    except OSError as error:
        raise _not_recorded(to, error) from error


def _not_recorded(path: Path, error: OSError) -> NotRecorded:
    # Callers over the network read this: it names no folder of this machine.
    return NotRecorded(f"the decision log cannot be written: {error.strerror}", where=f"decisions/{path.parent.name}")


class OpenRows:
    """The decisions in an open segment's bytes, each read only when it is asked for."""

    def __init__(self, data: bytes | mmap, *, endpoint: str) -> None:
        self._data = data
        self._endpoint = endpoint
        self._places = places_in(data)
        found = (frame_at(data, place) for place in self._places if place.tag == LAYOUT_TAG)
        self._layouts = {frame.number: frame for frame in found if isinstance(frame, Layout)}

    def newest_first(self) -> Iterator[list[Decision]]:
        """Yield the decisions of each entry, the last written first."""
        for place in reversed(self._places):
            if place.tag == ENTRY_TAG:
                yield self._decisions(place)

    def find(self, id_: str) -> Decision | None:
        """Return the decision with this id."""
        wanted = id_.encode()
        at = self._data.find(wanted) if wanted else -1
        while at >= 0:
            place = next((place for place in self._places if place.start <= at < place.end), None)
            if place is not None and place.tag == ENTRY_TAG:
                found = next((one for one in self._decisions(place) if one.id == id_), None)
                if found is not None:
                    return found
            at = self._data.find(wanted, at + 1)  # it may stand elsewhere too, as what a shadow mirrors
        return None

    def _decisions(self, place: Place) -> list[Decision]:
        entry = frame_at(self._data, place)
        if not isinstance(entry, Entry) or entry.layout not in self._layouts:
            return []
        return list(_decisions_of(entry, self._layouts[entry.layout], self._endpoint))


def parquet_of(table: pa.Table) -> bytes:
    """Return a sealed segment: Parquet, compressed; the same decisions always give the same bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROWS_IN_GROUP, version="2.6")
    return sink.getvalue()


def table_of(data: bytes | memoryview, scan: Scan | None = None) -> pa.Table:
    """Return an open segment's decisions as a table sorted by id: fixed columns, then features, ages and results.

    Built column by column: a segment is sealed beside the event loop, which must not wait for a walk over its rows.
    """
    endpoint, layouts, entries = "", dict[int, Layout](), dict[int, list[Entry]]()
    for frame in frames_in(data, scan):
        match frame:
            case Opening():
                endpoint = frame.endpoint
            case Layout():
                layouts[frame.number] = frame
            case Entry():
                entries.setdefault(frame.layout, []).append(frame)
    parts = [_part(layouts[number], some) for number, some in entries.items() if number in layouts]
    table = pa.concat_tables(parts, promote_options="permissive").sort_by("id") if parts else _EMPTY.empty_table()
    shapes = {one.release: ([c for c, _ in one.columns], [o for o, _ in one.outputs]) for one in layouts.values()}
    layouts_text = msgspec.json.encode(shapes, order="deterministic").decode()
    return table.replace_schema_metadata({"trimtab.endpoint": endpoint, "trimtab.layouts": layouts_text})


def _part(layout: Layout, entries: Sequence[Entry]) -> pa.Table:
    """Return the decisions of one version."""
    counts = [len(entry.ids) for entry in entries]
    rows = sum(counts)

    def repeated(values: Iterable[Any]) -> list[Any]:
        return list(chain.from_iterable(repeat(value, n) for value, n in zip(values, counts, strict=True)))

    def each(lists: Iterable[Iterable[Any] | None], default: Any = None) -> list[Any]:
        found = (repeat(default, n) if one is None else one for one, n in zip(lists, counts, strict=True))
        return list(chain.from_iterable(found))

    def times(values: list[int]) -> pa.Array:
        return pa.array(values, pa.int64()).cast(_MOMENT)

    at = repeated(entry.at_us for entry in entries)
    as_of = (
        at
        if all(e.as_of_us is None for e in entries)
        else each(e.as_of_us or repeat(e.at_us, len(e.ids)) for e in entries)
    )
    keys = [None if key is None else msgspec.json.encode(key).decode() for key in each(e.keys for e in entries)]
    columns: dict[str, pa.Array] = {
        "id": pa.array(each(e.ids for e in entries), pa.string()),
        "at": times(at), "as_of": times(as_of),
        "model": pa.repeat(layout.model, rows), "version": pa.repeat(pa.scalar(layout.version, pa.int32()), rows),
        "release": pa.repeat(layout.release, rows),
        "stage": pa.array(repeated(e.stage for e in entries), pa.string()),
        "reason": pa.array(repeated(e.reason for e in entries), pa.string()),
        "source": pa.array(repeated(e.source for e in entries), pa.string()),
        "key": pa.array(keys, pa.string()),
        "latency_us": pa.array(repeated(e.latency_us for e in entries), pa.int64()),
        "mirrors": pa.array(each(e.mirrors for e in entries), pa.string()),
    }  # fmt: skip
    if any(entry.broken is not None for entry in entries):  # else the column is not there
        columns["broken"] = pa.array(each(e.broken for e in entries), pa.list_(pa.string()))
    nothing = (None,) * len(layout.columns)
    values = list(zip(*each(e.values for e in entries), strict=True))
    ages = list(zip(*each((e.ages_s for e in entries), nothing), strict=True))
    for place, (name, kind) in enumerate(layout.columns):
        columns[FEATURE + name] = pa.array(values[place], _TYPES[kind])
        columns[AGE + name] = pa.array(ages[place], pa.float64())
    for place, (name, output_kind) in enumerate(layout.outputs):
        columns[RESULT + name] = _outputs(each(e.outputs[place] for e in entries), output_kind)
    return pa.table(columns)


def _outputs(values: list[Any], kind: str) -> pa.Array:
    try:
        return pa.array(values, _TYPES[kind])
    except OverflowError:  # an unsigned number beyond 63 bits, which nothing here can count with anyway
        return pa.array([None if value is None else float(value) for value in values], pa.float64())


def decisions_in(table: pa.Table) -> list[Decision]:
    """Return the decisions that a sealed segment's table holds, in its order. Raises ``LogDamaged``."""
    about = table.schema.metadata or {}
    try:
        shapes = msgspec.json.decode(about[b"trimtab.layouts"], type=_Shapes)
        endpoint = about[b"trimtab.endpoint"].decode()
        return [_from_row(row, endpoint, *shapes[row["release"]]) for row in table.to_pylist()]
    except (KeyError, msgspec.DecodeError) as error:
        raise LogDamaged(
            "a sealed segment of the decision log is not one", where="serving.segments", why=f"It lacks {error}."
        ) from None


def _from_row(row: dict[str, Any], endpoint: str, columns: tuple[str, ...], outputs: tuple[str, ...]) -> Decision:
    ages = tuple(row[AGE + name] for name in columns)
    return Decision(
        id=row["id"], at=row["at"], as_of=row["as_of"], endpoint=endpoint, model=row["model"], version=row["version"],
        release=row["release"], stage=row["stage"], reason=row["reason"], source=row["source"],
        key=None if row["key"] is None else msgspec.json.decode(row["key"]),
        columns=columns, values=tuple(row[FEATURE + name] for name in columns),
        ages_s=None if row["source"] == "raw" else ages,
        result={name: row[RESULT + name] for name in outputs}, latency_us=row["latency_us"], mirrors=row["mirrors"],
        broken=tuple(row.get("broken") or ()),
    )  # fmt: skip


def _decisions_of(entry: Entry, layout: Layout, endpoint: str) -> Iterator[Decision]:
    at = moment(entry.at_us)
    columns = tuple(name for name, _ in layout.columns)
    outputs = tuple(name for name, _ in layout.outputs)
    for i, id_ in enumerate(entry.ids):
        ages = None if entry.ages_s is None else tuple(entry.ages_s[i])
        yield Decision(
            id=id_, at=at, as_of=at if entry.as_of_us is None else moment(entry.as_of_us[i]), endpoint=endpoint,
            model=layout.model, version=layout.version, release=layout.release, stage=entry.stage,
            reason=entry.reason, source=entry.source, key=None if entry.keys is None else entry.keys[i],
            columns=columns, values=tuple(entry.values[i]), ages_s=ages,
            result={name: entry.outputs[k][i] for k, name in enumerate(outputs)},
            latency_us=entry.latency_us, mirrors=None if entry.mirrors is None else entry.mirrors[i],
            broken=tuple(entry.broken[i] or ()) if entry.broken is not None else (),
        )  # fmt: skip


def _kinds_of(layout: Layout) -> dict[str, str]:
    kinds: dict[str, str] = {FEATURE + name: kind for name, kind in layout.columns}
    return kinds | {RESULT + name: kind for name, kind in layout.outputs}


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # pragma: no cover
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
