"""Hold what a request gives to the contract that the model learnt under: bounds, listed values, nothing missing.

A request gives features in full, or fields of its row. A value that was given breaks a promise when it lies outside
``between``, is none of ``one_of``, or is missing where the contract promises a value in every row and none was missing
in training. What the online store adds was checked when it came in.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from trimtab.declare import (
    Column,
    Field,
    FieldKind,
    FieldSpec,
    Latest,
    Rolling,
    TimePart,
    column_names,
    number_text,
)
from trimtab.features import CompiledView
from trimtab.serving.errors import PromiseBroken
from trimtab.serving.records import Input

_PARTS = {"minute": (0, 59), "hour": (0, 23), "weekday": (0, 6), "day": (1, 31), "month": (1, 12), "quarter": (1, 4)}
_SHOWN = 12


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What the values of one column promise. ``required``: none is missing."""

    name: str
    low: float = -math.inf
    high: float = math.inf
    values: frozenset[str] | None = None
    promise: str = ""
    required: bool = False
    is_bounded: bool = False

    def is_kept_by(self, values: Sequence[Any]) -> bool:
        """Say quickly that nothing is broken; where that is not plain, say no, and ``broken_by`` looks closely."""
        try:
            if len(values) == 1:
                value = values[0]
                if value is None or value != value:  # noqa: PLR0124
                    return not self.required
                if self.values is not None:
                    return value in self.values
                if self.is_bounded:
                    return bool(self.low <= value <= self.high)
                return type(value) is not str or not self.required or not _is_blank(value)
            if self.values is not None:
                return self.values.issuperset(values)
            if self.is_bounded:
                total = sum(values)  # NaN in it makes it NaN, and None is no number
                return bool(total == total and min(values) >= self.low and max(values) <= self.high)  # noqa: PLR0124
            if None in values or not all(value == value for value in values):  # noqa: PLR0124
                return False
            return not self.required or not any(type(value) is str and _is_blank(value) for value in values)
        except TypeError:
            return False

    def broken_by(self, values: Sequence[Any]) -> Iterable[tuple[int, str]]:
        """Return the rows that break the promise, with the promise. Values of another kind are not for this rule."""
        if self.required:
            yield from ((i, "in every row") for i, v in enumerate(values) if v is None or v != v)  # noqa: PLR0124
        if self.values is not None:
            allowed = self.values
            yield from ((i, self.promise) for i, v in enumerate(values) if type(v) is str and v not in allowed)
        elif self.is_bounded:
            low, high = self.low, self.high
            yield from (
                (i, self.promise)
                for i, v in enumerate(values)
                if (type(v) is float or type(v) is int) and (v < low or v > high)
            )


class Broken(NamedTuple):
    """One value that breaks its promise."""

    row: int
    name: str
    value: Any
    promise: str

    @property
    def text(self) -> str:
        """The same in words, as rows that are set aside say it."""
        return f"{self.name} {_shown(self.value)}, promised {self.promise}"


def field_rules(view: CompiledView, inputs: Sequence[Input]) -> dict[str, Rule]:
    """Return what the fields of a request promise, by name."""
    known = {column.name: column.missing for column in inputs}
    seen = {one.source.field: known.get(one.name) for one in view.columns if isinstance(one.source, Field)}
    fields = view.view.of.fields
    rules = (_of_field(one, one.name, required=_in_every_row(one) and seen.get(one.name) is not True) for one in fields)
    return {rule.name: rule for rule in rules if _says_something(rule)}


def input_rules(inputs: Sequence[Input], view: CompiledView | None) -> list[tuple[int, Rule]]:
    """Return what the columns of a model promise, each with its place among them."""
    declared = {} if view is None else {column.name: column.source for column in view.columns}
    rules = [(place, _of_input(column, declared.get(column.name), view)) for place, column in enumerate(inputs)]
    return [(place, rule) for place, rule in rules if _says_something(rule)]


def broken_in(columns: Iterable[tuple[Rule, Sequence[Any]]]) -> list[Broken]:
    """Return every value that breaks its promise, column by column."""
    return [
        Broken(row, rule.name, values[row], promise)
        for rule, values in columns
        if not rule.is_kept_by(values)
        for row, promise in rule.broken_by(values)
    ]


def refused(broken: Sequence[Broken], *, count: int) -> PromiseBroken:
    """Return the error of a request that breaks its contract."""
    first = broken[0]
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    row = f", row {first.row}" if count > 1 else ""
    return PromiseBroken(
        f"the request breaks its contract: {first.text}{more}",
        where=f"inputs{row}: {first.name}",
        row=first.row, column=first.name, rows=sorted({one.row for one in broken})[:100],
    )  # fmt: skip


def by_row(broken: Sequence[Broken], *, count: int) -> list[list[str] | None]:
    """Return what each row breaks, in words."""
    texts: list[list[str] | None] = [None] * count
    for one in broken:
        found = texts[one.row]
        if found is None:
            found = texts[one.row] = []
        found.append(one.text)
    return texts


def _of_input(column: Input, declared: Column | None, view: CompiledView | None) -> Rule:
    never_missing = column.missing is False
    if view is not None:
        match declared:
            case Field():
                field = view.view.of.field(declared.field)
                return _of_field(field, column.name, required=never_missing and _in_every_row(field))
            case Latest():
                name = declared.fields[column_names(declared).index(column.name)]
                field = view.view.contract(declared.contract).field(name)
                return _of_field(field, column.name, required=never_missing)
            case TimePart() if declared.part in _PARTS:
                low, high = _PARTS[declared.part]
                return _bounded(column.name, low, high, required=never_missing)
            case Rolling() if declared.function == "count":
                return _bounded(column.name, 0, math.inf, required=never_missing)
    return Rule(name=column.name, required=never_missing)


def _of_field(field: FieldSpec | None, name: str, *, required: bool) -> Rule:
    assert field is not None, "a compiled view names fields that its contracts have"
    if field.values is not None:
        shown = ", ".join(field.values[:_SHOWN]) + (", …" if len(field.values) > _SHOWN else "")
        return Rule(name=name, values=frozenset(field.values), promise=f"one of {shown}", required=required)
    low = -math.inf if field.low is None else field.low
    return _bounded(name, low, math.inf if field.high is None else field.high, required=required)


def _bounded(name: str, low: float, high: float, *, required: bool) -> Rule:
    bounded = low > -math.inf or high < math.inf
    promise = f"at least {number_text(low)}" if high == math.inf else f"{number_text(low)} to {number_text(high)}"
    return Rule(name=name, low=low, high=high, promise=promise, required=required, is_bounded=bounded)


def _in_every_row(field: FieldSpec | None) -> bool:
    # A time says by itself that it is there: the moment of decision is refused without one.
    times = (FieldKind.TIME, FieldKind.EVENT_TIME)
    return field is not None and field.missing == 0.0 and field.kind not in times


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _says_something(rule: Rule) -> bool:
    return rule.required or rule.values is not None or rule.is_bounded


def _shown(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124
        return "is missing"
    if isinstance(value, str):
        return f"'{value[:80]}'"
    short = f"{value:.10g}"
    return short if float(short) == value else repr(value)
