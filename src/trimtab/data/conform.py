"""Bring one column to the type that its field promises, and say which of its values cannot be brought there.

What a value means does not depend on the frame, file or type of column that brought it. Texts, keys and categories take
text, whole numbers, other numbers, booleans and UUIDs, each value by its one text (``values.value_text``); floats any
number; integers any whole number; booleans also 0 and 1 and the words for yes and no; times any timestamp, date or ISO
8601 text. Text that reads as the promised kind counts as it. Blank text is missing in every field, NaN and the words
that programs write for a missing value wherever text is not promised. A time without a zone is UTC, another zone is
converted, and parts finer than a microsecond are cut off.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data.conformed import Conformed, each_distinct, marked, mask
from trimtab.data.errors import MixedTimeZones, WrongType, first_line
from trimtab.data.numbers import booleans, decimal_texts, floats, integers, without_nan
from trimtab.data.times import TIME, SeveralZones, refuse_mixed_zones, times
from trimtab.data.values import shown, value_text
from trimtab.declare import ContractSpec, FieldKind, FieldSpec


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
    try:
        array = _plain(column)
    except pa.ArrowNotImplementedError as error:
        raise WrongType(
            f"{field.name} is of the type {column.type}, which cannot be read",
            where=place(contract, field),
            why=f"Arrow says: {first_line(error)}.",
            next=f"convert {field.name} in the source to a plain column of numbers, texts, times or booleans",
            column=field.name,
        ) from None
    if array.type == pa.string():
        _refuse_no_text(array, contract, field)
    if pa.types.is_null(array.type):
        return Conformed(pa.nulls(len(array), target))
    try:
        result = _each_part(array, target) if pa.types.is_union(array.type) else _brought(array, target)
    except SeveralZones as error:
        raise MixedTimeZones(f"{field.name} {error}", where=place(contract, field), column=field.name) from None
    if result is None or (result.wrong is not None and result.array.null_count == len(array)):
        raise _wrong_type(array, contract, field)
    return result


def _brought(array: pa.Array, target: pa.DataType) -> Conformed | None:
    """Return a column in a type; None when its kind has nothing to do with it, unless it holds no value at all."""
    found = _read_as(array, target)
    if found is None and pc.all(pc.is_null(array, nan_is_null=True), min_count=0).as_py():
        return Conformed(pa.nulls(len(array), target))
    return found


def _read_as(array: pa.Array, target: pa.DataType) -> Conformed | None:
    if target == TIME:
        return times(array)
    if target == pa.float64():
        return floats(array)
    if target == pa.string():
        return _texts(array)
    if array.type == target:
        return Conformed(array)
    return integers(array) if target == pa.int64() else booleans(array)


def _each_part(array: pa.UnionArray, target: pa.DataType) -> Conformed:
    """Bring each part of a column of several types by itself, and put the values back in their order."""
    codes, found, order, parts = np.asarray(array.type_codes), [], [], []
    for code in range(array.type.num_fields):
        rows = np.flatnonzero(codes == code)
        inside = np.asarray(array.offsets)[rows] if array.type.mode == "dense" else rows
        parts.append(_plain(array.field(code).take(pa.array(inside))))
        order.append(rows)
    if target == TIME:
        refuse_mixed_zones(parts)
    for part in parts:
        whole = _brought(part, target)
        found.append(whole or marked(pa.nulls(len(part), target), np.ones(len(part), bool), _as_texts(part)))
    back = pa.array(np.argsort(np.concatenate(order), kind="stable"))
    brought = pa.concat_arrays([one.array for one in found]).take(back)
    given = [pa.nulls(len(one.array), pa.string()) if one.given is None else _as_texts(one.given) for one in found]
    wrong = [np.zeros(len(one.array), bool) if one.wrong is None else one.wrong for one in found]
    if not any(one.any() for one in wrong):
        return Conformed(brought)
    return Conformed(brought, np.concatenate(wrong)[np.asarray(back)], pa.concat_arrays(given).take(back))


def _as_texts(array: pa.Array) -> pa.Array:
    return pa.array([None if one is None else shown(_decoded(one)) for one in _listed(array)], pa.string())


def _decoded(value: object) -> object:
    """Return a value that has no text of its own as it was written: in a union such values are bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _listed(array: pa.Array) -> list[object]:
    """Return the values in Python; those that Python has no room for, as Arrow writes them."""
    try:
        return array.to_pylist()  # type: ignore[no-any-return]
    except (OverflowError, ValueError):
        if pa.types.is_timestamp(array.type):  # its zone may not exist
            array = array.cast(pa.timestamp(array.type.unit))
        return array.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]


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
    match getattr(array.type, "extension_name", ""):
        case "arrow.uuid":
            array = pa.array([None if one is None else str(one) for one in array.to_pylist()], pa.string())
        case "arrow.bool8":
            array = array.storage.cast(pa.bool_())
        case "arrow.json":
            array = array.storage
    return _as_string(array)


def _as_string(array: pa.Array) -> pa.Array:
    return array.cast(pa.string()) if array.type in (pa.large_string(), pa.string_view()) else array


def _texts(array: pa.Array) -> Conformed | None:
    if array.type == pa.string():
        blank = pc.equal(pc.utf8_trim_whitespace(array), "")
        return Conformed(pc.if_else(blank, None, array) if pc.any(blank).as_py() else array)
    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        return Conformed(array.cast(pa.string()))
    if pa.types.is_decimal(array.type):
        trimmed = pc.replace_substring_regex(decimal_texts(array), r"(\.\d*?)0+$", r"\1")
        return Conformed(pc.replace_substring_regex(pc.utf8_rtrim(trimmed, "."), "^-0$", "0"))
    if pa.types.is_floating(array.type):
        numbers = without_nan(array.cast(pa.float64()))
        texts = each_distinct(numbers, value_text, pa.string())
        return marked(texts, mask(texts.is_null()), numbers)
    return None


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


def _wrong_type(array: pa.Array, contract: ContractSpec, field: FieldSpec) -> WrongType:
    example = next((value for value in _listed(array) if value is not None), None)
    example = _decoded(example) if pa.types.is_union(array.type) else example
    found = f"'{example[:40]}'" if isinstance(example, str) else shown(example)
    too_long = field.kind is FieldKind.KEY and (pa.types.is_integer(array.type) or found.strip("'-").isdigit())
    todo = _way_out(field, found)
    if too_long:
        todo = f"declare {field.name} as tt.Key[str], which holds any number of digits"
    return WrongType(
        f"{field.name} holds {kind_in_words(array.type)} such as {found}, promised {promised(field)}",
        where=place(contract, field),
        why="No value of the column can be read as promised, so it is another column or another unit.",
        next=todo,
        column=field.name,
    )


def _way_out(field: FieldSpec, found: str) -> str:
    """Return what to do about a column of another kind, of which ``found`` is a value, texts in quotes."""
    if arrow_type(field) in (pa.float64(), pa.int64()):
        in_function = "write numbers as 1234.5, or read the file in a function: pd.read_csv(..., "
        if re.fullmatch(r"\s*'[-+]?\d{1,3},\d{3}'", found):
            return in_function + "thousands=',') or decimal=',', whichever the comma means"
        if re.fullmatch(r"\s*'[-+]?\d{1,3}(,\d{3})+(\.\d*)?'", found):
            return in_function + "thousands=',')"
        if re.fullmatch(r"\s*'[-+]?\d+,\d+'", found):
            return in_function + "decimal=',')"
        if re.fullmatch(r"\s*'[-+]?\d{1,3}(\.\d{3})+,\d+'", found):
            return in_function + "decimal=',', thousands='.')"
    if arrow_type(field) == TIME:
        is_count = re.fullmatch(r"'?-?\d+(\.0)?'?", found) is not None
        said = (
            "what it counts: pd.to_datetime(..., unit=...)"
            if is_count
            else "its format: pd.to_datetime(..., format=...)"
        )
        return f"write times as 2013-03-01T12:00:00Z, or convert {field.name} in the source and say {said}"
    return f"convert {field.name} in the source, or declare it as what it is"


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
    if pa.types.is_union(kind):
        return "values of several types"
    return f"values of type {kind}"
