"""Outcomes: by id or key, once or corrected, early or late; and every bad one refused with nothing half written."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import func, select, update
from tests.monitoring.served import ACTOR, HOUR, START, Served, move

from trimtab.kernel import TrimtabError
from trimtab.monitoring import (
    Outcome,
    OutcomeRefused,
    OutcomeUnknown,
    TooManyOutcomes,
    bring_outcomes,
    performance,
    record_outcomes,
    watch,
)
from trimtab.monitoring.sums import float_of, read
from trimtab.monitoring.tables import monitoring_hours, monitoring_outcomes, monitoring_scores
from trimtab.monitoring.taking import digest_of_key
from trimtab.store import Store, VerificationKind, events, verify


def labelled(store: Store, version: int = 1) -> tuple[int, float]:
    """How many decisions of a version have an outcome, and the sum of these outcomes, by the hours' sums."""
    table = monitoring_hours.c
    with store.read() as connection:
        rows = connection.execute(select(table.labelled, table.sums).where(table.version == version)).all()
    return sum(row.labelled for row in rows), sum(float_of(read(row.sums)[1].observed) for row in rows)


def test_an_outcome_counts_once_and_a_later_one_corrects_it(store: Store) -> None:
    (id_,) = Served(store).decide([0.5], at=START)
    move(store, START + 3 * HOUR)
    first = Outcome(decision=id_, value=1, known_at=START + HOUR)
    recorded = record_outcomes(store, "late", [first], actor=ACTOR, because="it landed")
    assert (recorded.new, recorded.corrected, recorded.unchanged) == (1, 0, 0)
    again = record_outcomes(store, "late", [first], actor=ACTOR)
    assert (again.new, again.corrected, again.unchanged, again.event) == (0, 0, 1, None)
    assert labelled(store) == (1, 1.0)

    corrected = record_outcomes(store, "late", [Outcome(decision=id_, value=0, known_at=START + 2 * HOUR)], actor=ACTOR)
    assert (corrected.new, corrected.corrected) == (0, 1)
    assert labelled(store) == (1, 0.0)
    stale = record_outcomes(store, "late", [first], actor=ACTOR)  # what was known earlier does not come back
    assert stale.unchanged == 1
    assert labelled(store) == (1, 0.0)

    heard = [event for event in events(store) if event.type == "monitoring.outcomes-recorded"]
    assert sorted((one.data["new"], one.data["corrected"]) for one in heard) == [(0, 1), (1, 0)]
    assert {one.because for one in heard} == {"it landed", ""}
    store.checkpoint()
    assert verify(store).kind is VerificationKind.INTACT


def test_of_several_outcomes_in_one_call_the_last_known_counts(store: Store) -> None:
    (id_,) = Served(store).decide([0.5], at=START)
    move(store, START + 3 * HOUR)
    said = [
        Outcome(decision=id_, value=1, known_at=START + 2 * HOUR),
        Outcome(decision=id_, value=0, known_at=START + HOUR),
    ]
    assert record_outcomes(store, "late", said, actor=ACTOR).new == 1
    assert labelled(store) == (1, 1.0)


def test_outcomes_that_contradict_each_other_are_refused_with_their_rows(store: Store) -> None:
    served = Served(store)
    first, second = served.decide([0.5, 0.6], at=START, keys=[{"flight_id": "A"}, {"flight_id": "B"}])
    (third,) = served.decide([0.7], at=START + HOUR, keys=[{"flight_id": "A"}])
    move(store, START + 3 * HOUR)
    known = START + 2 * HOUR

    def refused(*outcomes: Outcome) -> OutcomeRefused:
        with pytest.raises(OutcomeRefused) as caught:
            record_outcomes(store, "late", outcomes, actor=ACTOR)
        return caught.value

    ok = Outcome(decision=second, value=1)
    told = refused(ok, Outcome(decision=first, value=1), Outcome(decision=first, value=0))
    assert told.what == f"outcomes contradict each other: rows 1 and 2 ({first}: 1 and 0)"
    assert (told.where, told.data["rows"]) == ("outcomes, row 2", [1, 2])
    refused(Outcome(decision=first, value=1, known_at=known), Outcome(decision=first, value=0, known_at=known))
    refused(Outcome(key={"flight_id": "A"}, value=1), ok, Outcome(key={"flight_id": "A"}, value=0))
    at = Outcome(key={"flight_id": "A"}, at=START, value=1)
    refused(at, Outcome(key={"flight_id": "A"}, at=START, value=0))
    refused(at, Outcome(decision=first, value=0))  # one decision, named in two ways
    refused(at, Outcome(key={"flight_id": "A"}, value=0))  # all of A, and one of them
    # A contradiction that a later outcome settles is one all the same.
    later = Outcome(decision=first, value=1, known_at=known + HOUR)
    refused(Outcome(decision=first, value=1, known_at=known), Outcome(decision=first, value=0, known_at=known), later)
    table = pa.table({"decision": [first, second, first], "value": [0.0, 1.0, 1.0]})
    with pytest.raises(OutcomeRefused, match="rows 0 and 2"):
        record_outcomes(store, "late", table, actor=ACTOR)
    assert labelled(store) == (0, 0.0)
    # The same value twice is one, and other moments of one key are other decisions.
    said = [ok, ok, at, Outcome(key={"flight_id": "A"}, at=START + HOUR, value=0), Outcome(decision=third, value=0)]
    assert record_outcomes(store, "late", said, actor=ACTOR).new == 3
    assert labelled(store) == (3, 2.0)


def test_a_source_that_contradicts_itself_gives_no_outcome_until_it_tells_one(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    keys = [{"flight_id": "A"}, {"flight_id": "B"}]
    Served(store).decide([0.5, 0.6], at=START, keys=keys)
    move(store, START + 3 * HOUR)

    def table(*rows: tuple[str, float, int]) -> pa.Table:
        names, values, hours = zip(*rows, strict=True)
        return pa.table({"flight_id": names, "value": values, "known_at": [START + hour * HOUR for hour in hours]})

    brought = bring_outcomes(store, "late", table(("A", 1.0, 1), ("B", 1.0, 1), ("A", 0.0, 1)), actor=ACTOR)
    assert (brought.new, labelled(store)) == (1, (1, 1.0))
    assert "outcomes contradict each other: rows 0 and 2 (about flight_id=A: 1 and 0); no outcome" in caplog.text
    brought = bring_outcomes(store, "late", table(("A", 1.0, 2)), actor=ACTOR)
    assert (brought.new, labelled(store)) == (1, (2, 2.0))


def test_an_outcome_may_come_before_its_decision_was_watched(store: Store) -> None:
    ids = Served(store).decide([0.2, 0.9], at=START)
    record_outcomes(store, "late", [Outcome(decision=ids[1], value=1)], actor=ACTOR)
    assert labelled(store) == (1, 1.0)
    move(store, START + HOUR)
    (row,) = watch(store, "late", until=START + HOUR)
    assert (row.n, row.labelled) == (2, 1)


def test_an_outcome_counts_for_the_shadows_that_mirrored_its_decision(store: Store) -> None:
    served = Served(store)
    ids = served.decide([0.2, 0.9], at=START)
    mirrored = served.decide([0.3], at=START, version=2, stage="shadow", mirrors=ids[:1])
    record_outcomes(store, "late", [Outcome(decision=id_, value=1) for id_ in ids], actor=ACTOR)
    assert labelled(store, 2) == (1, 1.0)
    served.decide([0.4], at=START, version=2, stage="shadow", mirrors=ids[1:])  # seen only now
    watch(store, "late", until=START)
    assert labelled(store, 2) == (2, 2.0)
    again = record_outcomes(store, "late", [Outcome(decision=mirrored[0], value=0)], actor=ACTOR)  # the shadow's own id
    assert again.corrected == 1
    assert (labelled(store, 1), labelled(store, 2)) == ((2, 1.0), (2, 1.0))


def test_outcomes_by_key_and_moment(store: Store) -> None:
    served = Served(store)
    key = {"flight_id": "F1", "leg": 2}
    for hour in range(2):
        served.decide([0.5], at=START + hour * HOUR, keys=[key])
    served.decide([0.5], at=START, keys=[{"flight_id": "F2", "leg": 2}])
    move(store, START + 3 * HOUR)
    turned = {"leg": 2, "flight_id": "F1"}
    one = record_outcomes(store, "late", [Outcome(key=turned, value=1, at=START)], actor=ACTOR)
    assert (one.new, labelled(store)) == (1, (1, 1.0))
    both = record_outcomes(store, "late", [Outcome(key=key, value=1)], actor=ACTOR)
    assert (both.new, both.unchanged, labelled(store)) == (1, 1, (2, 2.0)) or both.corrected == 1
    with pytest.raises(OutcomeUnknown, match="flight_id=F3"):
        record_outcomes(store, "late", [Outcome(key={"flight_id": "F3", "leg": 1}, value=1)], actor=ACTOR)
    with pytest.raises(OutcomeUnknown):
        record_outcomes(store, "late", [Outcome(key={"flight_id": "F1"}, value=1)], actor=ACTOR)


@pytest.mark.parametrize("said", [7, 7.0, "7", np.int64(7), np.float32(7), Decimal("7.0"), np.str_("7")])
@pytest.mark.parametrize("logged", [7, "7"])
def test_a_key_is_one_key_in_every_type(store: Store, logged: object, said: Any) -> None:
    Served(store).decide([0.5, 0.5], at=START, keys=[{"id": logged}, {"id": 8}])
    move(store, START + HOUR)
    value = 1 if isinstance(said, str) else type(said)(1)
    record_outcomes(store, "late", [Outcome(key={"id": said}, value=value)], actor=ACTOR)
    assert labelled(store) == (1, 1.0)
    with pytest.raises(OutcomeUnknown):
        record_outcomes(store, "late", [Outcome(key={"id": "07"}, value=1)], actor=ACTOR)


def test_a_key_that_was_taken_before_values_had_one_text_is_found(store: Store) -> None:
    ids = Served(store).decide([0.5], at=START, keys=[{"id": 7}])
    watch(store, "late", until=START + HOUR)
    of_old = update(monitoring_scores).where(monitoring_scores.c.id == ids[0]).values(key=digest_of_key({"id": 7}))
    with store.journal() as journal:
        journal.execute(of_old)
    move(store, START + HOUR)
    record_outcomes(store, "late", [Outcome(key={"id": 7}, value=1)], actor=ACTOR)
    assert labelled(store) == (1, 1.0)


def test_outcomes_as_a_table(store: Store) -> None:
    served = Served(store)
    ids = served.decide([0.1, 0.9], at=START, keys=[{"flight_id": "F1"}, {"flight_id": "F2"}])
    move(store, START + 3 * HOUR)
    known = [START + HOUR, START + 2 * HOUR]
    by_id = pa.table({"decision": ids, "value": [0.0, 1.0], "known_at": known})
    assert record_outcomes(store, "late", by_id, actor=ACTOR).new == 2
    by_key = pa.table({"flight_id": ["F1", "F2"], "value": [0.0, 1.0], "known_at": known})
    assert record_outcomes(store, "late", by_key, actor=ACTOR).unchanged == 2
    for wrong in (
        {"value": [1.0]},
        {"decision": ids},
        {"decision": ids, "flight_id": ["F1", "F2"], "value": [0.0, 1.0]},
    ):
        with pytest.raises(OutcomeRefused):
            record_outcomes(store, "late", pa.table(wrong), actor=ACTOR)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"value": float("nan")}, "NaN"),
        ({"value": float("inf")}, "finite"),
        ({"value": 1e200}, "finite"),
        ({"value": 10**400}, "finite"),
        ({"value": "late"}, "str"),
        ({"value": None}, "NoneType"),
        ({"value": 0.5}, "positive class"),
        ({"value": 2}, "positive class"),
        ({"decision": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "no decision"),
        ({"decision": ""}, "no id"),
        ({"decision": "x" * 5000}, "no id"),
        ({"decision": 7}, "no id"),
        ({"decision": None}, "names no decision"),
        ({"key": {"flight_id": "F1"}}, "a decision and a key"),
        ({"decision": None, "key": {}}, "no key"),
        ({"decision": None, "key": {"a": [1]}}, "no key"),
        ({"decision": None, "key": {"a": float("nan")}}, "no key"),
        ({"decision": None, "key": {"a": np.datetime64("2024-01-01", "ns")}}, "no key"),
        ({"value": np.datetime64("2024-01-01", "ns")}, "is a datetime64"),
        ({"value": np.timedelta64(5, "ns")}, "is a timedelta64"),
        ({"value": Decimal("sNaN")}, "is a Decimal"),
        ({"value": Decimal("Infinity")}, "finite"),
        ({"value": np.float32("nan")}, "NaN"),
        ({"decision": None, "key": {f"k{i}": 1 for i in range(30)}}, "no key"),
        ({"decision": None, "key": "F1"}, "no key"),
        ({"known_at": START + 100 * HOUR}, "nobody knows it yet"),
        ({"known_at": START.replace(tzinfo=None)}, "no moment"),
        ({"known_at": "yesterday"}, "no moment"),
        ({"at": START.replace(tzinfo=None)}, "no moment"),
    ],
)
def test_a_bad_outcome_is_refused_and_nothing_is_half_written(store: Store, wrong: dict[str, Any], says: str) -> None:
    ids = Served(store).decide([0.2, 0.8], at=START)
    good = Outcome(decision=ids[0], value=1)
    bad = Outcome(**({"decision": ids[1], "value": 1} | wrong))
    before = sum(1 for _ in events(store))
    with pytest.raises(TrimtabError) as caught:
        record_outcomes(store, "late", [good, bad], actor=ACTOR)
    error = caught.value
    assert isinstance(error, OutcomeRefused | OutcomeUnknown)
    assert all(error.parts().values())
    assert says in str(error)
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(monitoring_outcomes)).scalar() == 0
    assert labelled(store)[0] == 0
    assert sum(1 for _ in events(store)) == before
    assert record_outcomes(store, "late", [good], actor=ACTOR).new == 1


def test_another_endpoints_decision_is_unknown_here(store: Store) -> None:
    Served(store).decide([0.5], at=START)
    (other,) = Served(store, "early").decide([0.5], at=START)
    with pytest.raises(OutcomeUnknown):
        record_outcomes(store, "late", [Outcome(decision=other, value=1)], actor=ACTOR)


def test_nothing_and_too_much(sqlite_store: Store) -> None:
    assert record_outcomes(sqlite_store, "late", [], actor=ACTOR).new == 0
    with pytest.raises(TooManyOutcomes, match="100,000"):
        record_outcomes(sqlite_store, "late", [Outcome(decision="x", value=1)] * 100_001, actor=ACTOR)


def test_a_regression_takes_any_number(store: Store) -> None:
    ids = Served(store, task="regression").decide([10.0, -5.0], at=START)
    record_outcomes(
        store, "late", [Outcome(decision=ids[0], value=12), Outcome(decision=ids[1], value=-5)], actor=ACTOR
    )
    found = performance(store, "late", version=1, since=START, until=START + timedelta(hours=1))
    assert found.value("rmse") == pytest.approx(2**0.5)
    assert found.value("mae") == pytest.approx(1.0)
