"""Cell counts and partial moments of each version and hour, in the cells of the version's reference.

Merging hours is addition.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import and_, bindparam, insert, or_, select, update

from trimtab.monitoring.cells import Array, Cells, as_counted
from trimtab.monitoring.counting import count
from trimtab.monitoring.kept import Kept, kept_references
from trimtab.monitoring.moments import HOUR_US
from trimtab.monitoring.partial_moments import of_bytes, partial_moments, to_bytes
from trimtab.monitoring.reference import Reference
from trimtab.monitoring.tables import monitoring_cells
from trimtab.serving import LoggedRows
from trimtab.store import Journal, Store

Counts = NDArray[np.int64]
WIDTHS = (1, 24)
"""Each hour is kept, and each day."""
_LEVEL = 1


class Counted(msgspec.Struct, eq=False):
    """The rows of a version in one hour, counted in the cells of the reference with this digest."""

    reference: str
    rows: int
    counts: Counts
    partial: Array | None
    """Of each column in the order of ``layout``, (columns, 2); None where some hour was counted without."""

    def __add__(self, more: "Counted") -> "Counted":
        either = self.partial is None or more.partial is None
        partial = None if either else self.partial + more.partial  # type: ignore[operator]
        return Counted(more.reference, self.rows + more.rows, self.counts + more.counts, partial)


def layout(reference: Reference) -> tuple[Cells, ...]:
    """Return the cells of every column in the order in which a window's counts follow each other."""
    return (*reference.columns, reference.prediction)


def counted(store: Store, rows: Sequence[LoggedRows]) -> dict[tuple[int, int], Counted]:
    """Count rows in the cells of their versions' references: by version and hour. Versions without one are left out."""
    references = kept_references(store, {(one.model, one.version) for one in rows})
    found: dict[tuple[int, int], Counted] = {}
    for one in rows:
        kept = references.get((one.model, one.version))
        if kept is None:
            continue
        hours = np.asarray(one.as_of_us, np.int64) // HOUR_US
        columns = _columns(kept, one)
        for hour in np.unique(hours).tolist():
            places = None if hours[0] == hours[-1] == hour and (hours == hour).all() else np.flatnonzero(hours == hour)
            n = len(one.ids) if places is None else places.size
            gained = Counted(kept.digest, n, *_count(kept.reference, columns, places))
            was = found.get((one.version, hour))
            found[one.version, hour] = gained if was is None else was + gained
    return found


def _columns(kept: Kept, rows: LoggedRows) -> dict[str, Any]:
    columns = {
        cells.name: as_counted(cells, rows.features[cells.name])
        for cells in kept.reference.columns
        if cells.name in rows.features
    }
    result = rows.results.get("probability", rows.results.get("prediction"))
    if result is not None and not (len(result) and isinstance(result[0], list)):
        columns[kept.reference.prediction.name + "\0"] = as_counted(kept.reference.prediction, result)
    return columns


def _count(reference: Reference, columns: Mapping[str, Any], places: NDArray[np.intp] | None) -> tuple[Counts, Array]:
    parts, partial = [], []
    for cells in layout(reference):
        values = columns.get(cells.name if cells is not reference.prediction else cells.name + "\0")
        if values is None:
            parts.append(np.zeros(cells.size, np.int64))
            partial.append(np.zeros(2))
            continue
        if places is not None:
            values = values.take(pa.array(places)) if isinstance(values, pa.Array) else values[places]
        parts.append(count(cells, values))
        partial.append(partial_moments(cells, values))
    return np.concatenate(parts), np.stack(partial)


def add_cells(journal: Journal, endpoint: str, found: Mapping[tuple[int, int], Counted]) -> None:
    """Add counts to the rows of their hours and days; rows that were counted for another reference begin anew."""
    if not found:
        return
    gained = _gained(found)
    was = _rows(journal, endpoint, gained)
    new, changed = [], []
    for (version, hours, hour), one in sorted(gained.items()):
        old = was.get((version, hours, hour))
        same = old is not None and old.reference == one.reference
        now = _of_row(old, one.counts.size) + one if same else one
        values = {
            "reference": now.reference, "rows": now.rows, "counts": packed(now.counts),
            "partial_moments": None if now.partial is None else to_bytes(now.partial),
        }  # fmt: skip
        if old is None:
            new.append({"endpoint": endpoint, "version": version, "hours": hours, "hour": hour, **values})
        else:
            changed.append({"e": endpoint, "v": version, "w": hours, "h": hour, **values})
    if new:
        journal.execute(insert(monitoring_cells), new)
    if changed:
        journal.execute(_UPDATE, changed)


def _gained(found: Mapping[tuple[int, int], Counted]) -> dict[tuple[int, int, int], Counted]:
    """Return what each row gains, by version, hours and hour."""
    gained: dict[tuple[int, int, int], Counted] = {}
    for (version, hour), one in found.items():
        for hours in WIDTHS:
            place = (version, hours, hour // hours * hours)
            was = gained.get(place)
            gained[place] = one if was is None else was + one
    return gained


def _rows(journal: Journal, endpoint: str, gained: Iterable[tuple[int, int, int]]) -> dict[tuple[int, int, int], Any]:
    found = {}
    for hours in WIDTHS:
        mine = [(version, hour) for version, width, hour in gained if width == hours]
        starts = [hour for _, hour in mine]
        span = {"endpoint": endpoint, "hours": hours, "first": min(starts), "last": max(starts)}
        rows = journal.connection.execute(_ROWS, {**span, "versions": sorted({version for version, _ in mine})})
        found.update({(row.version, hours, row.hour): row for row in rows})
    return found


_ROWS = select(
    monitoring_cells.c.version, monitoring_cells.c.hour, monitoring_cells.c.reference, monitoring_cells.c.rows,
    monitoring_cells.c.counts, monitoring_cells.c.partial_moments,
).where(
    monitoring_cells.c.endpoint == bindparam("endpoint"),
    monitoring_cells.c.version.in_(bindparam("versions", expanding=True)),
    monitoring_cells.c.hours == bindparam("hours"),
    monitoring_cells.c.hour >= bindparam("first"), monitoring_cells.c.hour <= bindparam("last"),
)  # fmt: skip
_UPDATE = update(monitoring_cells).where(
    monitoring_cells.c.endpoint == bindparam("e"), monitoring_cells.c.version == bindparam("v"),
    monitoring_cells.c.hours == bindparam("w"), monitoring_cells.c.hour == bindparam("h"),
).values(
    reference=bindparam("reference"), rows=bindparam("rows"), counts=bindparam("counts"),
    partial_moments=bindparam("partial_moments"),
)  # fmt: skip


def _of_row(row: Any, size: int) -> Counted:
    partial = None if row.partial_moments is None else of_bytes(row.partial_moments)
    return Counted(row.reference, row.rows, unpacked([row.counts], size), partial)


def merged(store: Store, endpoint: str, *, version: int, reference: str, hours: range, size: int) -> Counted:
    """Return what was counted in some hours, as far as it was for this reference."""
    day = WIDTHS[-1]
    first, last = -(-hours.start // day) * day, hours.stop // day * day
    table = monitoring_cells.c
    if first < last:
        within = or_(
            and_(table.hours == day, table.hour >= first, table.hour < last),
            and_(table.hours == 1, table.hour >= hours.start, table.hour < first),
            and_(table.hours == 1, table.hour >= last, table.hour < hours.stop),
        )
    else:
        within = and_(table.hours == 1, table.hour >= hours.start, table.hour < hours.stop)
    query = (
        select(table.rows, table.counts, table.partial_moments)
        .where(table.endpoint == endpoint, table.version == version, table.reference == reference, within)
        .order_by(table.hours, table.hour)  # sums of floating-point numbers depend on their order
    )
    with store.read() as connection:
        rows: Sequence[Any] = connection.execute(query).all()
    partial = [of_bytes(row.partial_moments) for row in rows if row.partial_moments is not None]
    return Counted(
        reference, sum(row.rows for row in rows), unpacked((row.counts for row in rows), size),
        np.sum(partial, axis=0) if partial and len(partial) == len(rows) else None,
    )  # fmt: skip


def packed(counts: Counts) -> bytes:
    """Return counts as bytes: most cells of an hour are empty, so only the others are kept, and compressed."""
    places = np.flatnonzero(counts)
    gaps, filled = _narrow(np.diff(places, prepend=0)), _narrow(counts[places])
    head = bytes((gaps.itemsize, filled.itemsize))
    return head + zlib.compress(gaps.tobytes() + filled.tobytes(), _LEVEL)


def unpacked(blobs: Iterable[bytes], size: int) -> Counts:
    """Return the sum of packed counts."""
    total = np.zeros(size, np.int64)
    for blob in blobs:
        gap, filled = blob[0], blob[1]
        data = zlib.decompress(blob[2:])
        n = len(data) // (gap + filled)
        places = np.frombuffer(data, f"<u{gap}", n).astype(np.int64).cumsum()
        counts = np.frombuffer(data, f"<u{filled}", n, n * gap)
        total[places] += counts.astype(np.int64)  # each place stands once
    return total


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers from 0 on in the narrowest type that holds them."""
    largest = int(values.max()) if values.size else 0
    width = next(width for width in (1, 2, 4, 8) if largest < 1 << 8 * width)
    return values.astype(f"<u{width}")
