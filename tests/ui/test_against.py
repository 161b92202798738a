"""A column beside its reference: few bins, nothing lost, each value where it lies."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.monitoring.served import Served

from trimtab.monitoring import build_reference
from trimtab.store import Store
from trimtab.ui.against import _binned, _shares, against_reference

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def _reference(**columns: list[object]):
    n = len(next(iter(columns.values())))
    kinds = {name: "category" if isinstance(values[0], str) else "float" for name, values in columns.items()}
    at = pa.array([NOON + timedelta(minutes=i) for i in range(n)])
    return build_reference(pa.table(columns), kinds=kinds, prediction=np.linspace(0, 1, n), at=at)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3000), st.floats(-5, 5))
def test_every_value_lies_in_a_bin(seed: int, n: int, shift: float) -> None:
    random = np.random.default_rng(seed)
    reference = _reference(weight=random.normal(size=2000).tolist())
    now = random.normal(shift, 1.0, n)
    cells, before = reference.cells("weight"), reference.tally("weight").total
    edges, counts, others = _binned(cells.edges, before, now, points=cells.points)
    assert len(edges) == len(counts) + 1 == len(others) + 1
    assert sum(counts) == n
    assert sum(others) == 2000


def test_a_bin_holds_what_it_held_in_the_reference() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=20_000)
    reference = _reference(weight=values.tolist())
    cells, before = reference.cells("weight"), reference.tally("weight").total
    edges, _, others = _binned(cells.edges, before, values, points=cells.points)
    exact, _ = np.histogram(np.clip(values, edges[0], np.nextafter(edges[-1], edges[0])), bins=edges)
    assert np.abs(exact - np.array(others)).sum() / 20_000 < 0.05


def test_few_different_values_have_a_bin_each() -> None:
    hours = [float(i % 24) for i in range(480)]
    reference = _reference(hour=hours)
    cells, before = reference.cells("hour"), reference.tally("hour").total
    edges, counts, others = _binned(cells.edges, before, np.array([3.0, 3.0, 23.0]), points=cells.points)
    assert edges == [i - 0.5 for i in range(25)]
    assert others == [20.0] * 24
    assert (counts[3], counts[23], sum(counts)) == (2, 1, 3)


def test_categories_that_were_never_seen_are_told_apart() -> None:
    reference = _reference(depot=["north"] * 60 + ["south"] * 40)
    lines = _shares(
        reference.cells("depot").categories, reference.tally("depot").total, ["north", "north", "east", None, "south"]
    )
    assert [(line.value, line.before, line.now) for line in lines] == [
        ("north", 0.6, 0.5), ("south", 0.4, 0.25), ("never seen before", 0.0, 0.25),
    ]  # fmt: skip


def test_rare_categories_stand_together() -> None:
    reference = _reference(dest=[f"d{i:02}" for i in range(30) for _ in range(30 - i)])
    lines = _shares(reference.cells("dest").categories, reference.tally("dest").total, ["d00", "d29"])
    assert len(lines) == 14
    assert lines[12].value == "18 others"
    assert sum(line.before for line in lines) == pytest.approx(1.0)
    assert lines[12].now == 0.5


def test_rows_without_a_value_to_draw_are_said(sqlite_store: Store) -> None:
    reference = _reference(distance=[float(i % 7) for i in range(200)], origin=["EWR", "JFK"] * 100)
    values = [[3.0, "EWR"], [None, "JFK"], [math.inf, None], [5.0, "LGA"], [None, None]]
    Served(sqlite_store).decide([0.2] * 5, at=NOON, values=values)
    span = {"version": 1, "since": NOON, "until": NOON + timedelta(hours=1)}
    found = against_reference(sqlite_store, "late", reference, "distance", **span)
    assert (found.rows, found.without) == (5, 3)
    assert found.histogram is not None
    origins = against_reference(sqlite_store, "late", reference, "origin", **span)
    assert (origins.rows, origins.without) == (5, 2)
