"""Turn tables of facts into the cells of the online store: reduced per key with NumPy, merged with what is there."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from trimtab.features.cells import (
    Values,
    Version,
    merge_values,
    newest_only,
    pack_tail,
    pack_versions,
    unpack_tail,
    unpack_versions,
)
from trimtab.features.exact import FRACTION_BITS, limbs_of
from trimtab.features.keys import shared_codes
from trimtab.features.packing import RowLayout, key_of
from trimtab.features.reading import lookup_layout, row_fields, schema_of, width_of
from trimtab.features.records import CompiledView, Lookup, Tail, TailField
from trimtab.features.rows import Ints, Mask, Rows
from trimtab.features.training import values_of

_NEVER = -(2**63)
_NOTHING = Values([], [], [])


class Facts:
    """Some rows of a contract: those in ``mask``, each with its number in the whole, which decides ties."""

    def __init__(self, rows: Rows, mask: Mask, *, first_row: int = 0) -> None:
        # A year's table gains a few rows at a time: all that follows is done for those alone.
        self.rows = rows.where(mask)
        self.numbers: Ints = np.flatnonzero(mask) + first_row


def write_lookup(
    connection: sqlite3.Connection,
    part: int,
    compiled: CompiledView,
    lookup: Lookup,
    facts: Facts,
    *,
    keep_from: int | None,
) -> None:
    """Merge facts into the cells of a lookup."""
    schema, layout = lookup_layout(compiled, lookup)
    for key, versions in _versions(lookup, layout, facts, keep_from):
        old = _cell(connection, part, key)
        merged = versions if old is None else newest_only([*unpack_versions(old), *versions], keep_from=keep_from)
        _put(connection, part, key, pack_versions(merged, schema))


def write_tail(connection: sqlite3.Connection, part: int, tail: Tail, facts: Facts, *, keep_from: int | None) -> None:
    """Merge facts into the cells of a tail."""
    schema = schema_of(tail)
    found: dict[bytes, list[Values]] = {}
    for number, field in enumerate(tail.fields):
        for key, values in _tail_values(tail, field, facts, keep_from):
            found.setdefault(key, [_NOTHING] * len(tail.fields))[number] = values
    for key, fields in found.items():
        old = _cell(connection, part, key)
        before = [_NOTHING] * len(fields) if old is None else unpack_tail(tail, old)
        pairs = zip(tail.fields, before, fields, strict=True)
        merged = [merge_values(field, old, new, keep_from=keep_from) for field, old, new in pairs]
        _put(connection, part, key, pack_tail(tail, merged, schema))


def write_rows(connection: sqlite3.Connection, part: int, compiled: CompiledView, facts: Facts) -> int:
    """Store rows of the view's own contract by key; of two with one key the later event wins, then the later row.

    Rows without a key are left out. Returns how many were offered.
    """
    present = np.ones(facts.rows.count, np.bool_)
    for name in compiled.view.of.keys:
        present &= facts.rows.values(name).is_valid().to_numpy(zero_copy_only=False)
    rows, numbers = facts.rows.where(present), facts.numbers[present].tolist()
    fields = row_fields(compiled)
    packed = RowLayout([width_of(field) for field in fields]).pack([rows.values(field.name) for field in fields])
    keys = map(key_of, zip(*(rows.values(name).to_pylist() for name in compiled.view.of.keys), strict=True))
    event, happened = rows.times(compiled.view.of.event_time)
    events = np.where(happened, event, _NEVER).tolist()
    connection.executemany(
        "INSERT INTO rows (part, key, event, number, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT (part, key) "
        "DO UPDATE SET event = excluded.event, number = excluded.number, data = excluded.data "
        "WHERE (excluded.event, excluded.number) >= (rows.event, rows.number)",
        ((part, *row) for row in zip(keys, events, numbers, packed, strict=True)),
    )
    return rows.count


def _versions(
    lookup: Lookup, layout: RowLayout, facts: Facts, keep_from: int | None
) -> Iterator[tuple[bytes, list[Version]]]:
    rows = facts.rows
    known, valid = rows.times(lookup.known)
    event, happened = rows.times(rows.contract.event_time)
    codes, _, _ = shared_codes(rows, rows, lookup.by)
    chosen = np.flatnonzero(valid & happened & (codes >= 0))
    codes, known, event = codes[chosen], known[chosen], event[chosen]
    order = np.lexsort((chosen, event, known, codes))
    kept = order[_newest_only(codes[order], known[order], event[order], keep_from)]
    picked = pa.array(chosen[kept])
    packed = layout.pack([rows.values(name).take(picked) for name in lookup.fields])
    numbers = (known[kept].tolist(), event[kept].tolist(), facts.numbers[chosen[kept]].tolist(), packed)
    versions = [Version(*fact) for fact in zip(*numbers, strict=True)]
    for key, start, end in _groups(rows, lookup.by, codes[kept], chosen[kept]):
        yield key, versions[start:end]


def _newest_only(codes: Ints, known: Ints, event: Ints, keep_from: int | None) -> Ints:
    """Return the places of facts that are newest at some moment, as ``newest_only``; sorted by key, known, event."""
    rank = np.unique(event, return_inverse=True)[1]
    height = codes * (int(rank.max(initial=0)) + 1) + rank
    newest = height == np.maximum.accumulate(height)
    last = np.append((codes[1:] != codes[:-1]) | (known[1:] != known[:-1]), True)[: len(codes)]
    places = np.flatnonzero(newest & last)
    if keep_from is not None and len(places):
        following = np.append(places[1:], 0)
        followed = np.append(codes[places[1:]] == codes[places[:-1]], False)
        places = places[~(followed & (known[following] <= keep_from))]
    return places


def _tail_values(tail: Tail, field: TailField, facts: Facts, keep_from: int | None) -> Iterator[tuple[bytes, Values]]:
    rows = facts.rows
    known, valid = rows.times(tail.known)
    values, present = values_of(rows, field.field)
    codes, _, _ = shared_codes(rows, rows, tail.by)
    mask = valid & present & (codes >= 0)
    if keep_from is not None:
        mask &= known > keep_from - field.longest_us
    chosen = np.flatnonzero(mask)
    order = chosen[np.lexsort((known[chosen], codes[chosen]))]
    units: list[int] = []
    if field.sums:
        whole, fraction = limbs_of(values[order], where=f"contract {tail.contract}, field {field.field}")
        units = [(w << FRACTION_BITS) + f for w, f in zip(whole.tolist(), fraction.tolist(), strict=True)]
    times = known[order].tolist()
    floats = values[order].tolist() if field.extremes else []
    for key, start, end in _groups(rows, tail.by, codes[order], order):
        yield key, Values(times[start:end], units[start:end], floats[start:end])


def _groups(rows: Rows, by: Sequence[str], codes: Ints, places: Ints) -> Iterator[tuple[bytes, int, int]]:
    """Yield the key of each run of equal codes, and where the run begins and ends; ``places`` are row numbers."""
    if not len(codes):
        return
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    first = pa.array(places[starts])
    columns = [rows.values(name).take(first).to_pylist() for name in by]
    keys: Iterable[tuple[object, ...]] = zip(*columns, strict=True) if by else [()] * len(starts)
    ends = [*starts[1:].tolist(), len(codes)]
    for key, start, end in zip(keys, starts.tolist(), ends, strict=True):
        yield key_of(key), start, end


def _cell(connection: sqlite3.Connection, part: int, key: bytes) -> bytes | None:
    found = connection.execute("SELECT data FROM cells WHERE part = ? AND key = ?", (part, key)).fetchone()
    return None if found is None else found[0]


def _put(connection: sqlite3.Connection, part: int, key: bytes, data: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO cells (part, key, data) VALUES (?, ?, ?)", (part, key, data))


def known_between(rows: Rows, known_column: str, *, after: int | None, until: int) -> Mask:
    """Return which rows became known in ``(after, until]``."""
    known, valid = rows.times(known_column)
    mask: Mask = valid & (known <= until)
    return mask if after is None else mask & (known > after)
