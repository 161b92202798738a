"""Cell counts of each version and hour, in the cells of the version's reference; merging hours is integer addition."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import and_, bindparam, insert, or_, select, update

from trimtab.monitoring.cells import Cells, as_counted
from trimtab.monitoring.counting import count
from trimtab.monitoring.kept import Kept, kept_references
from trimtab.monitoring.moments import HOUR_US
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
            counts = _count(kept.reference, columns, places)
            was = found.get((one.version, hour))
            if was is not None:
                n, counts = n + was.rows, counts + was.counts
            found[one.version, hour] = Counted(kept.digest, n, counts)
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


def _count(reference: Reference, columns: Mapping[str, Any], places: NDArray[np.intp] | None) -> Counts:
    parts = []
    for cells in layout(reference):
        values = columns.get(cells.name if cells is not reference.prediction else cells.name + "\0")
        if values is None:
            parts.append(np.zeros(cells.size, np.int64))
        elif places is None:
            parts.append(count(cells, values))
        else:
            parts.append(
                count(cells, values.take(pa.array(places)) if isinstance(values, pa.Array) else values[places])
            )
    return np.concatenate(parts)


def add_cells(journal: Journal, endpoint: str, found: Mapping[tuple[int, int], Counted]) -> None:
    """Add counts to the rows of their hours and days; rows that were counted for another reference begin anew."""
    if not found:
        return
    gained = _gained(found)
    was = _rows(journal, endpoint, gained)
    new, changed = [], []
    for (version, hours, hour), one in sorted(gained.items()):
        old = was.get((version, hours, hour))
        rows, counts = one.rows, one.counts
        if old is not None and old.reference == one.reference:
            rows, counts = rows + old.rows, counts + unpacked([old.counts], counts.size)
        values = {"reference": one.reference, "rows": rows, "counts": packed(counts)}
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
            gained[place] = one if was is None else Counted(one.reference, was.rows + one.rows, was.counts + one.counts)
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
    monitoring_cells.c.counts,
).where(
    monitoring_cells.c.endpoint == bindparam("endpoint"),
    monitoring_cells.c.version.in_(bindparam("versions", expanding=True)),
    monitoring_cells.c.hours == bindparam("hours"),
    monitoring_cells.c.hour >= bindparam("first"), monitoring_cells.c.hour <= bindparam("last"),
)  # fmt: skip
_UPDATE = update(monitoring_cells).where(
    monitoring_cells.c.endpoint == bindparam("e"), monitoring_cells.c.version == bindparam("v"),
    monitoring_cells.c.hours == bindparam("w"), monitoring_cells.c.hour == bindparam("h"),
).values(reference=bindparam("reference"), rows=bindparam("rows"), counts=bindparam("counts"))  # fmt: skip


def merged(store: Store, endpoint: str, *, version: int, reference: str, hours: range, size: int) -> tuple[int, Counts]:
    """Return the rows and the counts of some hours, as far as they were counted for this reference."""
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
    query = select(table.rows, table.counts).where(
        table.endpoint == endpoint, table.version == version, table.reference == reference, within
    )
    with store.read() as connection:
        rows: Sequence[Any] = connection.execute(query).all()
    return sum(row[0] for row in rows), unpacked((row[1] for row in rows), size)


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
