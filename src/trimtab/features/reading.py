"""Read one row of features: one cell for each lookup and tail, then the columns in order."""

import math
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_never

import numpy as np

from trimtab.data import EXACT, value_text
from trimtab.declare import FieldKind, FieldSpec
from trimtab.features.cells import Section, newest_at, sections_of
from trimtab.features.expressions import part_of_time, scalar_of
from trimtab.features.kinds import kind_of_field, kind_of_value
from trimtab.features.packing import RowLayout, Width, key_of
from trimtab.features.records import (
    CompiledView,
    Computed,
    Given,
    Kind,
    Lookup,
    Newest,
    Own,
    Part,
    Scalar,
    Tail,
    Value,
    Windowed,
)
from trimtab.features.training import micros_of, when
from trimtab.kernel import Invalid, digest_of_bytes, parse_time

_CELL = "SELECT data FROM cells WHERE part = ? AND key = ?"
_TIMES = (FieldKind.TIME, FieldKind.EVENT_TIME)
_MISSING = ("NAType", "NaTType")
"""What pandas writes for a value that is missing: pandas.NA, pandas.NaT."""
Answer = tuple[Scalar, float | None]


class Reader:
    """How to answer for one view: made once, then only bytes and numbers."""

    def __init__(self, compiled: CompiledView) -> None:
        self.names = compiled.names
        self.rows_part = len(compiled.parts)
        self._compiled = compiled
        self._values = [column.value for column in compiled.columns]
        self._lookups = [(lookup, *lookup_layout(compiled, lookup)) for lookup in compiled.lookups]
        self._tails = [
            (tail, schema_of(tail), {field.field: i for i, field in enumerate(tail.fields)}) for tail in compiled.tails
        ]
        self._row_fields = row_fields(compiled)
        self._row_layout = RowLayout([width_of(field) for field in self._row_fields])
        self._key_fields = [_field(compiled, name) for name in compiled.view.of.keys]

    def row_key(self, keys: Mapping[str, Any]) -> bytes:
        """Return the key of a row of the view's own contract, as bytes."""
        where = f"features {self._compiled.view.name}"
        return key_of(tuple(field_value(field, _given(field, keys, where), where) for field in self._key_fields))

    def request_of(self, packed: bytes) -> dict[str, Any]:
        """Return the fields of a stored row of the view's own contract; times in microseconds."""
        values = self._row_layout.unpack(packed)
        return {field.name: value for field, value in zip(self._row_fields, values, strict=True)}

    def shown(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a request as people know them, times as ``datetime``."""
        return {
            field.name: when(value) if field.kind in _TIMES and value is not None else value
            for field in self._row_fields
            if field.name in request
            for value in (request[field.name],)
        }

    def answer(
        self, cells: "CellsOf", request: Mapping[str, Any], moment: int
    ) -> tuple[tuple[Scalar, ...], tuple[float | None, ...]]:
        """Return the values and the ages of every column at a moment in microseconds."""
        state = _State(request, moment)
        for part, (lookup, schema, layout) in enumerate(self._lookups):
            cell = cells.find(part, lookup.by, request, schema)
            found = None if cell is None else newest_at(cell, moment)
            if cell is None or found is None:
                state.newest.append(None)
            else:
                fields = dict(zip(lookup.fields, layout.unpack(cell, found[1]), strict=True))
                state.newest.append((moment - found[0], fields))
        for part, (tail, schema, places) in enumerate(self._tails, len(self._lookups)):
            cell = cells.find(part, tail.by, request, schema)
            sections = None if cell is None else sections_of(tail, cell)
            state.tails.append(None if sections is None else {name: sections[i] for name, i in places.items()})
        answers = [_answer(value, state) for value in self._values]
        return tuple(value for value, _ in answers), tuple(age for _, age in answers)


class CellsOf:
    """The cells of one filling, each read from the file once."""

    def __init__(self, connection: sqlite3.Connection, first_part: int) -> None:
        self._connection = connection
        self._first_part = first_part
        self._found: dict[tuple[Scalar, ...], bytes | None] = {}

    def find(self, part: int, by: tuple[str, ...], request: Mapping[str, Any], schema: bytes) -> bytes | None:
        """Return the cell of a part for the by-values of a request; None when there is none."""
        values = tuple([request[name] for name in by])
        if None in values:
            return None
        place = (part, *values)
        if place not in self._found:
            self._found[place] = self._read(part, key_of(values), schema)
        return self._found[place]

    def _read(self, part: int, key: bytes, schema: bytes) -> bytes | None:
        found = self._connection.execute(_CELL, (self._first_part + part, key)).fetchone()
        if found is None:
            return None
        cell: bytes = found[0]
        # The part's number leads to one definition only; this notices a file that something else has written to.
        assert cell[:4] == schema
        return cell


class _State:
    """What was read for one row."""

    __slots__ = ("moment", "newest", "request", "tails")

    def __init__(self, request: Mapping[str, Any], moment: int) -> None:
        self.request = request
        self.moment = moment
        self.newest: list[tuple[int, dict[str, Scalar]] | None] = []
        self.tails: list[dict[str, Section] | None] = []


def _answer(value: Value, state: _State) -> Answer:
    match value:
        case Own():
            return state.request[value.field], None
        case Part():
            micros = state.request[value.field]
            return (None if micros is None else part_of_time(value, micros)), None
        case Newest():
            return _newest(value, state)
        case Windowed():
            return _windowed(value, state)
        case Given():
            return value.value, None
        case Computed():
            left, left_age = _answer(value.left, state)
            right, right_age = _answer(value.right, state)
            kinds = (kind_of_value(value.left), kind_of_value(value.right))
            age = max((age for age in (left_age, right_age) if age is not None), default=None)
            return scalar_of(value.op, left, right, kinds=kinds), age
        case _:
            assert_never(value)


def _newest(value: Newest, state: _State) -> Answer:
    found = state.newest[value.lookup]
    if found is None or (value.within_us is not None and found[0] > value.within_us):
        return None, None
    return found[1][value.field], found[0] / 1_000_000


def _windowed(value: Windowed, state: _State) -> Answer:
    sections = state.tails[value.tail]
    if sections is None:
        return (0 if value.function == "count" else None), None
    found, newest = sections[value.field].aggregate(value.function, over_us=value.over_us, moment=state.moment)
    return found, None if newest is None else (state.moment - newest) / 1_000_000


# --- the fields of a request ---------------------------------------------------------------------------------------


def request_values(compiled: CompiledView, request: Mapping[str, Any], *, with_decided: bool) -> dict[str, Any]:
    """Check and convert the fields that a request must bring; times become microseconds. Raises ``Invalid``."""
    where = f"features {compiled.view.name}"
    names = dict.fromkeys((*compiled.request_fields, *((compiled.view.decided,) if with_decided else ())))
    fields = [_field(compiled, name) for name in names]
    return {field.name: field_value(field, _given(field, request, where), where) for field in fields}


def row_fields(compiled: CompiledView) -> tuple[FieldSpec, ...]:
    """Return the fields of a row of the view's own contract that are stored: those of requests, and ``decided``."""
    names = dict.fromkeys((*compiled.request_fields, compiled.view.decided))
    return tuple(_field(compiled, name) for name in names)


def lookup_layout(compiled: CompiledView, lookup: Lookup) -> tuple[bytes, RowLayout]:
    """Return the schema id of a lookup's cells and how their fields are packed."""
    view = compiled.view
    contract = view.of if lookup.contract == view.of.name else view.contract(lookup.contract)
    fields = [contract.field(name) for name in lookup.fields]
    return schema_of(lookup), RowLayout([width_of(field) for field in fields if field is not None])


def schema_of(part: Lookup | Tail) -> bytes:
    """Return four bytes that name a part's definition."""
    return bytes.fromhex(digest_of_bytes(repr(part).encode()).removeprefix("sha256:")[:8])


def width_of(field: FieldSpec) -> Width:
    """Return how a field is packed."""
    return kind_of_field(field) or "time"


def _field(compiled: CompiledView, name: str) -> FieldSpec:
    field = compiled.view.of.field(name)
    assert field is not None
    return field


def _given(field: FieldSpec, values: Mapping[str, Any], where: str) -> Any:
    if field.name not in values:
        raise Invalid(
            f"the request has no {field.name!r}",
            where=where,
            why="A column of the view is made from it.",
            next=f"send {field.name}, or null when it is not known",
        )
    return values[field.name]


def field_value(field: FieldSpec, value: Any, where: str) -> Scalar:
    """Return a value of a request as the columns of training frames hold it; a time in microseconds since 1970.

    What it means is what ``trimtab.data.conform`` says of a column: texts and keys take numbers by their one text, and
    a blank text is missing. But a number or a yes or no is never read from text. Raises ``Invalid`` for another kind.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if _is_missing(value):
        return None
    if field.kind in _TIMES:
        if isinstance(value, str):
            value = parse_time(value, where=f"{where}: {field.name}")
        if isinstance(value, datetime):
            return micros_of(value)
    else:
        kind = kind_of_field(field)
        if kind == "category" and isinstance(value, str) and not value.strip():
            return None
        if (found := _as_kind(kind, value)) is not None:
            return found
    raise Invalid(
        f"{value!r} is not a {field.kind.value} for {field.name}",
        where=where,
        why="A value of another kind would be taken for another value.",
        next=f"send {field.name} as the contract promises it",
    )


def _is_missing(value: Any) -> bool:
    match value:
        case None:
            return True
        case float():
            return math.isnan(value)
        case Decimal():
            return value.is_nan()
    return type(value).__name__ in _MISSING


def _as_kind(kind: Kind | None, value: Any) -> Scalar:
    """Return a value as a kind of column holds it, or None when it is of another kind."""
    match kind, value:
        case "bool", bool():
            return value
        case "category", _:
            text = value_text(value)
            # A text that is no UTF-8 could be neither stored nor looked up.
            return text if text is not None and _is_utf8(text) else None
        case "float" | "int", bool():
            return None
        case "float", int() | float() if isinstance(value, float) or abs(value) < 2**1023:
            return float(value) + 0.0
        case "int", int() if -(2**63) <= value < 2**63:
            return value
        case "int", float() if abs(value) <= EXACT and value == int(value):
            return int(value)
        case "float", Decimal() if value.is_finite():
            return float(value) + 0.0
        case "int", Decimal() if value.is_finite() and -(2**63) <= value < 2**63 and value == int(value):
            return int(value)
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
