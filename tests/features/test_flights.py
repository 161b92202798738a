"""The example's view on every flight out of New York in 2013: against the oracle, and against the leaky variant."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.features import flights as fx
from tests.features import oracle

from trimtab.declare import FieldSpec, load_project
from trimtab.features import OnlineStore, compare_offline_online, compile_view, fill, training_frame
from trimtab.features.agree import same_bits

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights.py"


@pytest.fixture(scope="module")
def frame() -> pa.Table:
    return training_frame(fx.DELAY, fx.tables(), label=fx.LATE)


def test_the_example_declares_the_view_that_is_tested_here() -> None:
    example = load_project(EXAMPLE)
    assert compile_view(example.spec.views[0]).digest == compile_view(fx.DELAY).digest
    assert compile_view(example.namespace["delay"]).digest == compile_view(fx.DELAY).digest
    assert example.spec.models[0].label.expression == fx.LATE.expression


def test_every_flight_comes_back_with_what_flights_md_measured(frame: pa.Table) -> None:
    assert frame.num_rows == 336_776
    assert frame["key_flight_id"].equals(fx.tables()["Flight"]["flight_id"])
    assert frame["label"].null_count == 9_430
    assert pc.mean(frame["label"].cast(pa.int8())).as_py() == pytest.approx(0.237, abs=0.001)
    hours = pc.divide(pc.subtract(frame["label_known_at"], frame["decided_at"]).cast(pa.int64()), 3_600_000_000.0)
    assert pc.quantile(hours, 0.5)[0].as_py() - 2 == pytest.approx(2.75, abs=0.05)


def test_a_sample_is_what_the_oracle_says(frame: pa.Table) -> None:
    sample = np.random.default_rng(7).choice(frame.num_rows, 20, replace=False).tolist()
    names = compile_view(fx.DELAY).names
    for place in sample:
        row = fx.tables()["Flight"].slice(place, 1).to_pylist()[0]
        at = oracle.decided_at(fx.DELAY, row)
        assert at is not None
        # Longer than any delay and any window, so the rest cannot matter.
        near = {"Flight": between("scheduled", at, days=4), "Weather": between("at", at, days=1)}
        expected = oracle.features(fx.DELAY, near, row, at)
        got = [frame[name][place].as_py() for name in names]
        assert all(same_bits(*pair) for pair in zip(got, expected, strict=True)), (row["flight_id"], got, expected)


def test_training_rows_and_online_rows_are_the_same(tmp_path: Path) -> None:
    online = OnlineStore(tmp_path / "online.db")
    now = datetime(2013, 2, 10, tzinfo=UTC)
    fill(online, fx.DELAY, fx.tables(), now=now)
    fill(online, fx.DELAY, fx.tables(), now=now + timedelta(hours=5))

    found = compare_offline_online(fx.DELAY, fx.tables(), online=online, rows=400)

    assert found.rows == 400
    assert found.differences == ()
    online.close()


def test_the_leaky_variant_differs_as_measured(frame: pa.Table) -> None:
    """Were a delay known when it is scheduled, the windows would see flights that had not taken off."""
    fields = tuple(_known_at_once(field) for field in fx.FLIGHT.fields)
    flight = msgspec.structs.replace(fx.FLIGHT, fields=fields)
    leaky = msgspec.structs.replace(fx.DELAY, of=flight, contracts=(flight, fx.WEATHER), decided_offset_s=0.0)

    wrong = training_frame(leaky, fx.tables())

    carrier, origin = (
        _difference(frame[name], wrong[name]) for name in ("carrier_dep_delay_mean_24h", "origin_dep_delay_mean_3h")
    )
    assert carrier == pytest.approx(3.1, abs=0.3)
    assert origin == pytest.approx(9.4, abs=1.5)


def between(name: str, at: datetime, *, days: int) -> list[dict[str, Any]]:
    table = fx.tables()["Flight" if name == "scheduled" else "Weather"]
    start, end = (pa.scalar(t, pa.timestamp("us", "UTC")) for t in (at - timedelta(days=days), at + timedelta(days=1)))
    rows: list[dict[str, Any]] = table.filter(
        pc.and_(pc.greater(table[name], start), pc.less(table[name], end))
    ).to_pylist()
    return rows


def _known_at_once(field: FieldSpec) -> FieldSpec:
    return msgspec.structs.replace(field, known_at=None) if field.name == "dep_delay" else field


def _difference(left: pa.ChunkedArray, right: pa.ChunkedArray) -> float:
    return float(pc.mean(pc.abs(pc.subtract(left, right))).as_py())
