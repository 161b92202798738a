"""Rows that break the contract are set aside with a sentence; tables that break it are refused with one."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.data import ContractBroken, EmptySource, MissingColumn, TooNew, check
from trimtab.data.check import refuse_future
from trimtab.declare import ContractSpec, FieldKind, FieldSpec


def test_a_good_table_is_kept_whole_in_the_contracts_order(weather, table):
    given = table().select(["sky", "temp", "at", "origin"]).append_column("extra", pa.nulls(8))
    checked = check(weather, given)
    assert checked.kept.column_names == ["origin", "at", "temp", "sky"]
    assert checked.kept.num_rows == 8
    assert checked.set_aside.num_rows == 0
    assert checked.set_aside.column_names == ["origin", "at", "temp", "sky", "reason"]
    assert checked.breaks == ()


def test_broken_rows_are_set_aside_with_every_reason(weather, table):
    temps = [30.0, 1048.36058, float("inf"), 31.0, -21.5, 32.0, 33.0, None]
    skies = ["clear", "green", "clear", "clear", "clear", "clear", "grey", None]
    checked = check(weather, table(temp=temps, sky=skies))
    assert checked.kept.column("temp").to_pylist() == [30.0, 31.0, 32.0, None]
    assert checked.set_aside.column("reason").to_pylist() == [
        "temp 1048.36, promised -20 to 120; sky 'green', promised one of clear, cloudy",
        "temp inf, promised a finite number",
        "temp -21.5, promised -20 to 120",
        "sky 'grey', promised one of clear, cloudy",
    ]
    assert [(b.field, b.reason, b.rows) for b in checked.breaks] == [
        ("temp", "promised a finite number", 1),
        ("temp", "promised -20 to 120", 2),
        ("sky", "promised one of clear, cloudy", 2),
    ]
    assert checked.breaks[1].example == "temp 1048.36 at JFK, 2013-01-01 (promised -20 to 120)"
    assert checked.breaks[1].sentence.endswith("and 1 row more")


def test_a_bound_is_written_to_its_last_digit():
    names = {"id": FieldKind.KEY, "at": FieldKind.EVENT_TIME}
    keys = tuple(FieldSpec(name=name, kind=kind) for name, kind in names.items())
    contract = ContractSpec(name="C", fields=(*keys, FieldSpec(name="x", kind=FieldKind.INT, low=0, high=12345678901)))
    at = pa.array([datetime(2024, 1, 1)] * 2, pa.timestamp("us"))
    found = check(contract, pa.table({"id": ["a", "b"], "at": at, "x": [12345678901, 12345678902]}))
    assert found.set_aside["reason"].to_pylist() == ["x 12345678902, promised 0 to 12345678901"]


def test_a_number_is_never_rounded_back_inside_its_bounds(weather, table):
    checked = check(weather, table(temp=[120.0000001] + [0.0] * 7))
    assert checked.set_aside.column("reason").to_pylist() == ["temp 120.0000001, promised -20 to 120"]


def test_rows_without_key_or_time_are_set_aside(weather, table, observations):
    columns = observations()
    origins = [None, *columns["origin"][1:]]
    times = [columns["at"][0], None, *columns["at"][2:]]
    checked = check(weather, table(origin=origins, at=times))
    assert checked.set_aside.column("reason").to_pylist() == [
        "origin is missing, promised in every row",
        "at is missing, promised in every row",
    ]
    assert [b.example for b in checked.breaks] == [
        "origin is missing at 2013-01-01 (promised in every row)",
        "at is missing at JFK (promised in every row)",
    ]


def test_a_single_value_of_another_type_breaks_its_row_once(weather, table):
    times = ["2013-01-01T00:00Z", "tomorrow", *[f"2013-01-02T{hour:02}:00Z" for hour in range(6)]]
    temps = ["30", "31", "n/a", "33", "34", "35", "36", "37"]
    checked = check(weather, table(at=times, temp=temps))
    assert checked.set_aside.column("reason").to_pylist() == [
        "at 'tomorrow', promised a time",
        "temp 'n/a', promised a number",
    ]


def test_repeated_rows_are_kept(weather, table, observations):
    columns = {name: [*values, values[0]] for name, values in observations().items()}
    assert check(weather, pa.table(columns)).kept.num_rows == 9


def test_integers_and_bounds_on_one_side():
    contract = ContractSpec(
        name="C",
        fields=(
            FieldSpec(name="k", kind=FieldKind.KEY, value_type="int"),
            FieldSpec(name="t", kind=FieldKind.EVENT_TIME),
            FieldSpec(name="n", kind=FieldKind.INT, low=0, values=None),
            FieldSpec(name="f", kind=FieldKind.FLOAT, high=0.5),
        ),
    )
    at = datetime(2013, 1, 1, tzinfo=UTC)
    checked = check(contract, pa.table({"k": [1, 2, 3], "t": [at] * 3, "n": [0, -1, 5], "f": [0.5, 0.25, 0.75]}))
    assert checked.set_aside.column("reason").to_pylist() == [
        "n -1, promised at least 0",
        "f 0.75, promised at most 0.5",
    ]


def test_large_integers_are_held_to_their_bounds_to_the_last_digit():
    low, high = -(2**60), 2**53
    field = FieldSpec(name="n", kind=FieldKind.INT, low=float(low), high=float(high))
    contract = ContractSpec(
        name="C",
        fields=(FieldSpec(name="k", kind=FieldKind.KEY), FieldSpec(name="t", kind=FieldKind.EVENT_TIME), field),
    )
    numbers = [low - 1, low, high, high + 1, 2**63 - 1]
    times = pa.array([datetime(2013, 1, 1, tzinfo=UTC)] * 5)
    checked = check(contract, pa.table({"k": ["a", "b", "c", "d", "e"], "t": times, "n": pa.array(numbers)}))
    assert checked.kept.column("n").to_pylist() == [low, high]
    assert "n -1152921504606846977" in checked.breaks[0].example


def test_a_missing_column_says_what_there_is(weather, table):
    with pytest.raises(MissingColumn, match="Weather has no column temp") as caught:
        check(weather, table().drop_columns(["temp"]))
    assert "at, origin, sky" in caught.value.why
    with pytest.raises(MissingColumn, match="rename 'Temp' to 'temp'"):
        check(weather, table().rename_columns(["origin", "at", "Temp", "sky"]))
    with pytest.raises(MissingColumn, match="2 columns named temp"):
        check(weather, table().append_column("temp", pa.nulls(8)))


def test_an_empty_table_is_refused(weather, table):
    with pytest.raises(EmptySource):
        check(weather, table().slice(0, 0))


def test_more_broken_rows_than_the_limit_stop_everything(weather, table):
    temps = [500.0, 501.0, *[30.0] * 6]
    assert check(weather, table(temp=temps), set_aside_limit=0.25).set_aside.num_rows == 2
    with pytest.raises(ContractBroken) as caught:
        check(weather, table(temp=temps), set_aside_limit=0.2)
    error = caught.value
    assert error.what.startswith("2 of 8 rows break the contract (25 %), at most 20 % may; 2 of them: temp 500 at EWR")
    assert error.where == "flights.py:13 contract Weather.temp"


def test_a_table_of_which_nothing_is_left_is_refused(weather, table):
    with pytest.raises(ContractBroken, match="8 of 8 rows"):
        check(weather, table(temp=[500.0] * 8))


def test_more_missing_values_than_promised_name_the_worst_month(weather, table):
    january = table(temp=[None, None, None, *[30.0] * 5])
    with pytest.raises(ContractBroken) as caught:
        check(weather, january)
    error = caught.value
    assert f"{error.where}: {error.what}" == (
        "flights.py:13 contract Weather.temp: 37.5 % missing, promised at most 25 % (2013-01)"
    )
    later = january.set_column(
        1, "at", pa.array([datetime(2013, 2, 1, tzinfo=UTC) + timedelta(hours=h) for h in range(8)])
    )
    worse = later.set_column(2, "temp", pa.array([None] * 6 + [1.0, 2.0]))
    with pytest.raises(ContractBroken, match=r"56\.25 % missing.*worst in 2013-02: 75 %"):
        check(weather, pa.concat_tables([january, worse]))


def test_shares_are_written_so_that_the_difference_shows():
    contract = ContractSpec(
        name="C",
        fields=(
            FieldSpec(name="k", kind=FieldKind.KEY, value_type="int"),
            FieldSpec(name="t", kind=FieldKind.EVENT_TIME),
            FieldSpec(name="x", kind=FieldKind.FLOAT, missing=0.05),
        ),
    )
    at = datetime(2013, 1, 1, tzinfo=UTC)
    values = [None] * 5001 + [1.0] * 94999
    with pytest.raises(ContractBroken, match=r"5\.001 % missing, promised at most 5 %"):
        check(contract, pa.table({"k": range(100000), "t": [at] * 100000, "x": values}))


def test_only_a_table_entirely_in_the_future_is_too_new(weather, table, observations):
    kept = check(weather, table()).kept
    assert refuse_future(weather, kept, now=datetime(2013, 1, 1, 3, tzinfo=UTC)) == 4
    with pytest.raises(TooNew, match="all 8 rows of Weather lie after now"):
        refuse_future(weather, kept, now=datetime(2012, 12, 31, tzinfo=UTC))


cells = st.one_of(st.none(), st.floats(-200, 200), st.just(float("inf")), st.just(float("nan")))
skies = st.sampled_from(["clear", "cloudy", "green", None])
rows = st.lists(st.tuples(st.sampled_from(["EWR", None]), st.integers(0, 50), cells, skies), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows)
def test_checking_agrees_with_one_row_at_a_time_and_is_idempotent(weather, found):
    start = datetime(2013, 1, 1, tzinfo=UTC)
    columns = list(zip(*found, strict=True))
    given_table = pa.table(
        {
            "origin": pa.array(columns[0], pa.string()),
            "at": pa.array([start + timedelta(hours=hour) for hour in columns[1]]),
            "temp": pa.array(columns[2], pa.float64()),
            "sky": pa.array(columns[3], pa.string()),
        }
    )

    def good(row):
        origin, _, temp, sky = row
        missing = temp is None or np.isnan(temp)
        return origin is not None and (missing or -20 <= temp <= 120) and sky in ("clear", "cloudy", None)

    kept = [row for row in found if good(row)]
    nulls = sum(row[2] is None or np.isnan(row[2]) for row in kept)
    if not kept or nulls / len(kept) > 0.25:
        with pytest.raises(ContractBroken):
            check(weather, given_table)
        return
    once = check(weather, given_table)
    assert [at.as_py() for at in once.kept.column("at")] == [start + timedelta(hours=row[1]) for row in kept]
    assert once.set_aside.num_rows == len(found) - len(kept)
    twice = check(weather, once.kept)
    assert twice.kept.equals(once.kept)
    assert twice.breaks == ()
