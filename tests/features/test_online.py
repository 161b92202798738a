"""Online rows: how far back they are exact, how old their values are, and reading while the store is filled."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.features import nasty
from tests.features.test_training import COUNT, HOUR, LEVEL, NOON, ORDER, PAID, STOCK, view
from tests.waiting import wait_until

from trimtab.features import (
    BeforeHorizon,
    NotMaterialised,
    OnlineStore,
    UnknownRow,
    add_facts,
    compare_offline_online,
    compile_view,
    fill,
    forget,
    online_row,
)
from trimtab.kernel import Invalid, Unavailable

VIEW = view(nasty.own("shop"), nasty.own("amount"), LEVEL, PAID, COUNT)


@pytest.fixture
def online(tmp_path: Path) -> Iterator[OnlineStore]:
    opened = OnlineStore(tmp_path / "online.db")
    yield opened
    opened.close()


def tables(orders: list[Any], stocks: list[Any]) -> Any:
    return nasty.tables_of({"Order": [ORDER | o for o in orders], "Stock": [STOCK | s for s in stocks]})


def test_a_row_by_key_is_decided_at_its_own_moment_and_tells_ages(online: OnlineStore) -> None:
    fill(online, VIEW, tables([{"paid": NOON - HOUR}], [{"at": NOON - HOUR / 2}]), now=NOON + HOUR)

    row = online.read(VIEW, {"id": "o1"})

    assert row.at == NOON
    assert row.as_dict() == {
        "shop": "a", "amount": 1.0, "stock_level": 1.0, "shop_payment_sum_3h": 5.0, "shop_payment_count_3h": 1,
    }  # fmt: skip
    assert row.ages_s == (None, None, 1800.0, 3600.0, 3600.0)
    assert row.request == {"shop": "a", "amount": 1.0, "at": NOON}
    assert row.materialised_at == NOON + HOUR


def test_a_row_may_be_described_by_the_request_and_asked_at_another_moment(online: OnlineStore) -> None:
    fill(online, VIEW, tables([{}], [{}]), now=NOON)
    request = {"shop": "a", "amount": 3, "at": "2013-03-01T13:00:00Z", "unknown": 1}

    assert online_row(VIEW, online, request).as_dict()["stock_level"] == 1.0
    assert online.row(VIEW, request | {"at": (NOON + 2 * HOUR).isoformat()}).values[2] == 1.0
    assert online.row(VIEW, request, NOON + 3 * HOUR).values == ("a", 3.0, None, None, 0)
    assert online.row(VIEW, {"shop": None, "amount": float("nan")}, NOON).values == (None, None, None, None, 0)
    assert online.row(VIEW, {"shop": "nowhere", "amount": None}, NOON).ages_s == (None,) * 5


def test_a_replayed_read_does_not_see_what_became_known_later(online: OnlineStore) -> None:
    stocks = [{"at": NOON + i * HOUR, "level": float(i)} for i in range(-30, 5)]
    fill(online, VIEW, tables([], stocks), now=NOON + 4 * HOUR, horizon=6 * HOUR)

    for i in (-2, 0, 3):
        assert online.row(VIEW, {"shop": "a", "amount": 0}, NOON + i * HOUR).values[2] == float(i)
    with pytest.raises(BeforeHorizon, match="before what the online store holds") as caught:
        online.row(VIEW, {"shop": "a", "amount": 0}, NOON - 2 * HOUR - timedelta(microseconds=1))
    assert "2013-03-01T10:00:00" in caught.value.why


def test_facts_of_the_future_wait(online: OnlineStore) -> None:
    now, later = NOON, NOON + 2 * HOUR
    state = tables([], [{"level": 1.0}, {"at": NOON + HOUR, "level": 2.0}])

    assert fill(online, VIEW, state, now=now).how == "filled"
    assert online.row(VIEW, {"shop": "a", "amount": 0}, later).values[2] == 1.0
    assert fill(online, VIEW, state, now=now + HOUR / 2).how == "unchanged"
    assert fill(online, VIEW, state, now=later).how == "appended"
    assert online.row(VIEW, {"shop": "a", "amount": 0}, later).values[2] == 2.0


def test_grown_tables_are_appended_and_rewritten_ones_fill_anew(online: OnlineStore) -> None:
    old = [{"at": NOON - HOUR, "level": 1.0}]
    new = [{"at": NOON + HOUR, "level": 2.0}]
    fill(online, VIEW, tables([{}], old), now=NOON)

    more = {"id": "o2", "paid": NOON + HOUR}
    grown = fill(online, VIEW, tables([{}, more], old + new), now=NOON + HOUR)
    assert (grown.how, grown.facts, grown.rows) == ("appended", 2, 1)
    assert online.read(VIEW, {"id": "o2"}, NOON + HOUR).values[2] == 2.0
    assert fill(online, VIEW, tables([{}], [old[0] | {"level": 9.0}, *new]), now=NOON + HOUR).how == "filled"
    assert online.row(VIEW, {"shop": "a", "amount": 0}, NOON).values[2] == 9.0
    with pytest.raises(UnknownRow):
        online.read(VIEW, {"id": "o2"}, NOON)
    assert fill(online, VIEW, tables([{}], old), now=NOON - HOUR).how == "filled"


def test_rows_that_are_read_together_see_one_state(online: OnlineStore) -> None:
    orders = [{"id": "o1"}, {"id": "o2", "shop": "b"}]
    fill(online, VIEW, tables(orders, [{"at": NOON - HOUR, "level": 1.0}]), now=NOON)

    with online.reading(VIEW) as state:
        assert state.read({"id": "o1"}).values[2] == 1.0
        fill(online, VIEW, tables([*orders, {"id": "o3"}], [{"at": NOON - HOUR, "level": 2.0}]), now=NOON)
        assert state.row({"shop": "a", "amount": 0}, NOON).values[2] == 1.0
        assert state.read({"id": "o2"}).values[2] is None
        with pytest.raises(UnknownRow):
            state.read({"id": "o3"})
    assert online.read(VIEW, {"id": "o3"}).values[2] == 2.0
    with pytest.raises(NotMaterialised), online.reading(view(LEVEL)):
        pass


def test_another_definition_has_its_own_values_until_it_is_forgotten(online: OnlineStore) -> None:
    other = view(LEVEL)
    fill(online, VIEW, tables([], [{}]), now=NOON)
    with pytest.raises(NotMaterialised):
        online.row(other, {"shop": "a"}, NOON)
    fill(online, other, tables([], [{}]), now=NOON)
    assert online.row(other, {"shop": "a"}, NOON).values == (1.0,)
    forget(online, other)
    with pytest.raises(NotMaterialised):
        online.row(other, {"shop": "a"}, NOON)
    assert online.row(VIEW, {"shop": "a", "amount": 0}, NOON).values[2] == 1.0


def test_facts_that_were_added_are_not_counted_twice(online: OnlineStore) -> None:
    fill(online, VIEW, tables([{}], []), now=NOON)
    add_facts(online, VIEW, "Order", tables([{"id": "o2", "paid": NOON + HOUR}], [])["Order"])
    at = NOON + HOUR
    assert online.row(VIEW, {"shop": "a", "amount": 0}, at).values[3:] == (10.0, 2)

    both = tables([{}, {"id": "o2", "paid": NOON + HOUR}], [])
    assert fill(online, VIEW, both, now=at).how == "filled"
    assert online.row(VIEW, {"shop": "a", "amount": 0}, at).values[3:] == (10.0, 2)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"amount": 1.0}, "no 'shop'"),
        ({"shop": 2.0**60, "amount": 1.0}, "not a category for shop"),
        ({"shop": "a", "amount": "1"}, "not a float for amount"),
        ({"shop": "a", "amount": True}, "not a float for amount"),
        ({"shop": "a", "amount": 10**400}, "not a float for amount"),
        ({"shop": "\ud800", "amount": 1.0}, "not a category for shop"),
        ({"shop": "a", "amount": 1.0, "at": "noon"}, "not a time"),
        ({"shop": "a", "amount": 1.0, "at": None}, "no moment of decision"),
        ({"shop": "a", "amount": 1.0, "at": datetime(2013, 1, 1)}, "no time zone"),
        ({"shop": "a", "amount": 1.0, "at": 5}, "not a event_time"),
    ],
)
def test_a_wrong_request_is_refused(online: OnlineStore, request_: Any, says: str) -> None:
    fill(online, VIEW, tables([], []), now=NOON)
    with pytest.raises(Invalid, match=says) as caught:
        online.row(VIEW, request_)
    assert all(caught.value.parts().values())


@pytest.mark.parametrize("region", [2.5, float("inf"), 2**63, 2.0**60, True, "0", Decimal("0.5"), Decimal(2**63)])
def test_a_whole_number_is_asked_for(online: OnlineStore, region: Any) -> None:
    by_region = view(nasty.latest("level", by=("region",)))
    fill(online, by_region, tables([], [{}]), now=NOON)
    for zero in (0.0, Decimal("0.00"), np.int16(0), np.float32(-0.0)):
        assert online.row(by_region, {"region": zero}, NOON).values == (1.0,)
    with pytest.raises(Invalid, match="not a int for region"):
        online.row(by_region, {"region": region}, NOON)


@pytest.mark.parametrize(
    ("kept", "asked"), [(7, 7), ("7", 7.0), ("7", "7"), (True, "true"), ("true", True), (0.5, "0.5"), (" ", None)]
)
def test_a_key_has_one_text_in_a_column_and_in_a_request(online: OnlineStore, kept: Any, asked: Any) -> None:
    found = tables([], [{}])
    row = found["Stock"].schema.get_field_index("shop")
    found["Stock"] = found["Stock"].set_column(row, "shop", pa.array([kept]))
    fill(online, VIEW, found, now=NOON)
    expected = None if asked is None else 1.0
    assert online.row(VIEW, {"shop": asked, "amount": 0}, NOON).values[2] == expected
    assert online.row(VIEW, {"shop": kept, "amount": 0}, NOON).values[2] == expected


@pytest.mark.parametrize("missing", [None, float("nan"), Decimal("NaN"), Decimal("sNaN"), pd.NA, pd.NaT], ids=repr)
def test_what_says_that_a_value_is_missing_is_null_in_a_request(online: OnlineStore, missing: Any) -> None:
    fill(online, VIEW, tables([], [{}]), now=NOON)
    assert online.row(VIEW, {"shop": missing, "amount": missing}, NOON).values[2] is None


def test_large_keys_are_told_apart(online: OnlineStore) -> None:
    by_region = view(nasty.latest("level", by=("region",)))
    facts = [{"region": 2**53, "level": 1.0}, {"region": 2**53 + 1, "level": 2.0}, {"region": 2**63 - 1, "level": 3.0}]
    fill(online, by_region, tables([], facts), now=NOON)
    for fact in facts:
        assert online.row(by_region, {"region": fact["region"]}, NOON).values == (fact["level"],)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_bytes(b"not a database" * 400)
    with pytest.raises(Unavailable, match="does not answer"):
        OnlineStore(tmp_path / "online.db")


def test_an_unknown_key_and_a_missing_key_are_refused(online: OnlineStore) -> None:
    fill(online, VIEW, tables([{}, {"id": "o9", "at": None}], []), now=NOON)
    with pytest.raises(UnknownRow, match="no Order with id='x'"):
        online.read(VIEW, {"id": "x"})
    with pytest.raises(Invalid, match="no 'id'"):
        online.read(VIEW, {})
    with pytest.raises(Invalid, match="no moment of decision"):
        online.read(VIEW, {"id": "o9"})
    assert online.read(VIEW, {"id": "o9"}, NOON).values[0] == "a"


def test_a_failed_fill_leaves_what_was_there(online: OnlineStore) -> None:
    fill(online, VIEW, tables([], [{}]), now=NOON)
    with pytest.raises(Invalid, match="too large"):
        fill(online, VIEW, tables([{"payment": 1e300}], [{"level": 5.0}]), now=NOON)
    assert online.row(VIEW, {"shop": "a", "amount": 0}, NOON).values[2] == 1.0


def test_reads_go_on_while_the_store_is_filled_and_see_one_state(online: OnlineStore) -> None:
    """Each filling writes one number to both parts; a reader must never see two numbers."""
    compiled = compile_view(view(LEVEL, PAID))

    def state(number: int) -> Any:
        return tables([{"payment": float(number)}], [{"level": float(number)}] * 200)

    fill(online, compiled, state(0), now=NOON)
    done, seen, mixed = threading.Event(), set[float](), list[Any]()

    def read() -> None:
        while not done.is_set():
            level, paid = online.row(compiled, {"shop": "a"}, NOON).values
            seen.add(float(level or 0))
            if level != paid:
                mixed.append((level, paid))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 25):
            fill(online, compiled, state(number), now=NOON)
            wait_until(lambda number=number: float(number) in seen, "somebody has read it")  # type: ignore[misc]
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not mixed


def test_a_store_opens_and_reads_while_another_process_would_write(online: OnlineStore, tmp_path: Path) -> None:
    fill(online, VIEW, tables([], [{}]), now=NOON)
    with online.writing():
        second = OnlineStore(tmp_path / "online.db")
        assert second.row(VIEW, {"shop": "a", "amount": 0}, NOON).values[2] == 1.0
        second.close()


def test_the_comparison_finds_a_difference(online: OnlineStore) -> None:
    orders = [{"id": f"o{i}", "at": NOON + i * HOUR, "paid": NOON + i * HOUR} for i in range(9)]
    stocks = [{"at": NOON + i * HOUR, "level": float(i)} for i in range(9)]
    assert compare_offline_online(VIEW, tables(orders, stocks)).equal
    fill(online, VIEW, tables(orders, stocks), now=NOON + 8 * HOUR, horizon=4 * HOUR)
    same = compare_offline_online(VIEW, tables(orders, stocks), online=online)
    assert same.equal
    assert same.rows == 5
    stocks[6]["level"] = -1.0
    other = compare_offline_online(VIEW, tables(orders, stocks), online=online, rows=3)
    assert other.rows == 3
    everything = compare_offline_online(VIEW, tables(orders, stocks), online=online)
    assert [(d.row, d.column, d.offline, d.online) for d in everything.differences] == [(6, "stock_level", -1.0, 6.0)]
