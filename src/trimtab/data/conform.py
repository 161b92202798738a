"""Bring one column to the type that its field promises, and say which of its values cannot be brought there.

Accepted for each kind: text and keys take text (keys of integers, integers); categories also whole numbers and
booleans, as text; floats any number, integers any whole number; booleans also 0 and 1; times any timestamp, date or ISO
8601 text. Text that reads as the promised kind counts as it; empty text counts as missing wherever text is not
promised. NaN is missing. A time without a zone is UTC, another zone is converted, and parts finer than a microsecond
are cut off.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data.errors import MixedTimeZones, WrongType
from trimtab.declare import ContractSpec, FieldKind, FieldSpec

TIME = pa.timestamp("us", tz="UTC")

_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_WHOLE = r"^\s*[-+]?\d{1,18}\s*$"
_ISO = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?(\d{2})?)?)?$"
_OFFSET = r"\d{2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)$"
_YEAR_1_US = -62_135_596_800_000_000
_YEAR_9999_US = 253_402_300_799_999_999


class Conformed(NamedTuple):
    """A column of the promised type. ``wrong`` marks values that it cannot hold (now null), ``given`` has them."""

    array: pa.Array
    wrong: np.ndarray | None = None
    given: pa.Array | None = None


def arrow_type(field: FieldSpec) -> pa.DataType:
    """Return the type in which a field is kept."""
    match field.kind:
        case FieldKind.FLOAT:
            return pa.float64()
        case FieldKind.INT:
            return pa.int64()
        case FieldKind.BOOL:
            return pa.bool_()
        case FieldKind.EVENT_TIME | FieldKind.TIME:
            return TIME
        case FieldKind.KEY:
            return pa.int64() if field.value_type == "int" else pa.string()
        case _:
            return pa.string()


def conform(contract: ContractSpec, field: FieldSpec, column: pa.ChunkedArray | pa.Array) -> Conformed:
    """Return a column in the type of its field. Raises ``WrongType`` or ``MixedTimeZones`` when none of it fits."""
    target = arrow_type(field)
    array = _plain(column)
    if array.type == pa.string():
        _refuse_no_text(array, contract, field)
    if array.type == target and not pa.types.is_floating(target) and not pa.types.is_timestamp(target):
        return Conformed(array)
    if pa.types.is_null(array.type):
        return Conformed(pa.nulls(len(array), target))
    if target == TIME:
        result = _times(array, contract, field)
    elif target == pa.float64():
        result = _floats(array)
    elif target == pa.int64():
        result = _integers(array)
    elif target == pa.bool_():
        result = _booleans(array)
    else:
        result = _texts(array, field)
    if result is None or (result.wrong is not None and result.array.null_count == len(array)):
        raise _wrong_type(array, contract, field)
    return result


def place(contract: ContractSpec, field: FieldSpec | None = None) -> str:
    """Return where a contract, or one of its fields, was declared: ``flights.py:31 contract Flight.dep_delay``."""
    name = f"contract {contract.name}" + (f".{field.name}" if field else "")
    declared = (field.where if field else "") or contract.where
    return f"{declared} {name}".strip()


def promised(field: FieldSpec) -> str:
    """Return in words what kind of value a field holds."""
    match arrow_type(field):
        case kind if kind == pa.float64():
            return "a number"
        case kind if kind == pa.int64():
            return "a whole number"
        case kind if kind == pa.bool_():
            return "true or false"
        case kind if kind == TIME:
            return "a time"
        case _:
            return "text"


def _plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # older Arrow gives chunks back for an empty column
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if pa.types.is_dictionary(array.type):
        # Polars gives the texts of its categories in a form that Arrow can cast and not take from.
        array = pa.DictionaryArray.from_arrays(array.indices, _as_string(array.dictionary)).dictionary_decode()
    return _as_string(array)


def _as_string(array: pa.Array) -> pa.Array:
    return array.cast(pa.string()) if array.type in (pa.large_string(), pa.string_view()) else array


def _texts(array: pa.Array, field: FieldSpec) -> Conformed | None:
    counted = pa.types.is_integer(array.type) or pa.types.is_boolean(array.type)
    if counted and field.kind is FieldKind.CATEGORY:
        return Conformed(array.cast(pa.string()))
    return Conformed(array) if array.type == pa.string() else None


def _floats(array: pa.Array) -> Conformed | None:
    if array.type == pa.string():
        return _read_text(array, _NUMBER, pa.float64())
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type) or pa.types.is_decimal(array.type)):
        return None
    return Conformed(_nan_to_null(array.cast(pa.float64(), safe=False)))


def _integers(array: pa.Array) -> Conformed | None:
    if array.type == pa.string():
        return _read_text(array, _WHOLE, pa.int64())
    if pa.types.is_signed_integer(array.type):
        return Conformed(array.cast(pa.int64()))
    if pa.types.is_unsigned_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type):
        numbers = _nan_to_null(array.cast(pa.float64(), safe=False))
        values = numbers.fill_null(0.0).to_numpy()
        wrong = ~((values == np.floor(values)) & (np.abs(values) <= 2.0**53))
        whole = np.where(wrong, 0.0, values).astype(np.int64)
        return _marked(pa.array(whole), wrong, numbers)
    return None


def _booleans(array: pa.Array) -> Conformed | None:
    if array.type == pa.string():
        lowered = pc.utf8_lower(pc.utf8_trim_whitespace(array))
        empty = pc.equal(lowered, "")
        given = pc.if_else(empty, None, array)
        wrong = _mask(pc.and_not(pc.invert(pc.is_in(lowered, pa.array(["true", "false"]))), empty), array)
        return _marked(pc.equal(lowered, "true"), wrong, given)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        numbers = _nan_to_null(array.cast(pa.float64(), safe=False))
        values = numbers.fill_null(0.0).to_numpy()
        return _marked(pa.array(values == 1.0), (values != 0.0) & (values != 1.0), numbers)
    return None


def _times(array: pa.Array, contract: ContractSpec, field: FieldSpec) -> Conformed | None:
    if array.type == pa.string():
        return _read_times(array, contract, field)
    if not (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)):
        return None
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    zone = array.type.tz
    if zone not in (None, "UTC") and not _zone_exists(zone):
        raise MixedTimeZones(
            f"{field.name} is in the time zone {zone!r}, which does not exist",
            where=place(contract, field), column=field.name,
        )  # fmt: skip
    instants = pc.floor_temporal(array, unit="microsecond") if array.type.unit == "ns" else array
    try:
        instants = instants.cast(pa.timestamp("us", tz=zone)).cast(TIME)
    except pa.ArrowInvalid:  # seconds or milliseconds beyond the range of microseconds
        in_range = pc.less(pc.abs(array.cast(pa.int64())), _YEAR_9999_US // 1_000)
        instants = pc.if_else(in_range, array, None).cast(pa.timestamp("us", tz=zone), safe=False).cast(TIME)
        return _bounded(instants, array, already_wrong=_mask(pc.invert(in_range), array))
    return _bounded(instants, array)


def _bounded(instants: pa.Array, given: pa.Array, *, already_wrong: np.ndarray | None = None) -> Conformed:
    # Python, Parquet readers and people all stop at the year 9999; beyond it lie only markers for "never".
    values = instants.cast(pa.int64())
    low_high = pc.min_max(values).as_py()
    beyond = low_high["min"] is not None and (low_high["min"] < _YEAR_1_US or low_high["max"] > _YEAR_9999_US)
    if not beyond and already_wrong is None:
        return Conformed(instants)
    wrong = _mask(pc.or_(pc.less(values, _YEAR_1_US), pc.greater(values, _YEAR_9999_US)), values)
    if already_wrong is not None:
        wrong |= already_wrong
    return _marked(instants, wrong, given.cast(pa.int64()))


def _read_times(array: pa.Array, contract: ContractSpec, field: FieldSpec) -> Conformed:
    text = pc.utf8_trim_whitespace(array)
    text = pc.if_else(pc.equal(text, ""), None, text)
    iso = pc.match_substring_regex(text, _ISO)
    zoned = pc.match_substring_regex(text, _OFFSET)
    usable = pc.if_else(iso, text, None)
    with_zone = pc.sum(pc.and_(iso, zoned)).as_py() or 0
    without = pc.sum(pc.and_not(iso, zoned)).as_py() or 0
    if with_zone and without:
        raise MixedTimeZones(
            f"{field.name} has {with_zone} times with a zone and {without} without one",
            where=place(contract, field), column=field.name,
        )  # fmt: skip
    # Arrow reads a fraction of up to nine digits only into nanoseconds, whose range is too small: cut it first.
    usable = pc.replace_substring_regex(usable, r"(\.\d{6})\d+", r"\1")
    kind = TIME if with_zone else pa.timestamp("us")
    try:
        return _marked(usable.cast(kind).cast(TIME), _mask(pc.invert(iso), text), text)
    except pa.ArrowInvalid:  # the right form, but no such day: 2013-02-30
        values = _each_distinct(usable, lambda one: pa.array([one]).cast(kind).cast(TIME)[0].as_py())
        unread = np.asarray(values.is_null()) & np.asarray(text.is_valid())
        return _marked(values, unread, text)


def _each_distinct(array: pa.Array, read: object) -> pa.Array:
    assert callable(read)
    coded = array.dictionary_encode()
    found = []
    for text in coded.dictionary.to_pylist():
        try:
            found.append(read(text))
        except pa.ArrowInvalid:
            found.append(None)
    return pa.array(found, TIME).take(coded.indices)


def _read_text(array: pa.Array, pattern: str, target: pa.DataType) -> Conformed:
    text = pc.utf8_trim_whitespace(array)
    text = pc.if_else(pc.or_(pc.equal(text, ""), pc.equal(pc.utf8_lower(text), "nan")), None, text)
    reads = pc.match_substring_regex(text, pattern)
    unsigned = pc.replace_substring_regex(pc.if_else(reads, text, None), r"^\+", "")
    return _marked(unsigned.cast(target), _mask(pc.invert(reads), text), text)


def _marked(array: pa.Array, wrong: np.ndarray, given: pa.Array) -> Conformed:
    wrong = wrong & np.asarray(given.is_valid())
    keep = pa.array(~wrong & np.asarray(given.is_valid()))
    array = pc.if_else(keep, array, pa.scalar(None, array.type))
    return Conformed(array, wrong, given) if wrong.any() else Conformed(array)


def _mask(condition: pa.Array, like: pa.Array) -> np.ndarray:
    assert len(condition) == len(like)
    return np.array(condition.fill_null(False))


def _nan_to_null(numbers: pa.Array) -> pa.Array:
    is_nan = pc.is_nan(numbers)
    return pc.if_else(is_nan, None, numbers) if pc.any(is_nan).as_py() else numbers


def _refuse_no_text(array: pa.Array, contract: ContractSpec, field: FieldSpec) -> None:
    """Raise ``WrongType`` for texts that are no UTF-8: Arrow takes them from others on trust, and no reader can."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raise WrongType(
            f"{field.name} holds texts that are not UTF-8",
            where=place(contract, field),
            why="Bytes in another encoding can be neither shown nor compared.",
            next=f"read {field.name} with its own encoding in the source",
            column=field.name,
        ) from None


def _zone_exists(zone: str) -> bool:
    try:
        pc.hour(pa.array([0], pa.timestamp("us", tz=zone)))
    except pa.ArrowInvalid:
        return False
    return True


def _wrong_type(array: pa.Array, contract: ContractSpec, field: FieldSpec) -> WrongType:
    example = next((value for value in array.drop_null()[:1].to_pylist()), None)
    shown = repr(example) if not isinstance(example, str) else f"'{example[:40]}'"
    hint = (
        f"declare {field.name} as tt.Key[int]"
        if field.kind is FieldKind.KEY and pa.types.is_integer(array.type)
        else f"convert {field.name} in the source, or declare it as what it is"
    )
    return WrongType(
        f"{field.name} holds {kind_in_words(array.type)} such as {shown}, promised {promised(field)}",
        where=place(contract, field),
        why="No value of the column can be read as promised, so it is another column or another unit.",
        next=hint,
        column=field.name,
    )


def kind_in_words(kind: pa.DataType) -> str:
    """Name an Arrow type in the words of a person."""
    if kind == pa.string():
        return "text"
    if pa.types.is_boolean(kind):
        return "true and false"
    if pa.types.is_integer(kind):
        return "whole numbers"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numbers"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "times"
    return f"values of type {kind}"
