"""Describe the columns of a table: nulls, extremes, mean, quantiles, a histogram or the most frequent values."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data.records import ColumnProfile, Profile

BINS = 40
THREADS = 4
TOP = 20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_NUMERIC = frozenset({"float", "int"})
_TIMES = frozenset({"time", "event_time"})
_COUNTED = frozenset({"category", "bool"})


def profile_table(
    table: pa.Table, kinds: Mapping[str, str], *, bins: int = BINS, top: int = TOP, identity: Sequence[str] = ()
) -> Profile:
    """Describe each column named in ``kinds``, in that order.

    A kind is one of a contract's: ``float``, ``int``, ``bool``, ``category``, ``text``, ``key``, ``time`` or
    ``event_time``. ``bins`` is the number of histogram cells, ``top`` how many of the most frequent categories are
    named. ``identity`` names the columns that should be unique together; the profile counts the rows that repeat them.
    """
    columns = {name: _whole(table.column(name)) for name in kinds}
    # Sorting and counting are NumPy's and Arrow's work, which other threads need not wait for.
    with ThreadPoolExecutor(THREADS) as pool:
        profiles = tuple(pool.map(lambda name: _profile(name, kinds[name], columns[name], bins=bins, top=top), columns))
    unique = {profile.name for profile in profiles if profile.distinct == table.num_rows}
    repeated = [] if unique.intersection(identity) else [_whole(table.column(name)) for name in identity]
    return Profile(rows=table.num_rows, columns=profiles, duplicates=_duplicates(repeated, table.num_rows))


def _profile(name: str, kind: str, array: pa.Array, *, bins: int, top: int) -> ColumnProfile:
    if kind in _NUMERIC:
        values = array.drop_null().cast(pa.float64(), safe=False).to_numpy()
        found = _of_numbers(name, kind, values[~np.isnan(values)], rows=len(array), bins=bins)
        is_large = found.min is not None and found.max is not None and max(-found.min, found.max) >= 2**53
        return _exact(found, array) if kind == "int" and is_large else found
    if kind in _TIMES:
        seconds = array.drop_null().cast(pa.int64()).to_numpy() / 1e6
        return _of_numbers(name, kind, seconds, rows=len(array), bins=bins)
    rows, nulls = len(array), array.null_count
    if kind not in _COUNTED:
        return ColumnProfile(name=name, kind=kind, rows=rows, nulls=nulls, distinct=_distinct(array))
    counted = pc.value_counts(array.drop_null())
    values, counts = counted.field("values").cast(pa.string()).to_pylist(), counted.field("counts").to_pylist()
    frequent = sorted(zip(values, counts, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return ColumnProfile(
        name=name, kind=kind, rows=rows, nulls=nulls, distinct=len(frequent), top=tuple(frequent[:top])
    )


def _exact(found: ColumnProfile, array: pa.Array) -> ColumnProfile:
    """Return a profile with whole numbers as they are: beyond 2**53 several of them are one float."""
    ordered = np.sort(array.drop_null().to_numpy())
    quantiles: dict[str, int | float] = {f"{q:g}": int(ordered[_rank(q, len(ordered))]) for q in QUANTILES}
    return msgspec.structs.replace(
        found, distinct=_distinct(array), min=int(ordered[0]), max=int(ordered[-1]), quantiles=quantiles
    )


def _rank(q: float, n: int) -> int:
    return round(q * (n - 1))


def _of_numbers(name: str, kind: str, values: np.ndarray, *, rows: int, bins: int) -> ColumnProfile:
    nulls = rows - len(values)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ColumnProfile(name=name, kind=kind, rows=rows, nulls=nulls, distinct=0)
    ordered = np.sort(finite)
    low, high = float(ordered[0]), float(ordered[-1])
    # The range of two numbers near 1e308, and the square of one, are infinite: measure them in larger units.
    unit = 2.0**600 if max(-low, high) > 1e150 else 1.0
    edges = np.linspace(low / unit, high / unit, bins + 1) * unit if high > low else np.array([low, high])
    edges[0], edges[-1] = low, high
    # Sorted values make cells and distinct counts cheap: one search for each edge instead of one for each value.
    below = np.searchsorted(ordered, edges[1:-1], side="left")
    counts = np.diff(np.concatenate(([0], below, [len(ordered)])))
    return ColumnProfile(
        name=name,
        kind=kind,
        rows=rows,
        nulls=nulls,
        distinct=int(1 + np.count_nonzero(np.diff(ordered))),
        min=low,
        max=high,
        mean=float((ordered / unit).mean() * unit),
        std=float((ordered / unit).std() * unit),
        quantiles={f"{q:g}": float(ordered[_rank(q, len(ordered))]) for q in QUANTILES},
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
    )


def _duplicates(columns: list[pa.Array], rows: int) -> int:
    """Count the rows that repeat an earlier one in all columns."""
    if not columns or not rows:
        return 0
    codes = np.zeros(rows, dtype=np.int64)
    for array in columns:
        encoded = array.dictionary_encode(null_encoding="encode")
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy()
        _, codes = np.unique(codes, return_inverse=True)
    return rows - (int(codes.max()) + 1)


def _distinct(array: pa.Array) -> int:
    return int(pc.count_distinct(array).as_py())


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        return pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    return whole
