"""What the online store keeps for one key of one part, and how it is read at a moment and merged with newer facts.

A *lookup* cell holds the versions that were newest when they became known: later entries became known later and
happened no earlier. A *tail* cell holds, for each field, the times at which values became known with exact running
sums, so that any window is two binary searches and a difference.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import msgspec

from trimtab.features.exact import deviation_of, sum_of
from trimtab.features.records import Tail, TailField

SUM_BYTES = 16
SQUARE_BYTES = 32
_HEADER = struct.Struct("<4sI")


class Version(msgspec.Struct, frozen=True, order=True):
    """A fact of a lookup: when it became known, when it happened, which row it was, and its packed fields."""

    known: int
    event: int
    row: int
    data: bytes


class Values(msgspec.Struct, frozen=True):
    """The values of one field of a tail, in the order in which they became known; ``units`` are those of ``exact``."""

    known: list[int]
    units: list[int]
    floats: list[float]


# --- lookups -------------------------------------------------------------------------------------------------------


def newest_only(versions: Iterable[Version], *, keep_from: int | None) -> list[Version]:
    """Return the versions that are newest at some moment from ``keep_from`` on (None: at any moment), in order.

    The same whatever the order of the given ones: a fact that arrives late takes the place that it always had.
    """
    chain: list[Version] = []
    for version in sorted(versions):
        if chain and version.event < chain[-1].event:
            continue
        if chain and chain[-1].known == version.known:
            chain.pop()
        chain.append(version)
    if keep_from is not None:
        first = bisect_right(chain, keep_from, key=lambda version: version.known) - 1
        chain = chain[max(first, 0) :]
    return chain


def pack_versions(versions: Sequence[Version], schema: bytes) -> bytes:
    """Write a lookup cell."""
    count = len(versions)
    numbers = [getattr(version, name) for name in ("known", "event", "row") for version in versions]
    ends = accumulate(len(version.data) for version in versions)
    head = _HEADER.pack(schema, count) + struct.pack(f"<{3 * count}q", *numbers) + struct.pack(f"<{count}I", *ends)
    return head + b"".join(version.data for version in versions)


def unpack_versions(cell: bytes) -> list[Version]:
    """Read a whole lookup cell, to merge it."""
    _, count = _HEADER.unpack_from(cell)
    numbers = struct.unpack_from(f"<{3 * count}q", cell, 8)
    ends = (0, *struct.unpack_from(f"<{count}I", cell, 8 + 24 * count))
    data = cell[8 + 28 * count :]
    return [
        Version(known, event, row, data[start:end])
        for known, event, row, (start, end) in zip(
            numbers[:count], numbers[count : 2 * count], numbers[2 * count :], pairwise(ends), strict=True
        )
    ]


def newest_at(cell: bytes, moment: int) -> tuple[int, int] | None:
    """Return the event time of the newest version known at a moment and where its packed fields begin, or None."""
    count = int.from_bytes(cell[4:8], "little")
    place = bisect_right(memoryview(cell)[8 : 8 + 8 * count].cast("q"), moment) - 1
    if place < 0:
        return None
    (event,) = _LONG.unpack_from(cell, 8 + 8 * (count + place))
    start = _INT.unpack_from(cell, 8 + 24 * count + 4 * (place - 1))[0] if place else 0
    return event, 8 + 28 * count + start


_LONG = struct.Struct("<q")
_INT = struct.Struct("<I")


# --- tails ---------------------------------------------------------------------------------------------------------


def pack_tail(tail: Tail, fields: Sequence[Values], schema: bytes) -> bytes:
    """Write a tail cell; ``fields`` are in the tail's order, each in the order of its known times."""
    parts = [schema, struct.pack(f"<{len(fields)}I", *(len(values.known) for values in fields))]
    for field, values in zip(tail.fields, fields, strict=True):
        parts.append(struct.pack(f"<{len(values.known)}q", *values.known))
        if field.sums:
            parts += [n.to_bytes(SUM_BYTES, "little", signed=True) for n in accumulate(values.units, initial=0)]
        if field.squares:
            squares = accumulate((n * n for n in values.units), initial=0)
            parts += [n.to_bytes(SQUARE_BYTES, "little") for n in squares]
        if field.extremes:
            parts.append(struct.pack(f"<{len(values.floats)}d", *values.floats))
    return b"".join(parts)


def unpack_tail(tail: Tail, cell: bytes) -> list[Values]:
    """Read a whole tail cell, to merge it."""
    found = []
    for field, section in zip(tail.fields, sections_of(tail, cell), strict=True):
        running = [section.sum_until(i) for i in range(section.count + 1)] if field.sums else []
        found.append(
            Values(
                known=list(section.times),
                units=[after - before for before, after in pairwise(running)],
                floats=list(section.floats) if field.extremes else [],
            )
        )
    return found


def merge_values(field: TailField, old: Values, new: Values, *, keep_from: int | None) -> Values:
    """Return both sets of values in the order of their known times, without those before ``keep_from``."""
    known = old.known + new.known
    order = sorted(range(len(known)), key=known.__getitem__)
    if keep_from is not None:
        order = [i for i in order if known[i] > keep_from - field.longest_us]
    units, floats = old.units + new.units, old.floats + new.floats
    return Values(
        known=[known[i] for i in order],
        units=[units[i] for i in order] if field.sums else [],
        floats=[floats[i] for i in order] if field.extremes else [],
    )


class Section:
    """One field of a tail cell, read in place."""

    def __init__(self, field: TailField, cell: bytes, *, start: int, count: int) -> None:
        self.count = count
        self._cell = cell
        view = memoryview(cell)
        at = start + 8 * count
        self.times = view[start:at].cast("q")
        self._sums = at
        at += SUM_BYTES * (count + 1) * field.sums
        self._squares = at
        at += SQUARE_BYTES * (count + 1) * field.squares
        self.end = at + 8 * count * field.extremes
        self.floats = view[at : self.end].cast("d")

    def sum_until(self, place: int) -> int:
        at = self._sums + SUM_BYTES * place
        return int.from_bytes(self._cell[at : at + SUM_BYTES], "little", signed=True)

    def squares_until(self, place: int) -> int:
        at = self._squares + SQUARE_BYTES * place
        return int.from_bytes(self._cell[at : at + SQUARE_BYTES], "little")

    def aggregate(self, function: str, *, over_us: int, moment: int) -> tuple[float | int | None, int | None]:
        """Return the aggregate of a window that ends at a moment, and when its newest value became known."""
        end = bisect_right(self.times, moment)
        start = bisect_right(self.times, moment - over_us, 0, end)
        count = end - start
        if count == 0:
            return (0 if function == "count" else None), None
        value: float | int | None
        match function:
            case "count":
                value = count
            case "sum" | "mean":
                value = sum_of(self.sum_until(end) - self.sum_until(start))
                value = value / count if function == "mean" else value
            case "min":
                value = min(self.floats[start:end])
            case "max":
                value = max(self.floats[start:end])
            case _:
                units = self.sum_until(end) - self.sum_until(start)
                value = deviation_of(count, units, self.squares_until(end) - self.squares_until(start))
        return value, self.times[end - 1]


def sections_of(tail: Tail, cell: bytes) -> list[Section]:
    """Return the fields of a tail cell, to be read in place."""
    count = len(tail.fields)
    found, start = [], 4 + 4 * count
    for field, length in zip(tail.fields, struct.unpack_from(f"<{count}I", cell, 4), strict=True):
        section = Section(field, cell, start=start, count=length)
        found.append(section)
        start = section.end
    return found
