"""Nasty tables and views for property tests: ties, gaps, late and early knowledge, odd numbers, odd layouts."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import strategies as st

from trimtab.declare import (
    Arithmetic,
    Comparison,
    Constant,
    ContractSpec,
    Derived,
    FeatureViewSpec,
    Field,
    FieldKind,
    FieldSpec,
    Label,
    Latest,
    Rolling,
    TimePart,
)

K = FieldKind
HOUR = 3600.0
START = datetime(2013, 2, 27, 22, tzinfo=UTC)
MICRO = timedelta(microseconds=1)

ORDER = ContractSpec(
    name="Order",
    fields=(
        FieldSpec(name="id", kind=K.KEY),
        FieldSpec(name="at", kind=K.EVENT_TIME),
        FieldSpec(name="due", kind=K.TIME),
        FieldSpec(name="shop", kind=K.CATEGORY),
        FieldSpec(name="region", kind=K.INT),
        FieldSpec(name="express", kind=K.BOOL),
        FieldSpec(name="amount", kind=K.FLOAT),
        FieldSpec(name="pieces", kind=K.INT),
        FieldSpec(name="paid", kind=K.TIME),
        FieldSpec(name="closed", kind=K.TIME),
        FieldSpec(name="payment", kind=K.FLOAT, known_at="paid"),
        FieldSpec(name="outcome", kind=K.FLOAT, known_at="closed"),
    ),
)
STOCK = ContractSpec(
    name="Stock",
    fields=(
        FieldSpec(name="shop", kind=K.KEY),
        FieldSpec(name="region", kind=K.INT),
        FieldSpec(name="express", kind=K.BOOL),
        FieldSpec(name="at", kind=K.EVENT_TIME),
        FieldSpec(name="seen", kind=K.TIME),
        FieldSpec(name="level", kind=K.FLOAT),
        FieldSpec(name="checked", kind=K.FLOAT, known_at="seen"),
        FieldSpec(name="clerk", kind=K.TEXT, known_at="seen"),
        FieldSpec(name="open", kind=K.BOOL, known_at="seen"),
        FieldSpec(name="units", kind=K.INT),
    ),
)


def own(name: str) -> Field:
    return Field(contract="Order", field=name)


def latest(*fields: str, by: tuple[str, ...], within: float | None = None) -> Latest:
    return Latest(contract="Stock", fields=fields, by=by, within_s=within)


def rolling(contract: str, field: str, function: Any, hours: float, by: tuple[str, ...]) -> Rolling:
    return Rolling(contract=contract, field=field, function=function, over_s=hours * HOUR, by=by)


LEVEL = latest("level", by=("shop",), within=2 * HOUR)
PAYMENT = rolling("Order", "payment", "mean", 3, ("shop",))
COLUMNS = (
    own("id"),
    own("shop"),
    own("region"),
    own("express"),
    own("amount"),
    own("pieces"),
    *(TimePart(of=own("at"), part=part) for part in ("minute", "hour", "weekday", "day", "month", "quarter", "year")),
    TimePart(of=own("due"), part="hour"),
    latest("level", "units", by=("shop",)),
    latest("checked", "clerk", "open", by=("shop", "region"), within=HOUR),
    Latest(contract="Order", fields=("outcome",), by=("shop", "express")),
    PAYMENT,
    *(rolling("Order", "payment", f, 1, ()) for f in ("sum", "count", "min", "max", "std", "mean")),
    rolling("Order", "payment", "std", 5, ("shop", "express")),
    rolling("Order", "outcome", "sum", 2, ("express",)),
    rolling("Order", "express", "mean", 2, ("region",)),
    rolling("Order", "pieces", "sum", 4, ("shop",)),
    rolling("Stock", "clerk", "count", 2, ("shop",)),
    rolling("Stock", "checked", "max", 4, ("region",)),
    rolling("Stock", "checked", "min", 4, ("region",)),
    rolling("Stock", "units", "mean", 100, ("shop", "region", "express")),
    Derived(name="share", expression=Arithmetic(op="/", left=own("amount"), right=LEVEL)),
    Derived(name="above", expression=Comparison(op=">=", left=own("pieces"), right=LEVEL)),
    Derived(name="same_shop", expression=Comparison(op="==", left=own("shop"), right=Constant(value="a"))),
    Derived(
        name="mixed",
        expression=Arithmetic(
            op="-",
            left=Arithmetic(op="*", left=own("amount"), right=Constant(value=-0.0)),
            right=Arithmetic(op="+", left=PAYMENT, right=own("express")),
        ),
    ),
)
LABEL = Label(expression=Comparison(op=">", left=own("outcome"), right=own("amount")), name="bad")

# Few keys and few moments, so that rows meet.
shops = st.sampled_from(["a", "a", "a", "ü", "-", None])
regions = st.sampled_from([0, 0, 0, -7, 2**60, None])
flags = st.sampled_from([True, True, False, None])
texts = st.sampled_from(["x", "yy", "-", "日本", None])
# Below 2**53, as sums demand; the resolution of 2**-40 is touched from both sides.
summable = st.one_of(
    st.sampled_from(
        [
            None,
            math.nan,
            0.0,
            -0.0,
            0.1,
            -2.5,
            1e-13,
            3e15,
            -8e15,
            2.0**52 + 0.5,
            -(2.0**-41),
            1 - 2.0**-42,
            1 - 2.0**-40,
        ]
    ),
    st.floats(-1e6, 1e6),
)
any_floats = st.one_of(summable, st.sampled_from([math.inf, -math.inf, 1e300, 5e-324]))
whole = st.one_of(st.none(), st.integers(-5, 5), st.sampled_from([2**52 + 1, -(2**52)]))
zones = st.sampled_from([UTC, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")])


@st.composite
def times(draw: st.DrawFn, *, absent: bool = True) -> datetime | None:
    """A moment on a coarse grid, so that ties are common, sometimes a microsecond beside it."""
    if absent and draw(st.integers(0, 9)) == 0:
        return None
    at = START + draw(st.integers(0, 9)) * timedelta(minutes=30) + draw(st.sampled_from([0, 0, 0, 1, -1])) * MICRO
    return at.astimezone(draw(zones))


orders = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["o1", "o2", "o3", "o4", "o5", "o6"]), "at": times(), "due": times(), "shop": shops,
        "region": regions, "express": flags, "amount": any_floats, "pieces": whole, "paid": times(), "closed": times(),
        "payment": summable, "outcome": summable,
    }
)  # fmt: skip
stocks = st.fixed_dictionaries(
    {
        "shop": shops, "region": regions, "express": flags, "at": times(), "seen": times(), "level": any_floats,
        "checked": any_floats, "clerk": texts, "open": flags, "units": whole,
    }
)  # fmt: skip


@st.composite
def views(draw: st.DrawFn) -> FeatureViewSpec:
    """A view of some of the columns, decided at or around one of two times."""
    chosen = draw(st.sets(st.integers(0, len(COLUMNS) - 1), min_size=1, max_size=16))
    return FeatureViewSpec(
        name="nasty",
        of=ORDER,
        decided=draw(st.sampled_from(["at", "due"])),
        decided_offset_s=draw(st.sampled_from([0.0, -2 * HOUR, 1800.0, 1e-6])),
        columns=tuple(COLUMNS[i] for i in sorted(chosen)),
        contracts=(ORDER, STOCK),
    )


def tables_of(rows: dict[str, list[dict[str, Any]]], layout: int = 0) -> dict[str, pa.Table]:
    """Return rows as Arrow tables; ``layout`` chooses between layouts that mean the same."""
    return {c.name: _table(c, rows[c.name], layout) for c in (ORDER, STOCK)}


def _table(contract: ContractSpec, rows: list[dict[str, Any]], layout: int) -> pa.Table:
    columns = {}
    for field in contract.fields:
        values = [row[field.name] for row in rows]
        column = pa.array(values, _type_of(field, layout), from_pandas=False)
        if layout == 1 and pa.types.is_string(column.type):
            column = column.dictionary_encode()
        columns[field.name] = column
    table = pa.table(columns)
    # Layout 2 has several chunks and a column that no contract promises.
    if layout == 2:
        table = pa.concat_tables([table.slice(0, len(rows) // 2), table.slice(len(rows) // 2)])
        table = table.append_column("extra", pa.nulls(len(rows)))
    return table


def _type_of(field: FieldSpec, layout: int) -> pa.DataType:
    if field.kind in (K.TIME, K.EVENT_TIME):
        return (pa.timestamp("us", "UTC"), pa.timestamp("ns", "America/New_York"), pa.timestamp("us"))[layout]
    kinds = {K.FLOAT: pa.float64(), K.INT: pa.int64(), K.BOOL: pa.bool_()}
    return kinds.get(field.kind, pa.large_string() if layout == 2 else pa.string())
