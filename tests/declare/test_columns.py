"""Columns and what is calculated of them: specs, texts, names."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.declare import (
    Arithmetic,
    BadColumn,
    ColumnExpression,
    Comparison,
    Constant,
    Derived,
    Field,
    Latest,
    Rolling,
    TimePart,
    column_names,
)

from .declared import NAMES, Flight, Weather

HOUR = 3600.0


def test_a_field() -> None:
    assert Flight.carrier.spec == Field(contract="Flight", field="carrier")
    assert repr(Flight.carrier) == "Flight.carrier"
    assert Flight.carrier.where.startswith("test_columns.py:")


@pytest.mark.parametrize("part", ["minute", "hour", "weekday", "day", "month", "quarter", "year"])
def test_parts_of_a_time(part: str) -> None:
    column = getattr(Flight.scheduled, part)
    assert column.spec == TimePart(of=Field(contract="Flight", field="scheduled"), part=part)
    assert repr(column) == f"Flight.scheduled.{part}"
    assert column_names(column.spec) == (f"scheduled_{part}",)


def test_latest() -> None:
    column = Weather.latest("temp", "visib", by="origin", within="3h")
    assert column.spec == Latest(contract="Weather", fields=("temp", "visib"), by=("origin",), within_s=3 * HOUR)
    assert repr(column) == 'Weather.latest("temp", "visib", by="origin", within="3h")'
    assert column_names(column.spec) == ("weather_temp", "weather_visib")
    assert Weather.latest("temp", by=["origin", "calm"]).spec.by == ("origin", "calm")


@pytest.mark.parametrize("function", ["mean", "sum", "count", "min", "max", "std"])
def test_rolling(function: str) -> None:
    column = getattr(Flight.dep_delay, function)(over="24h", by="carrier")
    spec = Rolling(contract="Flight", field="dep_delay", function=function, over_s=24 * HOUR, by=("carrier",))
    assert column.spec == spec
    assert repr(column) == f'Flight.dep_delay.{function}(over="24h", by="carrier")'
    assert column_names(column.spec) == (f"carrier_dep_delay_{function}_24h",)


def test_anything_can_be_counted() -> None:
    assert Flight.carrier.count(over="7d", by="origin").spec.function == "count"
    assert Flight.departed.count(over=timedelta(days=7), by="origin").spec.over_s == 7 * 24 * HOUR
    assert Flight.cargo.mean(over=tt.days(7), by="origin").spec.function == "mean"


def test_calculating() -> None:
    column = (Flight.distance / 60 - 1).named("hours")
    inner = Arithmetic(op="/", left=Flight.distance.spec, right=Constant(value=60))
    assert column.spec == Derived(name="hours", expression=Arithmetic(op="-", left=inner, right=Constant(value=1)))
    assert repr(column) == '((Flight.distance / 60) - 1).named("hours")'
    assert tt.column("hours", Flight.distance / 60 - 1).spec == column.spec
    assert (2 * Flight.stops).spec == Arithmetic(op="*", left=Constant(value=2), right=Flight.stops.spec)
    assert (-Flight.stops).spec == Arithmetic(op="-", left=Constant(value=0), right=Flight.stops.spec)


def test_a_named_column_can_be_calculated_with() -> None:
    hours = (Flight.distance / 60).named("hours")
    assert (hours * 2).spec == Arithmetic(op="*", left=hours.spec.expression, right=Constant(value=2))


def test_comparing() -> None:
    assert (Flight.arr_delay > 15).spec == Comparison(op=">", left=Flight.arr_delay.spec, right=Constant(value=15))
    assert (Flight.arr_delay > 15).spec == (Flight.arr_delay > 15).spec
    assert Flight.arr_delay.at_least(15).spec == (Flight.arr_delay >= 15).spec
    assert Flight.arr_delay.at_most(15).spec == (Flight.arr_delay <= 15).spec
    assert Flight.arr_delay.above(15).spec == (Flight.arr_delay > 15).spec
    assert Flight.arr_delay.below(15).spec == (Flight.arr_delay < 15).spec
    assert (Flight.carrier == "AA").spec.right == Constant(value="AA")
    assert (Flight.cargo == True).spec.right == Constant(value=True)  # noqa: E712  an expression
    assert (Weather.latest("temp", by="origin") > 32).spec.op == ">"


def test_a_moment() -> None:
    assert repr(Flight.scheduled - tt.hours(2)) == "Flight.scheduled - tt.hours(2)"
    assert (Flight.scheduled - tt.hours(2) - timedelta(minutes=30)).offset_s == -2.5 * HOUR
    assert (Flight.scheduled + tt.days(1)).offset_s == 24 * HOUR
    assert (Flight.scheduled - (tt.hours(2) + tt.minutes(30))).offset_s == -2.5 * HOUR


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert (Flight.arr_delay > numpy.float64(15.5)).spec.right == Constant(value=15.5)


# --- properties ----------------------------------------------------------------------------------------------------

numbers = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
durations = st.integers(1, 10**7).map(lambda seconds: f"{seconds}s") | st.integers(1, 500).map(lambda n: f"{n}h")
keys = st.sampled_from(["origin", ["origin"]])


def _rolling(function: str, over: str, by: object) -> ColumnExpression:
    return getattr(Flight.dep_delay, function)(over=over, by=by)


leaves = (
    st.sampled_from([Flight.distance, Flight.stops, Flight.arr_delay, Flight.cargo, Flight.scheduled.hour])
    | st.builds(_rolling, st.sampled_from(["mean", "sum", "count", "min", "max", "std"]), durations, keys)
    | st.builds(lambda by, within: Weather.latest("temp", by=by, within=within), keys, durations)
)


def _combined(parts: st.SearchStrategy[ColumnExpression]) -> st.SearchStrategy[ColumnExpression]:
    operators = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b}
    columns = parts.filter(lambda column: column.kind == "number")
    return st.builds(lambda op, a, b: op(a, b), st.sampled_from(list(operators.values())), columns, columns | numbers)


calculations = st.recursive(leaves, _combined, max_leaves=6)
tests = st.builds(
    lambda column, op, bound: getattr(column, op)(bound),
    calculations.filter(lambda column: column.kind == "number"),
    st.sampled_from(["__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"]),
    numbers,
)
texts = st.builds(lambda text: Flight.carrier == text, st.text())
columns = calculations | tests | texts


@settings(deadline=None)
@given(columns)
def test_the_text_of_a_column_gives_it_back(column: ColumnExpression) -> None:
    again = eval(repr(column), dict(NAMES))
    assert again.spec == column.spec
    assert hash(again.spec) == hash(column.spec) == hash(column)


@settings(deadline=None)
@given(tests, st.from_regex(r"\A[a-z][a-z0-9_]{0,20}\Z"))
def test_the_text_of_a_named_column_gives_it_back(column: ColumnExpression, name: str) -> None:
    named = column.named(name)
    assert eval(repr(named), dict(NAMES)).spec == named.spec
    assert column_names(named.spec) == (name,)


@settings(deadline=None)
@given(st.from_regex(r"\A[^a-zA-Z].*\Z"))
def test_a_name_starts_with_a_letter(name: str) -> None:
    with pytest.raises(BadColumn):
        (Flight.distance / 60).named(name)
