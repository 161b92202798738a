"""The decision log of one process: appended before an answer leaves, synced behind it, sealed when full or old."""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.compute as pc
from sqlalchemy import select

from trimtab.data import parquet_in
from trimtab.kernel import SYSTEM, Clock, Ids, lock
from trimtab.serving.errors import LogDamaged
from trimtab.serving.events import DecisionsSealed
from trimtab.serving.frames import Entry, Layout, Opening, Scan, frames_in
from trimtab.serving.sealing import sealed
from trimtab.serving.segments import OPENING, SUFFIX, OpenSegment
from trimtab.serving.tables import serving_removed_segments, serving_segments
from trimtab.store import Store

SEAL_BYTES = 8 << 20
SEAL_AFTER_S = 900.0
_log = logging.getLogger(__name__)


def decisions_folder(store: Store) -> Path:
    """Return the folder that holds the open segments, one folder inside it for each endpoint."""
    return store.settings.home_path / "decisions"


def unsealed_bytes(store: Store) -> dict[str, int]:
    """Return how much of the decision log lies in open segments in this home, by endpoint."""
    found: dict[str, int] = {}
    for file in decisions_folder(store).glob(f"*/*{SUFFIX}"):
        with suppress(FileNotFoundError):  # it was sealed in this very moment
            found[file.parent.name] = found.get(file.parent.name, 0) + file.stat().st_size
    return found


class DecisionLog:
    """Appends decisions to one open segment for each endpoint. Safe to share between threads.

    ``write`` returns when the operating system has the bytes, so that no kill of this process loses them; ``sync``
    makes them outlive the machine. A segment of ``seal_bytes``, or ``seal_after_s`` old, is closed, and ``seal`` makes
    it a blob that the ledger vouches for.
    """

    def __init__(self, store: Store, *, seal_bytes: int = SEAL_BYTES, seal_after_s: float = SEAL_AFTER_S) -> None:
        self._store = store
        self._folder = decisions_folder(store)
        self._clock: Clock = store.clock
        self._ids: Ids = store.ids
        self._seal_bytes = seal_bytes
        self._seal_after_s = seal_after_s
        self._open: dict[str, OpenSegment] = {}
        self._full: list[OpenSegment] = []
        self._dirty: set[OpenSegment] = set()
        self._lock = threading.Lock()
        self._sealing = threading.Lock()
        self._disk = threading.Lock()
        self._stopping = threading.Event()

    @property
    def full(self) -> bool:
        """Whether segments wait to be sealed."""
        return bool(self._full)

    @property
    def dirty(self) -> bool:
        """Whether something was written that has not reached the disk yet."""
        return bool(self._dirty)

    def write(self, endpoint: str, entries: Sequence[tuple[Layout, Entry]]) -> None:
        """Append the rows of some requests in one write. Raises ``NotRecorded``, and then nothing was appended.

        A layout's and an entry's own numbers are ignored: the segment numbers layouts as they come.
        """
        with self._lock:
            segment = self._segment(endpoint, entries)
            frames: list[Layout | Entry | Opening] = []
            added: list[Layout] = []
            for layout, entry in entries:
                known = segment.layouts.get(layout.release)
                if known is None:
                    known = segment.add(layout)
                    added.append(known)
                    frames.append(known)
                entry.layout = known.number
                frames.append(entry)
            try:
                segment.append(frames)
            except BaseException:
                for layout in added:
                    segment.forget(layout)
                raise
            segment.rows += sum(len(entry.ids) for _, entry in entries)
            self._dirty.add(segment)
            if segment.size >= self._seal_bytes:
                self._retire(endpoint)

    def sync(self) -> None:
        """Wait until everything written so far is on the disk."""
        with self._disk:
            with self._lock:
                dirty, self._dirty = self._dirty, set()
            for segment in sorted(dirty, key=lambda one: one.id):
                segment.sync()

    def retire_old(self) -> None:
        """Close segments that have taken decisions for long enough, so that the next ``seal`` seals them."""
        now = self._clock.now()
        with self._lock:
            for endpoint, segment in list(self._open.items()):
                if segment.rows and (now - segment.at).total_seconds() >= self._seal_after_s:
                    self._retire(endpoint)

    def seal(self, *, also_open: tuple[str, ...] | None = ()) -> int:
        """Seal what is full, and the open segments of these endpoints (None: of all); return how many were sealed."""
        with self._lock:
            for endpoint in list(self._open) if also_open is None else also_open:
                if endpoint in self._open:
                    self._retire(endpoint)
        sealed = 0
        with self._sealing:
            while self._full and not self._stopping.is_set():
                segment = self._full[0]
                self.sync()
                sealed += _sealed_or_kept(self._store, segment.path, self._stopping)
                if segment.path.exists() and self._stopping.is_set():
                    break  # it is left as it is, for the next start
                self._full.pop(0)
                with self._disk:
                    segment.close()
        return sealed

    def recover(self) -> int:
        """Seal the segments that a process left behind which is no longer there; return how many were sealed."""
        sealed = 0
        for path in sorted(self._folder.glob(f"*/*{SUFFIX}")):
            with _left_behind(path) as fd:
                if fd is not None and not self._stopping.is_set():
                    _cut(fd, path)
                    sealed += _sealed_or_kept(self._store, path, self._stopping)
        for path in self._folder.glob(f"*/*{OPENING}"):
            with _left_behind(path) as fd:
                if fd is not None:
                    path.unlink(missing_ok=True)  # nothing was ever answered by it
        return sealed

    def stop_sealing(self) -> None:
        """Leave what is not sealed yet to ``recover`` at the next start, also what is being sealed at this moment."""
        self._stopping.set()

    def close(self) -> None:
        """Seal everything, unless ``stop_sealing`` says otherwise, and let go of the files."""
        self.seal(also_open=None)
        self.sync()
        with self._sealing, self._disk:
            while self._full:
                self._full.pop(0).close()

    def _segment(self, endpoint: str, entries: Sequence[tuple[Layout, Entry]]) -> OpenSegment:
        segment = self._open.get(endpoint)
        if segment is not None:
            fresh = [layout for layout, _ in entries if layout.release not in segment.layouts]
            if all(segment.takes(layout) for layout in fresh):
                return segment
            self._retire(endpoint)
        segment = OpenSegment(self._folder / endpoint, id=self._ids.new(), endpoint=endpoint, at=self._clock.now())
        self._open[endpoint] = segment
        return segment

    def _retire(self, endpoint: str) -> None:
        self._full.append(self._open.pop(endpoint))


@contextmanager
def _left_behind(path: Path) -> Iterator[int | None]:
    """Open and lock a segment's file; None when its owner lives, or has just removed it."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        # Its owner may have sealed and removed it between the listing and the lock.
        yield fd if lock(fd) and path.exists() else None
    finally:
        os.close(fd)


def _sealed_or_kept(store: Store, path: Path, stopping: threading.Event) -> bool:
    """Seal a segment; leave one that cannot be sealed where it is read, and let the others be sealed."""
    try:
        return seal_file(store, path, stopping)
    except LogDamaged as error:
        _log.error("%s; its file is kept", error)
        return False


def seal_file(store: Store, path: Path, stopping: threading.Event) -> bool:
    """Turn a closed segment's file into a sealed blob with its event, then remove it; say whether it held anything.

    The file is left as it is when ``stopping`` is set before it was converted.
    May be repeated after a crash at any point: the same file gives the same blob, and is recorded once.
    """
    id_ = path.stem
    with store.read() as connection:
        both = (serving_segments, serving_removed_segments)
        known = [connection.execute(select(table.c.id).where(table.c.id == id_)).first() for table in both]
    if any(known):
        path.unlink(missing_ok=True)
        return False
    result = sealed(path, stopping=stopping)
    if result is None:
        return False
    if result.data:
        _record(store, id_, path.parent.name, result.data)
    if result.damaged:
        _log.error("decision segment %s has %d damaged frames; its file is kept", id_, result.damaged)
        path.rename(path.with_suffix(".damaged"))
    else:
        path.unlink(missing_ok=True)
    return bool(result.data)


def _record(store: Store, id_: str, endpoint: str, blob: bytes) -> None:
    digest = store.blobs.put(blob)
    table = parquet_in(blob, ["id", "at", "model", "version"])
    times = pc.min_max(table["at"])
    first_id, last_id = table["id"][0].as_py(), table["id"][-1].as_py()  # it is sorted by id
    counted = table.group_by(["model", "version"]).aggregate([("id", "count")]).to_pylist()
    by_version = {f"{row['model']}@{row['version']}": row["id_count"] for row in counted}
    with store.change(SYSTEM, "a segment of the decision log is complete") as change:
        row = {
            "id": id_, "endpoint": endpoint, "first_id": first_id, "last_id": last_id,
            "first_at": times["min"].as_py().isoformat(), "last_at": times["max"].as_py().isoformat(),
            "count": table.num_rows, "size_bytes": len(blob), "digest": digest, "sealed_at": change.at.isoformat(),
        }  # fmt: skip
        change.insert(serving_segments, row)
        change.record(
            DecisionsSealed(
                segment_id=id_, endpoint=endpoint, digest=digest, size_bytes=len(blob), count=table.num_rows,
                first_id=first_id, last_id=last_id, by_version=dict(sorted(by_version.items())),
            )
        )  # fmt: skip


def _cut(fd: int, path: Path) -> None:
    """Cut the torn tail that a killed process may have left: it belongs to a request that was never answered."""
    data = path.read_bytes()
    scan = Scan()
    for _ in frames_in(data, scan):
        pass
    if scan.end < len(data) and not scan.damaged:
        os.ftruncate(fd, scan.end)
