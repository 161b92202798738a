"""A column is brought to its promised type, or the error says what it is instead."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.data import MixedTimeZones, WrongType
from trimtab.data.conform import conform
from trimtab.declare import ContractSpec, FieldKind, FieldSpec

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def brought(kind: FieldKind, array, **options):
    field = FieldSpec(name="x", kind=kind, where="flights.py:7", **options)
    return conform(ContractSpec(name="C", fields=(field,)), field, array)


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (FieldKind.FLOAT, pa.array([1, 2, None]), [1.0, 2.0, None]),
        (FieldKind.FLOAT, pa.array([1.5, float("nan")], pa.float32()), [1.5, None]),
        (FieldKind.FLOAT, pa.array([Decimal("1.25"), None]), [1.25, None]),
        (FieldKind.FLOAT, pa.array(["1.5", " +2e1 ", "", None, "nan"]), [1.5, 20.0, None, None, None]),
        (FieldKind.FLOAT, pa.nulls(2), [None, None]),
        (FieldKind.INT, pa.array([1, 2], pa.int8()), [1, 2]),
        (FieldKind.INT, pa.array([1.0, None, float("nan")]), [1, None, None]),
        (FieldKind.INT, pa.array(["-7", "12"]), [-7, 12]),
        (FieldKind.INT, pa.array(["1.0", "+2.", "1e3", "007", "NA"]), [1, 2, 1000, 7, None]),
        (FieldKind.BOOL, pa.array([0, 1, None]), [False, True, None]),
        (FieldKind.BOOL, pa.array(["True", "false", ""]), [True, False, None]),
        (
            FieldKind.BOOL,
            pa.array(["YES", "n", "T", "off", "1", "0.0", "<NA>"]),
            [True, False, True, False, True, False, None],
        ),
        (FieldKind.BOOL, pa.array([Decimal("1.00"), Decimal(0)]), [True, False]),
        (FieldKind.BOOL, pa.array([0.0, 1.0, None], pa.float32()), [False, True, None]),
        (FieldKind.CATEGORY, pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None]),
        (FieldKind.CATEGORY, pa.array([1, 2]), ["1", "2"]),
        (FieldKind.CATEGORY, pa.array([1.0, None, 2.5, float("nan")]), ["1", None, "2.5", None]),
        (FieldKind.CATEGORY, pa.array([True, None]), ["true", None]),
        (FieldKind.CATEGORY, pa.array([Decimal("1.50"), Decimal("-0.00"), Decimal(3)]), ["1.5", "0", "3"]),
        (FieldKind.KEY, pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (FieldKind.KEY, pa.array([UUID(int=3)]), ["00000000-0000-0000-0000-000000000003"]),
        (FieldKind.TEXT, pa.array(["", " \t", " a ", "NA"]), [None, None, " a ", "NA"]),
        (FieldKind.TEXT, pa.array(["a", None], pa.large_string()), ["a", None]),
        (FieldKind.TEXT, pa.array(["a"], pa.string_view()), ["a"]),
        (FieldKind.TIME, pa.array([datetime(2013, 3, 1, 12)]), [NOON]),
        (FieldKind.TIME, pa.array([date(2013, 3, 1), None]), [datetime(2013, 3, 1, tzinfo=UTC), None]),
        (FieldKind.TIME, pa.array([NOON], pa.timestamp("s", tz="Asia/Tokyo")), [NOON]),
        (FieldKind.TIME, pa.array(["2013-03-01T12:00:00Z", "2013-03-01 13:00+01:00", ""]), [NOON, NOON, None]),
        (FieldKind.TIME, pa.array(["2013-03-01", "2013-03-01 12:00"]), [datetime(2013, 3, 1, tzinfo=UTC), NOON]),
        (FieldKind.TIME, pa.array(["2013-03-01T12:00:00.123456789Z"]), [NOON.replace(microsecond=123456)]),
    ],
)
def test_what_reads_as_promised_is_taken(kind, given, kept):
    found = brought(kind, given)
    assert found.array.to_pylist() == kept
    assert found.wrong is None


def test_nanoseconds_are_cut_to_microseconds_also_before_1970():
    array = pa.array([-1, 1_999], pa.timestamp("ns", tz="UTC"))
    assert brought(FieldKind.TIME, array).array.cast(pa.int64()).to_pylist() == [-1, 1]
    ends = pa.array([-(2**63), 2**63 - 1, None], pa.timestamp("ns"))
    assert brought(FieldKind.TIME, ends).array.cast(pa.int64()).to_pylist() == [-(2**63) // 1000, 2**63 // 1000, None]


@pytest.mark.parametrize(
    ("kind", "array", "wrong"),
    [
        (FieldKind.FLOAT, pa.array(["1", "n/a", "3"]), [1]),
        (FieldKind.INT, pa.array([1.0, 2.5]), [1]),
        (FieldKind.INT, pa.array([1, 2**63], pa.uint64()), [1]),
        (FieldKind.INT, pa.array(["1", "1.5", ""]), [1]),
        (FieldKind.BOOL, pa.array([0, 2, 1]), [1]),
        (FieldKind.TIME, pa.array(["2013-03-01", "soon"]), [1]),
        (FieldKind.TIME, pa.array(["2013-03-01", "2013-02-30"]), [1]),
        (FieldKind.TIME, pa.array([0, 400_000_000_000], pa.timestamp("s")), [1]),
        (FieldKind.TIME, pa.array([0, 9_000_000_000_000_000], pa.timestamp("s")), [1]),
        (FieldKind.TIME, pa.array([0, -(2**63)], pa.timestamp("ms")), [1]),
        (FieldKind.TIME, pa.array([0, 2**31 - 1], pa.date32()), [1]),
        (FieldKind.TIME, pa.array(["2013-03-01", "0000-01-01"]), [1]),
        (FieldKind.TIME, pa.array(["2013-03-01T00Z", "2013-03-01T00:00Z", "9999-12-31T23:00-05:00"]), [2]),
        (FieldKind.CATEGORY, pa.array([1.0, 2.0**53 + 2, float("inf")]), [1, 2]),
        (FieldKind.FLOAT, pa.array(["1", "1e999", "-nan", "nan(ind)"]), [1]),
        (FieldKind.INT, pa.array(["1", "1e9999999999999999999", "-nan"]), [1]),
    ],
)
def test_single_values_of_another_type_are_marked(kind, array, wrong):
    found = brought(kind, array)
    assert np.flatnonzero(found.wrong).tolist() == wrong
    assert [found.array[row].as_py() for row in wrong] == [None] * len(wrong)


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        (FieldKind.FLOAT, pa.array(["a", "b"])),
        (FieldKind.FLOAT, pa.array([True])),
        (FieldKind.FLOAT, pa.array([NOON])),
        (FieldKind.FLOAT, pa.array([[1.0]])),
        (FieldKind.INT, pa.array([True])),
        (FieldKind.BOOL, pa.array([NOON])),
        (FieldKind.TEXT, pa.array([NOON])),
        (FieldKind.TEXT, pa.array([0], pa.timestamp("us", tz="Mars/Olympus"))),
        (FieldKind.KEY, pa.array([2.0**60])),
        (FieldKind.CATEGORY, pa.array([b"x"])),
        (FieldKind.TIME, pa.array([1_362_139_200])),
        (FieldKind.TIME, pa.array(["soon", "later"])),
    ],
)
def test_a_column_of_another_type_is_refused_with_an_example(kind, array):
    with pytest.raises(WrongType) as caught:
        brought(kind, array)
    error = caught.value
    assert error.where == "flights.py:7 contract C.x"
    assert "x holds" in error.what
    assert "promised" in error.what


def test_a_text_key_is_named_as_the_way_out_for_long_integers():
    for column in (pa.array([2**63], pa.uint64()), pa.array([Decimal(10**30)]), pa.array(["9223372036854775808"])):
        with pytest.raises(WrongType, match=r"tt\.Key\[str\]"):
            brought(FieldKind.KEY, column, value_type="int")
        assert brought(FieldKind.KEY, column).array.to_pylist() == [str(column[0].as_py())]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,5", "decimal=',')"), ("-2,25", "decimal=',')"), ("1.234,5", "decimal=',', thousands='.')"),
        ("1,234,567", "thousands=',')"), ("1,234.5", "thousands=',')"),
        ("1,234", "thousands=',') or decimal=',', whichever the comma means"),
    ],
)  # fmt: skip
def test_the_way_out_of_a_comma_in_numbers_is_never_another_number(text, says):
    with pytest.raises(WrongType) as caught:
        brought(FieldKind.FLOAT, pa.array([text]))
    assert caught.value.next.endswith(says)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (pa.array(["31.12.2024"]), "format="), (pa.array([1704067200]), "unit="), (pa.array(["1704067200"]), "unit="),
        (pa.array([1704067200.0]), "unit="),
    ],
)  # fmt: skip
def test_the_way_out_of_other_times_is_to_say_how_they_are_written(array, says):
    with pytest.raises(WrongType) as caught:
        brought(FieldKind.TIME, array)
    assert f"pd.to_datetime(..., {says}" in caught.value.next


def test_texts_of_another_encoding_are_refused():
    latin = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xe9")])
    with pytest.raises(WrongType, match="x holds texts that are not UTF-8"):
        brought(FieldKind.TEXT, latin)


def test_every_form_of_a_column_in_arrow_is_read():
    folded = pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([1.5, None]))
    assert brought(FieldKind.FLOAT, folded).array.to_pylist() == [1.5, 1.5, None]
    named = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.uint32()), pa.array(["a", "b"], pa.string_view()))
    assert brought(FieldKind.CATEGORY, named).array.to_pylist() == ["b", None, "a"]


def test_a_form_that_arrow_cannot_unfold_is_named():
    folded = pa.RunEndEncodedArray.from_arrays([2], pa.array(["a"]).dictionary_encode())
    with pytest.raises(WrongType, match="x is of the type run_end_encoded") as caught:
        brought(FieldKind.CATEGORY, folded)
    assert all(caught.value.parts().values())


def test_times_with_and_without_zone_are_never_mixed():
    with pytest.raises(MixedTimeZones, match="1 times with a zone and 2 without"):
        brought(FieldKind.TIME, pa.array(["2013-03-01T12:00Z", "2013-03-01T12:00", "2013-03-02"]))


def test_a_zone_that_does_not_exist_is_named():
    with pytest.raises(MixedTimeZones, match="Mars/Olympus"):
        brought(FieldKind.TIME, pa.array([0], pa.timestamp("us", tz="Mars/Olympus")))


EMPTY = [
    pa.nulls(2), pa.array([None, float("nan")]), pa.array([None, None], pa.int64()), pa.array([None, None], pa.bool_()),
    pa.array([None, None], pa.timestamp("us")), pa.array([None, None], pa.duration("s")), pa.array(["", " "]),
    pa.array([None, None], pa.list_(pa.int64())), pa.array([None, None], pa.dictionary(pa.int8(), pa.float64())),
]  # fmt: skip


@pytest.mark.parametrize("kind", FieldKind)
@pytest.mark.parametrize("array", EMPTY, ids=lambda one: str(one.type))
def test_a_column_without_a_value_is_missing_whatever_its_type(kind, array):
    assert brought(kind, array) == (brought(kind, pa.nulls(2)).array, None, None)


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_times_reach_from_the_first_to_the_last_moment_of_the_years_1_to_9999(unit):
    first = pa.array([datetime(1, 1, 1)], pa.timestamp("us")).cast(pa.timestamp(unit))
    last = pa.array([datetime(9999, 12, 31, 23, 59, 59, 999999)], pa.timestamp("us")).cast(
        pa.timestamp(unit), safe=False
    )
    kept = brought(FieldKind.TIME, pa.chunked_array([first, last])).array
    assert kept.cast(pa.timestamp(unit), safe=False).to_pylist() == [first[0].as_py(), last[0].as_py()]
    beyond = pa.array([first.cast(pa.int64())[0].as_py() - 1, last.cast(pa.int64())[0].as_py() + 1, 0])
    assert brought(FieldKind.TIME, beyond.cast(pa.timestamp(unit))).wrong.tolist() == [True, True, False]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True))))
def test_bringing_twice_is_bringing_once(values):
    once = brought(FieldKind.FLOAT, pa.array(values, pa.float64()))
    twice = brought(FieldKind.FLOAT, once.array)
    assert twice.array.equals(once.array)
    assert twice.wrong is None


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)), min_size=1))
def test_a_time_is_the_same_moment_in_every_form(times):
    forms = [
        pa.array(times, pa.timestamp("us", tz="UTC")),
        pa.array(times, pa.timestamp("us", tz="America/New_York")),
        pa.array([t.replace(tzinfo=None) for t in times], pa.timestamp("us")),
        pa.array([t.isoformat() for t in times]),
        pa.array(pd.Series(times)),
    ]
    for form in forms:
        assert brought(FieldKind.TIME, form).array.to_pylist() == times
