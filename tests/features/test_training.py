"""Training frames: which rows come back, in which order, and what a wrong table says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from tests.features import nasty

from trimtab.declare import FeatureViewSpec, Label
from trimtab.features import TableProblem, training_frame
from trimtab.kernel import Invalid

HOUR = timedelta(hours=1)
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
LEVEL = nasty.latest("level", by=("shop",), within=2 * nasty.HOUR)
PAID = nasty.rolling("Order", "payment", "sum", 3, ("shop",))
COUNT = nasty.rolling("Order", "payment", "count", 3, ("shop",))
ORDER: dict[str, Any] = {
    "id": "o1", "at": NOON, "due": NOON, "shop": "a", "region": 0, "express": True, "amount": 1.0, "pieces": 1,
    "paid": NOON, "closed": NOON + HOUR, "payment": 5.0, "outcome": 7.0,
}  # fmt: skip
STOCK: dict[str, Any] = {
    "shop": "a", "region": 0, "express": True, "at": NOON, "seen": NOON, "level": 1.0, "checked": 1.0, "clerk": "x",
    "open": True, "units": 1,
}  # fmt: skip


def view(*columns: Any, offset: float = 0.0) -> FeatureViewSpec:
    return FeatureViewSpec(
        name="v", of=nasty.ORDER, decided="at", decided_offset_s=offset, columns=columns,
        contracts=(nasty.ORDER, nasty.STOCK),
    )  # fmt: skip


def frame(columns: Any, orders: list[Any], stocks: list[Any] = [], **more: Any) -> dict[str, list[Any]]:  # noqa: B006
    tables = nasty.tables_of({"Order": [ORDER | o for o in orders], "Stock": [STOCK | s for s in stocks]})
    found: dict[str, list[Any]] = training_frame(view(*columns), tables, **more).to_pydict()
    return found


def test_every_row_comes_back_in_its_order_whatever_it_matches() -> None:
    orders = [{"id": "b", "shop": "zz"}, {"id": "a"}, {"id": "b", "shop": None}, {"id": "c", "at": None}, {"id": "a"}]
    got = frame([LEVEL, PAID, COUNT, nasty.own("amount")], orders, [{"level": 4.0}])

    assert got["key_id"] == ["b", "a", "b", "c", "a"]
    assert got["stock_level"] == [None, 4.0, None, None, 4.0]
    # The order without a shop and the one of another shop are in no window but their own.
    assert got["shop_payment_sum_3h"] == [5.0, 15.0, None, None, 15.0]
    assert got["shop_payment_count_3h"] == [1, 3, 0, None, 3]
    assert got["amount"] == [1.0] * 5


def test_a_value_counts_from_the_moment_it_is_known_and_for_as_long_as_the_window() -> None:
    orders = [{"at": NOON + i * HOUR, "paid": NOON} for i in (-1, 0, 1, 2, 3)]
    got = frame([COUNT], orders)

    assert got["shop_payment_count_3h"] == [0, 5, 5, 5, 0]


def test_the_greatest_age_is_inclusive_and_an_event_ahead_of_the_decision_is_young() -> None:
    got = frame([LEVEL], [{}], [{"at": NOON - 2 * HOUR}])
    assert got["stock_level"] == [1.0]
    checked = nasty.latest("checked", by=("shop",), within=60.0)
    ahead = frame([checked], [{}], [{"at": NOON + 5 * HOUR, "seen": NOON - HOUR, "checked": 9.0}])
    assert ahead["stock_checked"] == [9.0]


def test_an_old_newest_row_does_not_let_an_older_one_through_and_null_is_an_answer() -> None:
    got = frame([LEVEL], [{}], [{"at": NOON - HOUR, "level": None}, {"at": NOON - 2 * HOUR, "level": 3.0}])
    assert got["stock_level"] == [None]


@pytest.mark.parametrize(
    ("stocks", "wins"),
    [
        ([{"at": NOON, "checked": 1.0}, {"at": NOON - HOUR, "checked": 2.0}], 1.0),
        ([{"seen": NOON, "checked": 1.0}, {"seen": NOON - HOUR, "checked": 2.0}], 1.0),
        ([{"seen": NOON - HOUR, "checked": 1.0}, {"seen": NOON, "checked": 2.0}], 2.0),
        ([{"checked": 1.0}, {"checked": 2.0}], 2.0),
        ([{"seen": NOON + HOUR, "checked": 1.0}, {"at": NOON - 9 * HOUR, "checked": 2.0}], 2.0),
        ([{"seen": None, "checked": 1.0}, {"at": None, "checked": 3.0}, {"at": NOON - 9 * HOUR, "checked": 2.0}], 2.0),
    ],
)
def test_ties_are_broken_by_event_then_known_then_row(stocks: list[Any], wins: float) -> None:
    got = frame([nasty.latest("checked", by=("shop",))], [{}], stocks)
    assert got["stock_checked"] == [wins]


def test_since_and_until_keep_rows_and_known_by_hides_facts() -> None:
    orders = [{"at": NOON + i * HOUR, "paid": NOON + i * HOUR} for i in range(4)] + [{"at": None}]
    got = frame([COUNT], orders, since=NOON + HOUR, until=NOON + 3 * HOUR)
    assert got["decided_at"] == [NOON + HOUR, NOON + 2 * HOUR]
    # Rows outside are facts all the same: the order without a moment of its own was paid at noon.
    assert got["shop_payment_count_3h"] == [3, 4]
    hidden = frame([COUNT], orders, known_by=NOON)
    assert hidden["shop_payment_count_3h"] == [2, 2, 2, 0, None]


def test_a_label_is_null_unless_it_becomes_known_after_the_decision_and_in_time() -> None:
    closed = [NOON + HOUR, NOON, NOON - HOUR, None, NOON + 5 * HOUR]
    got = frame([nasty.own("amount")], [{"closed": at} for at in closed], label=nasty.LABEL, known_by=NOON + 4 * HOUR)
    assert got["label"] == [True, None, None, None, None]
    assert got["label_known_at"] == closed


def test_a_regression_label_is_a_double() -> None:
    label = Label(expression=nasty.own("outcome"), name="outcome")
    table = training_frame(view(nasty.own("amount")), nasty.tables_of({"Order": [ORDER], "Stock": []}), label=label)
    assert table.schema.field("label").type == pa.float64()
    assert table["label"].to_pylist() == [7.0]


def test_without_any_rows_the_frame_has_its_columns() -> None:
    empty = frame(nasty.COLUMNS, [], label=nasty.LABEL)
    assert all(values == [] for values in empty.values())
    assert list(empty)[:3] == ["key_id", "decided_at", "id"]
    assert list(empty)[-2:] == ["label", "label_known_at"]
    assert frame([LEVEL, COUNT], [{"paid": None}])["stock_level"] == [None]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t | {"Stock": t["Stock"].drop_columns(["level"])}, "no columns 'level'"),
        (lambda t: {"Order": t["Order"]}, "no table for the contract Stock"),
        (
            lambda t: t | {"Stock": set_column(t["Stock"], "level", pa.array(["high"]))},
            "level holds text such as 'high', promised a number",
        ),
        (lambda t: t | {"Stock": set_column(t["Stock"], "at", pa.array(["soon"]))}, "promised a time"),
        (lambda t: t | {"Stock": set_column(t["Stock"], "at", pa.array([7]))}, "promised a time"),
        (lambda t: t | {"Stock": set_column(t["Stock"], "shop", pa.array([2.0**60]))}, "promised text"),
        (lambda t: t | {"Stock": t["Stock"].append_column("level", t["Stock"]["level"])}, "2 columns 'level'"),
    ],
)
def test_a_table_that_breaks_its_contract_is_named(change: Any, says: str) -> None:
    tables = nasty.tables_of({"Order": [ORDER], "Stock": [STOCK]})
    with pytest.raises(TableProblem, match=says) as caught:
        training_frame(view(LEVEL), change(tables))
    assert all(caught.value.parts().values())


def test_an_infinite_value_is_kept_alone_and_refused_in_a_sum() -> None:
    assert frame([nasty.own("amount")], [{"amount": float("-inf")}])["amount"] == [float("-inf")]
    with pytest.raises(TableProblem, match="too large to be added up"):
        frame([PAID], [{"payment": float("inf")}])


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="no time zone"):
        frame([COUNT], [{}], since=datetime(2013, 1, 1))


def set_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)
