"""What a request gives is held to the contract: refused, or answered and flagged; and what keeps it is left alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.gateways import problem_of, raw, serve
from tests.serving.late import (
    FLIGHT,
    INPUTS,
    NAMES,
    NOON,
    ORIGINS,
    PROMISING,
    SEEN,
    FakeReleases,
    facts,
    gateway_of,
    history,
    plain,
    route,
    some_rows,
)

from trimtab.features import OnlineStore, compile_view, fill
from trimtab.kernel import Invalid, VirtualClock
from trimtab.serving import Ask, Gateway, PromiseBroken, decisions, find_decision
from trimtab.serving.decisions import BROKEN_MARK, broken_decisions
from trimtab.serving.inputs import Intake
from trimtab.serving.promises import field_rules, input_rules
from trimtab.store import Store

FIELDS: dict[str, list[Any]] = {
    "origin": ["EWR"], "carrier": ["UA"], "distance": [733.0], "scheduled": ["2013-03-01T13:30:00Z"],
}  # fmt: skip


@pytest.fixture
def online(sqlite_store: Store, clock: VirtualClock) -> Iterator[OnlineStore]:
    clock.advance_to(NOON)
    opened = OnlineStore(sqlite_store.settings.home_path / "online.db")
    fill(opened, PROMISING, facts(), now=NOON)
    yield opened
    opened.close()


@pytest.fixture
def released(sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]) -> FakeReleases:
    releases.release(sqlite_store, 1, models[1], view=PROMISING, inputs=SEEN)
    return releases


IN_FULL = {
    "above": ({"distance": [5000.5]}, "distance 5000.5, promised 0 to 5000"),
    "below": ({"distance": [-1]}, "distance -1, promised 0 to 5000"),
    "just above": ({"distance": [5000.000000000001]}, "distance 5000.000000000001, promised 0 to 5000"),
    "not listed": ({"origin": ["BOS"]}, "origin 'BOS', promised one of EWR, JFK, LGA"),
    "looked up": ({"weather_temp": [200.0]}, "weather_temp 200, promised -60 to 130"),
    "part of a time": ({"scheduled_hour": [24]}, "scheduled_hour 24, promised 0 to 23"),
    "missing": ({"distance": [None]}, "distance is missing, promised in every row"),
    "nan": ({"distance": [float("nan")]}, "distance is missing, promised in every row"),
    "text missing": ({"origin": [None]}, "origin is missing, promised in every row"),
    "text blank": ({"origin": [" \t"]}, "origin is missing, promised in every row"),
    "part missing": ({"scheduled_hour": [None]}, "scheduled_hour is missing, promised in every row"),
}
BY_FIELDS = {
    "above": ({"distance": [5001]}, "distance 5001, promised 0 to 5000"),
    "not listed": ({"origin": ["BOS"]}, "origin 'BOS', promised one of EWR, JFK, LGA"),
    "missing": ({"distance": [None]}, "distance is missing, promised in every row"),
    "a number beside texts": ({"origin": [5]}, "origin '5', promised one of EWR, JFK, LGA"),
    "a truth beside texts": ({"origin": [True]}, "origin 'true', promised one of EWR, JFK, LGA"),
    "blank": ({"origin": [""]}, "origin is missing, promised in every row"),
    "a decimal": ({"distance": [Decimal("5000.5")]}, "distance 5000.5, promised 0 to 5000"),
    "blank key": ({"flight_id": ["  "]}, "flight_id is missing, promised in every row"),
    "key missing": ({"flight_id": [None]}, "flight_id is missing, promised in every row"),
}
ASKS = [(f"in full, {name}", raw(**changed), says) for name, (changed, says) in IN_FULL.items()] + [
    (f"by fields, {name}", Ask(columns=FIELDS | changed), says) for name, (changed, says) in BY_FIELDS.items()
]


@pytest.mark.parametrize(("ask", "says"), [case[1:] for case in ASKS], ids=[case[0] for case in ASKS])
def test_a_broken_row_is_refused_or_flagged(
    sqlite_store: Store, released: FakeReleases, online: OnlineStore, ask: Ask, says: str
) -> None:
    store = sqlite_store
    route(store, released)
    error = problem_of(gateway_of(store, released, online=online), ask)
    assert isinstance(error, PromiseBroken)
    assert error.what == f"the request breaks its contract: {says}"
    assert error.where == f"inputs: {says.split(maxsplit=1)[0]}"
    assert decisions(store, "late") == []

    route(store, released, broken_rows="flag")
    answer = serve(gateway_of(store, released, online=online), lambda g: g.infer("late", ask))
    for one in (find_decision(store, answer.decision_ids[0]), decisions(store, "late")[0]):  # sealed by now
        assert one.broken == (says,)
    assert broken_decisions(
        store, "late", since=datetime(2000, 1, 1, tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC)
    ) == [(answer.decision_ids[0], [says])]


ALLOWED = {
    "bounds": raw(distance=[0.0], weather_temp=[130.0]),
    "other bound": raw(distance=[5000], scheduled_hour=[0]),
    "unseen category": raw(carrier=["ZZ"]),
    "seen missing": raw(carrier=[None], weather_temp=[None]),
    "declared missing, by fields": Ask(columns=FIELDS | {"carrier": [None]}),
    "by fields": Ask(columns=FIELDS),
    "by key": Ask(columns={"flight_id": ["F1"]}),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_keeps_the_contract_is_answered_without_a_word(
    sqlite_store: Store, released: FakeReleases, online: OnlineStore, name: str
) -> None:
    route(sqlite_store, released, broken_rows="flag")
    answer = serve(gateway_of(sqlite_store, released, online=online), lambda g: g.infer("late", ALLOWED[name]))
    assert find_decision(sqlite_store, answer.decision_ids[0]).broken == ()


def test_what_the_model_cannot_take_is_refused_whatever_is_declared(
    sqlite_store: Store, released: FakeReleases, online: OnlineStore
) -> None:
    route(sqlite_store, released, broken_rows="flag")
    by_fields = (Ask(columns=FIELDS | {"distance": [odd]}) for odd in ("far", float("-inf")))
    for ask in (raw(distance=["far"]), raw(distance=[float("inf")]), *by_fields):
        error = problem_of(gateway_of(sqlite_store, released, online=online), ask)
        assert isinstance(error, Invalid)
        assert not isinstance(error, PromiseBroken)


def test_many_rows_are_judged_row_by_row(sqlite_store: Store, released: FakeReleases) -> None:
    store, rows = sqlite_store, some_rows(40)
    rows[3][2], rows[3][0], rows[17][4] = 9000.0, "BOS", -100.0
    ask = Ask(columns=dict(zip(NAMES, [list(column) for column in zip(*rows, strict=True)], strict=True)))
    route(store, released)
    error = problem_of(gateway_of(store, released), ask)
    assert error.what.endswith("origin 'BOS', promised one of EWR, JFK, LGA (and 2 more)")
    assert (error.where, error.data["rows"]) == ("inputs, row 3: origin", [3, 17])

    route(store, released, broken_rows="flag")

    async def asked(gateway: Gateway) -> Any:
        answer = await gateway.infer("late", ask)
        open_ = [find_decision(store, id_).broken for id_ in answer.decision_ids]
        return answer, open_, gateway.status()[0].figures[0].flagged

    answer, open_, flagged = serve(gateway_of(store, released), asked)
    broken = [find_decision(store, id_).broken for id_ in answer.decision_ids]
    assert broken == open_
    assert [i for i, texts in enumerate(broken) if texts] == [3, 17]
    assert broken[3] == ("origin 'BOS', promised one of EWR, JFK, LGA", "distance 9000, promised 0 to 5000")
    assert flagged == 2


def test_requests_that_are_refused_are_counted(sqlite_store: Store, released: FakeReleases) -> None:
    route(sqlite_store, released)

    async def asked(gateway: Gateway) -> int:
        for _ in range(3):
            with pytest.raises(PromiseBroken):
                await gateway.infer("late", raw(distance=[-1.0]))
        await gateway.infer("late", raw())
        return gateway.status()[0].figures[0].refused

    assert serve(gateway_of(sqlite_store, released), asked) == 3


def test_canaries_and_shadows_keep_what_each_row_breaks(
    sqlite_store: Store, released: FakeReleases, models: dict[int, Any]
) -> None:
    store = sqlite_store
    released.release(store, 2, models[2], view=PROMISING, inputs=SEEN)
    route(store, released, canary={2: 50.0}, paired=True, broken_rows="flag")
    rows = some_rows(60)
    for row in rows[::3]:
        row[2] = 9000.0
    ask = Ask(columns=dict(zip(NAMES, [list(column) for column in zip(*rows, strict=True)], strict=True)))

    async def asked(gateway: Gateway) -> Any:
        answer = await gateway.infer("late", ask)
        await gateway.settled()
        return answer

    answer = serve(gateway_of(store, released), asked)
    assert set(answer.versions) == {1, 2}
    broken = {one.id: one.broken for one in decisions(store, "late", limit=500)}
    assert [bool(broken[id_]) for id_ in answer.decision_ids] == [i % 3 == 0 for i in range(60)]
    mirrored = [one for one in decisions(store, "late", limit=500) if one.mirrors]
    assert len(mirrored) == 60
    assert all(one.broken == broken[one.mirrors] for one in mirrored)
    found = broken_decisions(
        store, "late", since=datetime(2000, 1, 1, tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC)
    )
    assert len(found) == 20  # each row once, not again for its mirror


def test_a_matrix_is_held_to_its_columns() -> None:
    inputs = tuple(one for one in SEEN if one.kind == "float")
    intake = Intake(inputs, view=compile_view(PROMISING), online=None, broken_rows="flag")
    rows = np.array([[10.0, 20.0], [5001.0, 20.0], [np.nan, 500.0], [5000.0, np.nan]])
    given = intake.rows(Ask(matrix=rows), 4, now=NOON)
    assert given.broken == [
        None,
        ["distance 5001, promised 0 to 5000"],
        ["distance is missing, promised in every row", "weather_temp 500, promised -60 to 130"],
        None,
    ]
    assert intake.rows(Ask(matrix=rows[:1]), 1, now=NOON).broken is None


def test_nothing_is_asked_of_models_that_do_not_say_what_they_saw() -> None:
    rules = dict(input_rules(INPUTS, compile_view(PROMISING)))
    assert not any(rule.required for rule in rules.values())
    assert input_rules(INPUTS, None) == []
    # A contract's bare field promises a value in every row, whatever the model saw.
    assert {name for name, rule in field_rules(compile_view(PROMISING), INPUTS).items() if rule.required} == {
        "flight_id", "origin", "distance",
    }  # fmt: skip
    assert {rule.name for _, rule in input_rules(SEEN, None) if rule.required} == {
        "origin",
        "distance",
        "scheduled_hour",
    }


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*ORIGINS, "BOS", None]), st.sampled_from(["UA", "ZZ", None]),
            st.floats(-10, 5010) | st.none() | st.integers(-10, 5010), st.integers(-2, 26) | st.none(),
            st.floats(-70, 140) | st.none(),
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_a_row_is_flagged_for_exactly_what_it_breaks(rows: list[tuple[Any, ...]]) -> None:
    def broken(row: tuple[Any, ...]) -> set[str]:
        origin, _, distance, hour, temp = row
        return {
            name
            for name, holds in (
                ("origin", origin in ORIGINS),
                ("distance", distance is not None and 0 <= distance <= 5000),
                ("scheduled_hour", hour is not None and 0 <= hour <= 23),
                ("weather_temp", temp is None or -60 <= temp <= 130),
            )
            if not holds
        }

    intake = Intake(SEEN, view=compile_view(PROMISING), online=None, broken_rows="flag")
    ask = Ask(columns=dict(zip(NAMES, [list(column) for column in zip(*rows, strict=True)], strict=True)))
    given_rows = intake.rows(ask, len(rows), now=NOON)
    found = given_rows.broken or [None] * len(rows)
    assert [{text.split(" ")[0] for text in texts or ()} for texts in found] == [broken(row) for row in rows]
    assert all(BROKEN_MARK.decode() in text for texts in found for text in texts or ())


def test_training_rows_keep_their_own_contract() -> None:
    frame, _ = history(500, seed=11)
    intake = Intake(SEEN, view=compile_view(PROMISING), online=None)
    columns = dict(zip(NAMES, [list(column) for column in zip(*plain(frame), strict=True)], strict=True))
    assert intake.rows(Ask(columns=columns), 500, now=NOON + timedelta(hours=1)).broken is None
    assert {field.name for field in FLIGHT.fields} >= {"origin", "carrier", "distance"}
