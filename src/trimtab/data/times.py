"""Read columns as moments in UTC, in microseconds, from the year 1 to 9999."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data.conformed import Conformed, cast_at_once, each_distinct, marked, mask, trimmed

TIME = pa.timestamp("us", tz="UTC")

_ISO = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}(:\d{2}(:\d{2}(\.\d{1,9})?)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
_OFFSET = r"[ T].*(Z|[+-]\d{2}(:?\d{2})?)$"
_YEAR_1_US = -62_135_596_800_000_000
_YEAR_9999_US = 253_402_300_799_999_999


class SeveralZones(ValueError):
    """The times of a column name no single zone; the text says how."""


def refuse_mixed_zones(parts: Iterable[pa.Array]) -> None:
    """Raise ``SeveralZones`` for the parts of one column when some of their times name a zone and others do not."""
    zoned = bare = 0
    for part in parts:
        if part.type == pa.string():
            iso = pc.match_substring_regex(part, _ISO)
            with_zone = pc.and_(iso, pc.match_substring_regex(part, _OFFSET))
            zoned += pc.sum(with_zone).as_py() or 0
            bare += pc.sum(pc.and_not(iso, with_zone)).as_py() or 0
        elif pa.types.is_timestamp(part.type) and part.type.tz:
            zoned += len(part) - part.null_count
        elif pa.types.is_timestamp(part.type) or pa.types.is_date(part.type):
            bare += len(part) - part.null_count
    if zoned and bare:
        raise SeveralZones(f"has {zoned} times with a zone and {bare} without one")


def times(array: pa.Array) -> Conformed | None:
    """Return moments; None for a column of another kind. Raises ``SeveralZones``."""
    if array.type == pa.string():
        return _times_at_once(array) or _times_in(trimmed(array))
    if not (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)):
        return None
    given = array
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    zone = array.type.tz
    if zone not in (None, "UTC") and not _zone_exists(zone):
        raise SeveralZones(f"is in the time zone {zone!r}, which does not exist")
    if array.type.unit == "ns":  # Arrow's own way fails at both ends of the range of nanoseconds
        micros = pa.array(array.cast(pa.int64()).fill_null(0).to_numpy() // 1_000).cast(pa.timestamp("us", tz=zone))
        array = pc.if_else(array.is_valid(), micros, None)
    instants = array
    if array.type.unit in ("s", "ms"):  # what is beyond the range of microseconds would come out as another moment
        most, numbers = _YEAR_9999_US // 1_000, array.cast(pa.int64())
        instants = pc.if_else(pc.and_(pc.less_equal(numbers, most), pc.greater(numbers, -most)), array, None)
        instants = instants.cast(pa.timestamp("us", tz=zone), safe=False)
        far = mask(array.is_valid()) & (mask(instants.is_null()) | _beyond(instants))
    else:
        instants = instants.cast(pa.timestamp("us", tz=zone))
        far = _beyond(instants)
    return marked(instants.cast(TIME), far, given.cast(pa.string())) if far.any() else Conformed(instants.cast(TIME))


def _beyond(instants: pa.Array) -> np.ndarray:
    # Python, Parquet readers and people all stop at the year 9999; beyond it lie only markers for "never".
    values = instants.cast(pa.int64())
    return mask(pc.or_(pc.less(values, _YEAR_1_US), pc.greater(values, _YEAR_9999_US)))


def _times_at_once(text: pa.Array) -> Conformed | None:
    for kind in (pa.timestamp("us"), TIME):
        values = cast_at_once(text, kind)
        if values is not None and not _beyond(values).any():
            return Conformed(values.cast(TIME))
    return None


def _times_in(text: pa.Array) -> Conformed:
    iso = pc.match_substring_regex(text, _ISO)
    refuse_mixed_zones([text])
    usable = pc.if_else(iso, text, None)
    with_zone = pc.any(pc.match_substring_regex(usable, _OFFSET)).as_py()
    # Arrow reads a fraction of up to nine digits only into nanoseconds, whose range is too small: cut it first.
    usable = pc.replace_substring_regex(usable, r"(\.\d{6})\d+", r"\1")
    kind = TIME if with_zone else pa.timestamp("us")
    try:
        values = usable.cast(kind).cast(TIME)
    except pa.ArrowInvalid:  # the right form, but no such day: 2013-02-30
        values = each_distinct(usable, lambda one: _micros_of(one, kind), pa.int64()).cast(TIME)
    return marked(values, mask(values.is_null()) | _beyond(values), text)


def _micros_of(text: str, kind: pa.DataType) -> int | None:
    try:
        found: int = pa.array([text]).cast(kind).cast(pa.int64())[0].as_py()
    except pa.ArrowInvalid:
        return None
    return found


def _zone_exists(zone: str) -> bool:
    try:
        pc.hour(pa.array([0], pa.timestamp("us", tz=zone)))
    except pa.ArrowInvalid:
        return False
    return True
