"""From what a caller sends to the rows a model takes: all features, or fields and keys to read the rest by."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from trimtab.data import EXACT
from trimtab.declare import FieldKind
from trimtab.features import CompiledView, OnlineRow, OnlineStore, field_value
from trimtab.kernel import Invalid, TrimtabError
from trimtab.serving.errors import InputProblem
from trimtab.serving.promises import Rule, broken_in, by_row, field_rules, input_rules, refused
from trimtab.serving.records import Ask, BrokenRows, Input, Scalar, Source
from trimtab.serving.runtimes import Rows
from trimtab.serving.segments import micros

ROWS_LIMIT = 10_000
_INT = 2**63
_TIMES = (FieldKind.TIME, FieldKind.EVENT_TIME)


class Given(msgspec.Struct):
    """A request's rows, ready for one version, and what the decision log keeps beside them."""

    source: Source
    rows: Rows
    keys: list[dict[str, Scalar] | None] | None = None
    ages_s: list[Sequence[float | None]] | None = None
    as_of_us: list[int] | None = None
    broken: list[list[str] | None] | None = None
    """What each row breaks of its contract, in words; None when no row breaks it."""

    def part(self, places: Sequence[int]) -> "Given":
        """Return some of the rows, in this order."""
        matrix = self.rows.matrix
        return Given(
            self.source,
            Rows([self.rows.values[i] for i in places], None if matrix is None else matrix[list(places)]),
            None if self.keys is None else [self.keys[i] for i in places],
            None if self.ages_s is None else [self.ages_s[i] for i in places],
            None if self.as_of_us is None else [self.as_of_us[i] for i in places],
            None if self.broken is None else [self.broken[i] for i in places],
        )


class Intake:
    """How requests become rows of one version: by its inputs and, when a feature view makes them, by that view.

    A row whose values break its contract is refused, or, with ``broken_rows`` ``flag``, answered and said so.
    """

    def __init__(
        self, inputs: tuple[Input, ...], *, view: CompiledView | None, online: OnlineStore | None,
        broken_rows: BrokenRows = "refuse",
    ) -> None:  # fmt: skip
        self.inputs = inputs
        self.names = tuple(column.name for column in inputs)
        self.view = view if online is not None else None
        self._online = online
        self._all = frozenset(self.names)
        self._numeric = all(column.kind in ("float", "int") for column in inputs)
        self._plain = all(column.kind == "float" for column in inputs)
        self.keys: tuple[str, ...] = ()
        self.required: tuple[str, ...] = ()
        self.optional: tuple[str, ...] = ()
        self._widened: tuple[int, ...] = ()
        kinds_of_view = {} if view is None else view.kinds
        self._yes_or_no = frozenset(c.name for c in inputs if c.kind == "float" and kinds_of_view.get(c.name) == "bool")
        if self.view is not None:
            of = self.view.view.of
            self.keys = of.keys
            self.required = self.view.request_fields
            kinds = self.view.kinds
            self._widened = tuple(i for i, c in enumerate(inputs) if c.kind == "float" and kinds[c.name] != "float")
            self.optional = tuple(
                n for n in dict.fromkeys((self.view.view.decided, *of.keys)) if n not in self.required
            )
            self._key_fields = {field.name: field for field in of.fields if field.name in of.keys}
        self._allowed = frozenset((*self.required, *self.optional))
        self._flags = broken_rows == "flag"
        self._rules = input_rules(inputs, view)
        self._field_rules = field_rules(view, inputs) if view is not None else {}
        by_place = dict(self._rules)
        self._bounded = any(rule.is_bounded for rule in by_place.values())
        self._lows = np.array([by_place[i].low if i in by_place else -np.inf for i in range(len(inputs))])
        self._highs = np.array([by_place[i].high if i in by_place else np.inf for i in range(len(inputs))])

    def takes(self, ask: Ask) -> bool:
        """Say whether a request names columns that this version understands, whatever their values."""
        if ask.matrix is not None:
            return self._numeric and int(ask.matrix.shape[1]) == len(self.inputs)
        return self._source(frozenset(ask.columns)) is not None

    def rows(self, ask: Ask, count: int, *, now: datetime) -> Given:
        """Return the ``count`` rows of a request. Raises ``Invalid`` for what the model cannot take, and what reading
        raises: ``NotFound`` for an unknown key or a view that is not materialised, ``Conflict`` for too early a moment.
        """
        if ask.matrix is not None:
            return self._matrix(ask)
        names = frozenset(ask.columns)
        source = self._source(names)
        if source is None:
            raise self._misnamed(names)
        if source == "raw":
            columns = [checked(column, self._numbers(column, ask.columns[column.name])) for column in self.inputs]
            return self._full(columns, count)
        if source == "key":
            return self._read(source, ask.columns, count, now)
        _refuse_infinite(ask.columns)
        ruled = [(name, self._field_rules[name]) for name in ask.columns if name in self._field_rules]
        broken = self._broken([(rule, self._meant(name, rule, ask.columns[name])) for name, rule in ruled], count)
        given = self._read(source, ask.columns, count, now)
        given.broken = broken
        return given

    def _full(self, columns: Sequence[Sequence[Scalar]], count: int) -> Given:
        """Return rows that came with all of the model's columns."""
        rows = [[column[0] for column in columns]] if count == 1 else [list(row) for row in zip(*columns, strict=True)]
        return Given("raw", Rows(rows), broken=self._broken([(rule, columns[i]) for i, rule in self._rules], count))

    def _broken(self, columns: Sequence[tuple[Rule, Sequence[Any]]], count: int) -> list[list[str] | None] | None:
        """Return what the rows break of their contract; raise ``PromiseBroken`` where such rows are refused."""
        found = broken_in(columns)
        if not found:
            return None
        if not self._flags:
            raise refused(found, count=count)
        return by_row(found, count=count)

    def _meant(self, name: str, rule: Rule, values: Sequence[Any]) -> Sequence[Any]:
        """Return the values of a field as the view reads them, a number as a text and a blank text as missing."""
        if rule.is_kept_by(values) or self.view is None or (field := self.view.view.of.field(name)) is None:
            return values
        meant = []
        for value in values:
            try:
                meant.append(value if field.kind in _TIMES else field_value(field, value, name))
            except Invalid:  # of another kind: reading the row says so
                meant.append(value)
        return meant

    def _numbers(self, column: Input, values: Sequence[Any]) -> Sequence[Any]:
        """Return a yes and no as the 1.0 and 0.0 that training made of it; every other column as it is."""
        if column.name not in self._yes_or_no:
            return values
        return [float(value) if isinstance(value, bool) else value for value in values]

    def _source(self, names: frozenset[str]) -> Source | None:
        if names == self._all:
            return "raw"
        if self.view is None:
            return None
        if names == frozenset(self.keys):
            return "key"
        return "context" if names.issuperset(self.required) and names <= self._allowed else None

    def _matrix(self, ask: Ask) -> Given:
        matrix = ask.matrix
        if not self._numeric or matrix.shape[1] != len(self.inputs):
            kinds = "" if self._numeric else ", some of them texts or yes and no"
            raise InputProblem(
                f"a matrix with {matrix.shape[1]} columns was sent",
                where="inputs",
                why=f"The model takes {len(self.inputs)} columns{kinds}.",
                next=f"send one tensor for each of: {_listed(self.names)}",
            )
        plain = self._plain and np.isfinite(matrix).all()
        if plain and (not self._bounded or ((matrix >= self._lows) & (matrix <= self._highs)).all()):
            return Given("raw", Rows(matrix.tolist(), matrix))
        columns = [checked(column, matrix[:, place].tolist()) for place, column in enumerate(self.inputs)]
        return self._full(columns, len(matrix))

    def _read(self, source: Source, columns: Mapping[str, Sequence[Any]], count: int, now: datetime) -> Given:
        """Read the rest of each row from the online store, as of its own moment of decision or now, the earlier."""
        assert self.view is not None
        assert self._online is not None
        keys: list[dict[str, Scalar] | None] = []
        ages_s: list[Sequence[float | None]] = []
        as_of_us: list[int] = []
        values: list[Sequence[Scalar]] = []
        has_moment = source == "key" or self.view.view.decided in columns
        shown = [n for n in dict.fromkeys((*self.keys, self.view.view.decided)) if n in columns]
        with self._online.reading(self.view) as state:
            read = state.read if source == "key" else state.row
            for i in range(count):
                request = {name: column[i] for name, column in columns.items()}
                try:
                    # Asked before its moment, what is known now is all there is, and ages count from now.
                    row = read(request, None if has_moment else now, latest=now)
                    values.append(self._ordered(row))
                except TrimtabError as error:
                    if count > 1:
                        error.data["row"] = i
                    raise
                keys.append({name: self._named(name, request[name]) for name in shown})
                ages_s.append(row.ages_s)
                as_of_us.append(micros(row.at))
        return Given(source, Rows(values), keys, ages_s, as_of_us)

    def _named(self, name: str, value: Any) -> Scalar:
        """Return a value of the key as the log keeps it: in the type of its field, so that it is written in one way."""
        assert self.view is not None
        if name in self._key_fields:
            return field_value(self._key_fields[name], value, f"features {self.view.view.name}")
        return value.isoformat() if isinstance(value, datetime) else value  # the moment of decision

    def _ordered(self, row: OnlineRow) -> Sequence[Scalar]:
        """Return a row's values in the model's order and of the model's kinds."""
        values: Sequence[Scalar] = row.values
        if row.names != self.names:
            by_name = row.as_dict()
            values = [by_name[name] for name in self.names]
        if None in values:
            for column, value in zip(self.inputs, values, strict=True):
                if value is None:
                    _check_nullable(column)
        if self._widened:
            # Where one was missing in training, whole numbers and yes and no became floats there, and so here.
            widened = list(values)
            for place in self._widened:
                value = widened[place]
                widened[place] = None if value is None else float(value)
            return widened
        return values

    def _misnamed(self, names: frozenset[str]) -> InputProblem:
        ways = [f"all of: {_listed(self.names)}"]
        if self.view is not None:
            ways.append(f"only the key: {_listed(self.keys)}")
            also = f" (and, if you like, {_listed(self.optional)})" if self.optional else ""
            ways.append(f"the fields {_listed(self.required)}{also}")
        known = self._all | self._allowed
        unknown = sorted(names - known)
        missing = [
            n
            for n in min((self.names, self.required or self.names), key=lambda w: len(set(w) - names))
            if n not in names
        ]
        what = f"the model knows no input {_listed(unknown)}" if unknown else f"{_listed(missing)} is missing"
        return InputProblem(
            what if names else "the request has no inputs",
            where="inputs",
            why="A model decides on exactly the columns that it learnt from.",
            next="send " + ", or ".join(ways),
            unknown=unknown,
            missing=missing,
        )


def checked(column: Input, values: Sequence[Any]) -> Sequence[Scalar]:
    """Return a column's values as the model takes them; raise ``Invalid`` for one of another kind."""
    match column.kind:
        case "float":
            return [
                value if type(value) is float and math.isfinite(value) else _number(column, value) for value in values
            ]
        case "int":
            return [
                value if type(value) is int and -_INT <= value < _INT else _whole(column, value) for value in values
            ]
        case "bool":
            return [value if type(value) is bool else _of_kind(column, value, bool) for value in values]
        case "category":
            # A blank text is missing, as in the rows that the model learnt from.
            given = [None if type(value) is str and (not value or value.isspace()) else value for value in values]
            return [value if type(value) is str else _of_kind(column, value, str) for value in given]


def _number(column: Input, value: Any) -> float | None:
    if value is None:
        _check_nullable(column)
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(column, value)
    try:
        number = float(value)
    except OverflowError:
        raise _wrong(column, value) from None
    if math.isinf(number):
        raise _infinite(column.name)
    if math.isnan(number):
        _check_nullable(column)
    return number


def _whole(column: Input, value: Any) -> Scalar:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        _check_nullable(column)
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return int(value)
    raise _wrong(column, value)


def _of_kind(column: Input, value: Any, kind: type[bool] | type[str]) -> Scalar:
    if value is None:
        _check_nullable(column)
        return None
    if not isinstance(value, kind):
        raise _wrong(column, value)
    return value


def _check_nullable(column: Input) -> None:
    if not column.nullable:
        raise InputProblem(
            f"{column.name} is missing",
            where=f"inputs: {column.name}",
            why="It was never missing when the model learnt, so the model cannot tell what that would mean.",
            next=f"send a value for {column.name}",
        )


def _wrong(column: Input, value: Any) -> InputProblem:
    return InputProblem(
        f"{str(value)[:80]!r} is not a value for {column.name}",
        where=f"inputs: {column.name}",
        why=f"The model learnt {column.name} as a {column.kind}.",
        next=f"send {column.name} as a {column.kind}" + (", or null when it is not known" if column.nullable else ""),
    )


def _refuse_infinite(columns: Mapping[str, Sequence[Any]]) -> None:
    for name, values in columns.items():
        if any(type(value) is float and math.isinf(value) for value in values):
            raise _infinite(name)


def _infinite(name: str) -> InputProblem:
    return InputProblem(
        f"{name} holds an infinite number",
        where=f"inputs: {name}",
        why="No contract promises infinities, so no model has learnt from one.",
        next="send null when the value is not known",
    )


def rows_in(ask: Ask) -> int:
    """Return how many rows a request has. Raises ``Invalid`` for columns of different lengths, none, or too many."""
    if ask.matrix is not None:
        count = int(ask.matrix.shape[0])
        _check_count(count)
        return count
    counts = [len(values) for values in ask.columns.values()] or [1]
    count = counts[0]
    if counts.count(count) != len(counts):
        shown = ", ".join(f"{name} {len(values)}" for name, values in ask.columns.items())
        raise InputProblem(
            f"the inputs have different lengths: {shown[:300]}",
            where="inputs",
            why="Each input holds one value for each row.",
            next="send as many values for every input",
        )
    _check_count(count)
    return count


def _check_count(count: int) -> None:
    if not 1 <= count <= ROWS_LIMIT:
        raise InputProblem(
            f"the request has {count:,} rows",
            where="inputs",
            why=f"A request holds 1 to {ROWS_LIMIT:,} rows.",
            next="send the rows in parts" if count else "send at least one row",
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(str(name)[:60] for name in names[:40])
    return shown if len(names) <= 40 else f"{shown} and {len(names) - 40} more"


KIND_OF_FIELD: Mapping[FieldKind, str] = {
    FieldKind.FLOAT: "FP64", FieldKind.INT: "INT64", FieldKind.BOOL: "BOOL",
}  # fmt: skip
"""The protocol's types of context fields; every other kind travels as BYTES, times as ISO 8601 text."""
