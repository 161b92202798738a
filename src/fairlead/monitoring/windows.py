"""Cell counts of each version and hour, in the cells of the version's reference; merging hours is integer addition."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import bindparam, insert, select, update

from fairlead.monitoring.cells import Cells
from fairlead.monitoring.counting import count
from fairlead.monitoring.kept import Kept, kept_references
from fairlead.monitoring.moments import HOUR_US
from fairlead.monitoring.reference import Reference
from fairlead.monitoring.tables import monitoring_cells
from fairlead.serving import LoggedRows
from fairlead.store import Journal, Store

Counts = NDArray[np.int64]
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
        cells.name: _array(cells, rows.features[cells.name])
        for cells in kept.reference.columns
        if cells.name in rows.features
    }
    result = rows.results.get("probability", rows.results.get("prediction"))
    if result is not None and not (len(result) and isinstance(result[0], list)):
        columns[kept.reference.prediction.name + "\0"] = _array(kept.reference.prediction, result)
    return columns


def _array(cells: Cells, values: Sequence[Any]) -> Any:
    return np.array(values, dtype=np.float64) if cells.numeric else pa.array(values)


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
    """Add counts to the hours' rows; hours that were counted for another reference begin anew."""
    if not found:
        return
    table = monitoring_cells.c
    hours = [hour for _, hour in found]
    query = select(table.version, table.hour, table.reference, table.rows, table.counts).where(
        table.endpoint == endpoint, table.version.in_({version for version, _ in found}),
        table.hour >= min(hours), table.hour <= max(hours),
    )  # fmt: skip
    was = {(row.version, row.hour): row for row in journal.connection.execute(query)}
    new, changed = [], []
    for (version, hour), one in sorted(found.items()):
        old = was.get((version, hour))
        rows, counts = one.rows, one.counts
        if old is not None and old.reference == one.reference:
            rows, counts = rows + old.rows, counts + unpacked([old.counts], counts.size)
        values = {"reference": one.reference, "rows": rows, "counts": packed(counts)}
        if old is None:
            new.append({"endpoint": endpoint, "version": version, "hour": hour, **values})
        else:
            changed.append({"e": endpoint, "v": version, "h": hour, **values})
    if new:
        journal.execute(insert(monitoring_cells), new)
    if changed:
        journal.execute(_UPDATE, changed)


_UPDATE = update(monitoring_cells).where(
    monitoring_cells.c.endpoint == bindparam("e"), monitoring_cells.c.version == bindparam("v"),
    monitoring_cells.c.hour == bindparam("h"),
).values(reference=bindparam("reference"), rows=bindparam("rows"), counts=bindparam("counts"))  # fmt: skip


def packed(counts: Counts) -> bytes:
    """Return counts as bytes: most cells of an hour are empty, so only the others are kept, and compressed."""
    places = np.flatnonzero(counts)
    return zlib.compress(np.concatenate((places, counts[places])).astype("<i8").tobytes(), _LEVEL)


def unpacked(blobs: Iterable[bytes], size: int) -> Counts:
    """Return the sum of packed counts."""
    total = np.zeros(size, np.int64)
    for blob in blobs:
        places, counts = np.frombuffer(zlib.decompress(blob), "<i8").reshape(2, -1)
        total[places] += counts  # each place stands once
    return total
