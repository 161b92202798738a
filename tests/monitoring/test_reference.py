"""A reference keeps its counts by day, and is the same bytes wherever it was built."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.monitoring.cells import place
from trimtab.monitoring.counting import count
from trimtab.monitoring.reference import NoReference, Reference, build_reference, reference_of, to_bytes, without

AT = pa.array(
    [datetime(2013, 1, day, hour, tzinfo=UTC) for day, hour in [(1, 0), (1, 23), (3, 0), (3, 12), (4, 1)]],
    pa.timestamp("us", "UTC"),
)
FRAME = pa.table(
    {
        "temp": [1.0, 2.0, None, 2.0, 5.0],
        "hour": [0, 23, 0, 12, 1],
        "carrier": ["UA", "DL", "UA", None, "UA"],
        "wet": [True, False, None, True, True],
        "flight_id": list("abcde"),
    }
)
KINDS = {"temp": "float", "hour": "int", "carrier": "category", "wet": "bool", "flight_id": "key"}
PREDICTION = np.array([0.1, 0.2, 0.3, 0.4, 0.5])


def build(**changes: Any) -> Reference:
    return build_reference(**({"frame": FRAME, "kinds": KINDS, "prediction": PREDICTION, "at": AT} | changes))


def cells_before(reference: Reference, value: float) -> int:
    """The cell of a value of ``temp``."""
    return int(place(reference.cells("temp"), np.array([value]))[0])


def test_rows_are_counted_by_day_and_days_without_rows_left_out() -> None:
    found = build()
    assert [cells.name for cells in found.columns] == ["temp", "hour", "carrier", "wet"]  # a key has no cells
    assert [start.day for start in found.starts] == [1, 3, 4]
    assert found.starts[0] == datetime(2013, 1, 1, tzinfo=UTC)
    assert (found.rows, found.block_s) == (5, 86400.0)
    assert (found.since, found.until) == (AT[0].as_py(), AT[4].as_py())
    of_value = [cells_before(found, value) for value in (1.0, 2.0, 5.0)]
    assert found.tally("temp").blocks[:, [*of_value, -1]].tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    assert found.tally("carrier").total.tolist() == [3, 1, 0, 1]
    assert found.tally("wet").total.tolist() == [1, 3, 0, 1]
    assert found.predicted.blocks.sum(axis=1).tolist() == [2, 2, 1]


def test_numbers_have_moments_and_categories_none() -> None:
    found = build()
    moments = found.tally("temp").moments
    assert moments is not None
    assert (moments.n, moments.mean, moments.low, moments.high) == (4, 2.5, 1.0, 5.0)
    assert moments.deviation == pytest.approx(1.5)
    assert found.tally("carrier").moments is None


def test_a_block_may_be_any_duration() -> None:
    found = build(block="12h")
    assert [(start.day, start.hour) for start in found.starts] == [(1, 0), (1, 12), (3, 0), (3, 12), (4, 0)]


def test_order_of_rows_does_not_matter() -> None:
    order = [4, 2, 0, 3, 1]
    other = build(frame=FRAME.take(order), prediction=PREDICTION[order], at=AT.take(pa.array(order)))
    assert other.tally("carrier") == build().tally("carrier")
    assert other.starts == build().starts


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=400), st.integers(1, 300))
def test_bytes_come_back_as_they_were(values: list[float | None], repeat: int) -> None:
    column = pa.array(values * repeat, pa.float64())
    n = len(column)
    at = pa.array(np.arange(n) * 3_600_000_000, pa.timestamp("us", "UTC"))
    frame = pa.table({"x": column})
    found = build_reference(frame, kinds={"x": "float"}, prediction=np.arange(n) / n, at=at)
    data = to_bytes(found)
    assert reference_of(data) == found
    assert to_bytes(reference_of(data)) == data
    again = build_reference(frame, kinds={"x": "float"}, prediction=np.arange(n) / n, at=at)
    assert to_bytes(again) == data
    assert (reference_of(data).tally("x").total == count(found.cells("x"), column)).all()


def test_a_reference_without_some_blocks_is_that_of_the_other_rows() -> None:
    found = without(build(), 1, 2)
    assert [start.day for start in found.starts] == [1, 4]
    assert found.rows == 3
    assert found.tally("temp").blocks.tolist() == build().tally("temp").blocks[[0, 2]].tolist()


def test_influence_is_measured_or_taken() -> None:
    random = np.random.default_rng(0)
    frame = pa.table({"used": random.normal(size=4_000), "idle": random.normal(size=4_000)})
    at = pa.array(np.arange(4_000) * 60_000_000, pa.timestamp("us", "UTC"))
    kinds = {"used": "float", "idle": "float"}
    found = build_reference(frame, kinds=kinds, prediction=frame["used"].to_numpy() * 2, at=at)
    assert found.tally("used").influence > 0.9
    assert found.tally("idle").influence < 0.05
    told = build_reference(frame, kinds=kinds, prediction=frame["used"], at=at, influence={"idle": 0.5})
    assert told.tally("idle").influence == 0.5
    assert told.tally("used").influence > 0.9


def test_predictions_are_those_of_rows_that_were_held_out() -> None:
    held = [False, False, True, True, True]
    found = build(prediction=PREDICTION[2:], held_out=held)
    assert found.tally("temp").blocks.sum(axis=1).tolist() == [2, 2, 1]
    assert found.predicted.blocks.sum(axis=1).tolist() == [0, 2, 1]
    assert (found.rows, found.predicted_rows) == (5, 3)
    assert found.tally("temp").blocks.tolist() == build().tally("temp").blocks.tolist()
    assert reference_of(to_bytes(found)) == found
    assert without(found, 1, 2).rows == 3
    with pytest.raises(NoReference):
        build(held_out=held)


def test_rows_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(NoReference, match="5 rows, 4 predictions and 5 moments"):
        build(prediction=PREDICTION[:4])
    with pytest.raises(NoReference, match="0 rows"):
        build(frame=FRAME.slice(0, 0), prediction=PREDICTION[:0], at=AT.slice(0, 0))
    with pytest.raises(NoReference, match="1 rows have no moment"):
        build(at=pa.array([None, *AT.to_pylist()[1:]], pa.timestamp("us", "UTC")))
