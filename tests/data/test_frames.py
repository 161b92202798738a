"""The same data means the same, whatever frame and type of column brings it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.data import ContractBroken, MixedTimeZones, WrongType, check, content_digest
from trimtab.data.frames import to_arrow
from trimtab.declare import ContractSpec, FieldKind, FieldSpec

K = FieldKind
EVERY = ContractSpec(
    name="Every",
    fields=(
        FieldSpec(name="id", kind=K.KEY),
        FieldSpec(name="number", kind=K.KEY, value_type="int"),
        FieldSpec(name="at", kind=K.EVENT_TIME),
        FieldSpec(name="till", kind=K.TIME, missing=None),
        FieldSpec(name="amount", kind=K.FLOAT, missing=1.0),
        FieldSpec(name="count", kind=K.INT, missing=1.0),
        FieldSpec(name="paid", kind=K.BOOL, missing=1.0),
        FieldSpec(name="shop", kind=K.CATEGORY, missing=1.0),
        FieldSpec(name="note", kind=K.TEXT, missing=1.0),
    ),
)
TYPES = pa.schema(
    {
        "id": pa.string(), "number": pa.int64(), "at": pa.timestamp("us"), "till": pa.timestamp("us"),
        "amount": pa.float64(), "count": pa.int64(), "paid": pa.bool_(), "shop": pa.string(), "note": pa.string(),
    }
)  # fmt: skip
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
TIMES = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
INT64 = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXTS, "number": INT64, "at": TIMES, "till": st.none() | TIMES,
            "amount": st.none() | st.floats(allow_nan=False), "count": st.none() | INT64,
            "paid": st.none() | st.booleans(), "shop": st.none() | TEXTS, "note": st.none() | TEXTS,
        }
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def as_objects(table: pa.Table) -> pd.DataFrame:
    columns = {name: pd.Series(table[name].to_pylist(), dtype=object) for name in table.column_names}
    return pd.DataFrame(columns)


def as_nullable(table: pa.Table) -> pd.DataFrame:
    kinds = {"int64": "Int64", "double": "Float64", "bool": "boolean", "string": "string"}
    return as_objects(table).astype({f.name: kinds.get(str(f.type), "datetime64[us]") for f in table.schema})


def as_arrow(table: pa.Table, **changed: pa.DataType) -> pa.Table:
    return table.cast(pa.schema([(field.name, changed.get(str(field.type), field.type)) for field in table.schema]))


CARRIERS: dict[str, Callable[[pa.Table], Any]] = {
    "pandas, objects": as_objects,
    "pandas, nullable": as_nullable,
    "pandas, Arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas, categories": lambda table: as_nullable(table).astype("category"),
    "pandas, decimals": lambda table: as_objects(table).map(lambda v: Decimal(v) if type(v) is int else v),
    "Polars": pl.from_arrow,
    "Polars, wide": lambda table: pl.from_arrow(table).with_columns(pl.col("number", "count").cast(pl.Int128)),
    "Arrow, large": lambda table: as_arrow(table, string=pa.large_string()),
    "Arrow, decimals": lambda table: as_arrow(table, int64=pa.decimal128(38, 3)),
    "Arrow, dictionaries": lambda table: as_arrow(table, string=pa.dictionary(pa.int32(), pa.string())),
    "Arrow, texts": lambda table: as_arrow(table, int64=pa.string(), bool=pa.string()),
    "Arrow, in parts": lambda table: pa.concat_tables([table.slice(0, 1), table.slice(1)]),
}


def digests(frame: Any) -> tuple[object, ...]:
    """Return what a snapshot's id is made of, or why there is none."""
    try:
        checked = check(EVERY, to_arrow(frame, EVERY, where="x", source="x"))
    except (WrongType, ContractBroken) as error:
        return (type(error), error.where, error.what)
    return content_digest(checked.kept), content_digest(checked.set_aside), checked.breaks


@pytest.mark.parametrize("carrier", CARRIERS)
@settings(max_examples=40)
@given(rows=ROWS)
def test_every_carrier_gives_the_same_snapshot(carrier, rows):
    table = pa.Table.from_pylist(rows, TYPES)
    assert digests(CARRIERS[carrier](table)) == digests(table)


@settings(max_examples=40)
@given(rows=ROWS)
def test_integers_that_a_missing_value_made_floats_are_the_same(rows):
    small = [{**row, "number": row["number"] % 1000, "count": row["count"] and row["count"] % 1000} for row in rows]
    table = pa.Table.from_pylist(small, TYPES)
    frame = table.to_pandas()
    frame["count"] = frame["count"].astype("float64")
    assert digests(frame) == digests(table)


SPELLINGS = st.sampled_from(
    [
        1, 0, 2, -3, 1.0, 2.5, True, False, "1", "1.0", "x", "true", "No", "", " ", "NA", "1e3", 2**53 + 1, 2**70,
        float(2**53), 1e17, float("inf"), Decimal("1.50"), Decimal(10**20), np.int64(7), np.float32(0.5),
        np.bool_(True), np.uint64(2**64 - 1), "2024-01-01", date(2024, 1, 1), datetime(2024, 1, 1, 12), UUID(int=3),
        pd.Timestamp("2024-01-01 12:00"), np.datetime64("2024-01-01T12"), None, np.timedelta64(5, "s"), 10**5000,
        Decimal("1E+999999"), Decimal("sNaN"), "1e9999999999999999999", "-nan", "nan(ind)",
    ]
)  # fmt: skip


def judged(field: FieldSpec, values: list[Any]) -> list[Any]:
    """Return what each value of a column of objects became: a value, None when it is missing, or "wrong"."""
    rows = range(len(values))
    contract = ContractSpec(
        name="C",
        fields=(FieldSpec(name="k", kind=K.KEY, value_type="int"), FieldSpec(name="at", kind=K.EVENT_TIME), field),
    )
    columns = {
        "k": list(rows),
        "at": pd.to_datetime(["2024-01-01"] * len(values)),
        "x": pd.Series(values, dtype=object),
    }
    try:
        checked = check(contract, to_arrow(pd.DataFrame(columns), contract, where="x", source="x"))
    except (WrongType, ContractBroken):
        return ["wrong"] * len(values)
    kept = dict(zip(checked.kept["k"].to_pylist(), checked.kept["x"].to_pylist(), strict=True))
    return [kept.get(row, "wrong") for row in rows]


@pytest.mark.parametrize("kind", [K.FLOAT, K.INT, K.BOOL, K.CATEGORY, K.TEXT, K.TIME])
@settings(max_examples=60)
@given(values=st.lists(SPELLINGS, min_size=1, max_size=6))
def test_a_value_means_the_same_beside_any_other(kind, values):
    """Alone in its column, Arrow or pandas chooses the type; beside others, none fits all: the meaning stays."""
    field = FieldSpec(name="x", kind=kind, missing=None)
    alone = [judged(field, [value])[0] for value in values]
    together = judged(field, values)
    assert together == alone or (together == ["wrong"] * len(values) and set(alone) <= {"wrong", None})


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (K.CATEGORY, [1, "1", 1.0], ["1", "1", "1"]),
        (K.CATEGORY, [True, "x", False], ["true", "x", "false"]),
        (K.CATEGORY, [1e17, "x", datetime(2024, 1, 1)], ["wrong", "x", "wrong"]),
        (K.TEXT, [1, "A2", 3.0, None], ["1", "A2", "3", None]),
        (K.TIME, [date(2024, 1, 1), datetime(2024, 1, 1, 12)], [datetime(2024, 1, 1), datetime(2024, 1, 1, 12)]),
        (K.TIME, [datetime(2024, 1, 1, 12), date(2024, 1, 1)], [datetime(2024, 1, 1, 12), datetime(2024, 1, 1)]),
        (K.BOOL, [True, "no", 1, 0.0, "Y"], [True, False, True, False, True]),
        (K.INT, [True, 2, 2**53 + 1, "1.0"], ["wrong", 2, 2**53 + 1, 1]),
        (K.FLOAT, [True, 2, "2.5", Decimal("0.1")], ["wrong", 2.0, 2.5, 0.1]),
    ],
)
def test_mixed_columns(kind, values, expected):
    found = judged(FieldSpec(name="x", kind=kind, missing=None), values)
    assert [one.replace(tzinfo=None) if isinstance(one, datetime) else one for one in found] == expected


def test_objects_in_polars_are_read_as_in_pandas():
    values = [1, "A2", None, 2.50]
    frame = pl.DataFrame(
        {"row": [0, 1, 2, 3], "at": [datetime(2024, 1, 1)] * 4, "x": pl.Series(values, dtype=pl.Object)}
    )
    fields = (FieldSpec(name="row", kind=K.KEY, value_type="int"), FieldSpec(name="at", kind=K.EVENT_TIME))
    contract = ContractSpec(name="C", fields=(*fields, FieldSpec(name="x", kind=K.TEXT, missing=None)))
    found = check(contract, to_arrow(frame, contract, where="x", source="x")).kept["x"].to_pylist()
    assert found == judged(contract.fields[2], values) == ["1", "A2", None, "2.5"]
    with pytest.raises(WrongType, match="x holds a value of the type list"):
        to_arrow(frame.with_columns(pl.Series("x", [[1]] * 4, dtype=pl.Object)), contract, where="x", source="x")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([Decimal("Infinity"), "x"], "shop 'Infinity', promised text"),
        ([1e17, "x"], "shop '1e+17', promised text"),
        ([datetime(2024, 1, 1, tzinfo=UTC), "x"], "shop '2024-01-01T00:00:00+00:00', promised text"),
        ([date(2024, 1, 1), "x"], "shop '2024-01-01', promised text"),
    ],
)
def test_what_has_no_text_is_set_aside_as_it_was_written(values, reason):
    rows = {
        "id": ["a", "b"],
        "number": [1, 2],
        "at": [datetime(2024, 1, 1)] * 2,
        "shop": pd.Series(values, dtype=object),
    }
    frame = pd.DataFrame({**rows, **{name: [None] * 2 for name in ("till", "amount", "count", "paid", "note")}})
    checked = check(EVERY, to_arrow(frame, EVERY, where="x", source="x"))
    assert checked.set_aside["reason"].to_pylist() == [reason]


def test_zero_is_one_value_whatever_its_sign():
    table = pa.Table.from_pylist([{"id": "a", "number": 1, "at": datetime(2024, 1, 1), "amount": 0.0}], TYPES)
    for zero in (pa.array([-0.0]), pa.array(["-0.0"]), pa.array([0]), pa.array([Decimal("0.00")])):
        assert digests(table.set_column(4, "amount", zero)) == digests(table)


def test_blank_keys_are_missing(observations, weather):
    table = observations(origin=["", " ", "EWR", None, "JFK", "LGA", "ä", "7"])
    for frame in (pd.DataFrame(table), pl.DataFrame(table), pa.table(table)):
        checked = check(weather, to_arrow(frame, weather, where="x", source="x"))
        assert checked.kept["origin"].to_pylist() == ["EWR", "JFK", "LGA", "ä", "7"]
        assert set(checked.set_aside["reason"].to_pylist()) == {"origin is missing, promised in every row"}


def test_times_of_several_zones_are_one_moment_and_a_time_without_a_zone_is_refused():
    zoned = [datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))]
    found = judged(FieldSpec(name="x", kind=K.TIME, missing=None), zoned)
    assert found == [zoned[0]] * 2
    with pytest.raises(MixedTimeZones):
        judged(FieldSpec(name="x", kind=K.TIME, missing=None), [*zoned, datetime(2024, 1, 1)])
    with pytest.raises(MixedTimeZones):
        judged(FieldSpec(name="x", kind=K.TIME, missing=None), [*zoned, "2024-01-01T12:00"])
