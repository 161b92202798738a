"""Drift: hours and days of cells merge to exactly what counting all rows at once gives."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.monitoring.served import ACTOR, HOUR, ORIGINS, START, Served, move

from trimtab.monitoring import Reference, build_reference, drift, drift_findings, get_reference, keep_reference, watch
from trimtab.monitoring.counting import count
from trimtab.monitoring.distances import distances, psi
from trimtab.monitoring.windows import packed, unpacked
from trimtab.store import Store, events

KINDS = {"distance": "float", "origin": "category"}
DAYS = 30


def reference(seed: int = 0, rows: int = 6000) -> Reference:
    random = np.random.default_rng(seed)
    frame = pa.table({"distance": random.gamma(2, 400, rows), "origin": random.choice(ORIGINS, rows)})
    at = START - timedelta(days=DAYS) + np.sort(random.integers(0, DAYS * 86_400, rows)) * timedelta(seconds=1)
    return build_reference(frame, kinds=KINDS, prediction=random.beta(2, 6, rows), at=pa.array(at.tolist()))


def kept(store: Store, version: int = 1) -> Reference:
    made = reference()
    with store.change(ACTOR) as change:
        keep_reference(change, model="late", version=version, reference=made, blobs=store.blobs)
    return made


def lived(store: Store, days: int = 3, each: int = 40, *, shift: float = 0.0) -> tuple[list[float], list[Any]]:
    """Days of decisions; return the scores and the features."""
    served, random = Served(store), np.random.default_rng(1)
    scores: list[float] = []
    values: list[Any] = []
    for hour in range(24 * days):
        now = random.beta(2 + 4 * shift, 6, each).tolist()
        rows = [[float(random.gamma(2, 400 * (1 + shift))), str(random.choice(ORIGINS))] for _ in range(each)]
        move(store, START + hour * HOUR)
        served.decide(now, at=START + hour * HOUR, values=rows)
        watch(store, "late", until=START + hour * HOUR)
        scores, values = scores + now, values + rows
    move(store, START + days * 24 * HOUR)
    watch(store, "late", until=START + days * 24 * HOUR)
    return scores, values


def test_merged_hours_are_the_counts_of_all_rows(store: Store) -> None:
    made = kept(store)
    scores, values = lived(store)
    assert get_reference(store, "late", 1) == made
    for first, last in ((0, 72), (0, 24), (5, 70), (24, 48), (30, 31)):
        found = drift(store, "late", version=1, since=START + first * HOUR, until=START + last * HOUR)
        assert found is not None
        mine = slice(40 * first, 40 * last)
        assert found.n == 40 * (last - first)
        window = count(made.prediction, np.array(scores[mine]))
        assert found.of_prediction.psi == pytest.approx(psi(made.predicted.total, window, made.prediction), rel=1e-12)
        for place, name in enumerate(KINDS):
            cells = made.cells(name)
            array = pa.array([row[place] for row in values[mine]])
            expected = distances(made.tally(name).total, count(cells, array), cells).psi
            column = found.column(name)
            assert column is not None
            assert column.psi == pytest.approx(expected, rel=1e-12, abs=1e-12)
            assert column.n == found.n


def test_the_wasserstein_distance_of_what_moved_is_exact_over_any_hours(store: Store) -> None:
    made = kept(store)
    learnt = np.random.default_rng(0).gamma(2, 400, made.rows)  # as the reference was drawn
    served, moved = Served(store), learnt + 1e4
    for hour in range(30):
        move(store, START + hour * HOUR)
        rows = [[value, "EWR"] for value in moved[40 * hour : 40 * hour + 40].tolist()]
        served.decide([0.2] * 40, at=START + hour * HOUR, values=rows)
        watch(store, "late", until=START + hour * HOUR)
    move(store, START + 30 * HOUR)
    watch(store, "late", until=START + 30 * HOUR)
    for first, last in ((0, 30), (5, 27), (29, 30)):
        span: Any = {"version": 1, "since": START + first * HOUR, "until": START + last * HOUR}
        found = drift(store, "late", **span)
        judged = next(one for one in drift_findings(store, "late", **span) if one.name == "distance")
        column = found.column("distance") if found else None
        assert column is not None
        expected = stats.wasserstein_distance(learnt, moved[40 * first : 40 * last])
        assert column.w1 == judged.distances.w1 == pytest.approx(expected, rel=1e-9)


def test_ordinary_days_raise_nothing_and_a_shift_of_everything_pages(store: Store) -> None:
    kept(store)
    lived(store, days=1)
    span: Any = {"version": 1, "since": START, "until": START + 24 * HOUR}
    assert {one.level for one in drift_findings(store, "late", **span)} == {"none"}


def test_a_shift_of_everything_pages(store: Store) -> None:
    kept(store)
    lived(store, days=1, shift=0.5)
    span: Any = {"version": 1, "since": START, "until": START + 24 * HOUR}
    prediction, *_ = drift_findings(store, "late", **span)
    assert (prediction.name, prediction.level) == ("prediction", "page")


def test_missing_values_and_new_categories_are_counted(store: Store) -> None:
    kept(store)
    Served(store).decide([0.2] * 4, at=START, values=[[None, "EWR"], [100.0, "SFO"], [100.0, None], [100.0, "JFK"]])
    watch(store, "late", until=START)
    found = drift(store, "late", version=1, since=START, until=START + HOUR, columns=("origin", "distance"))
    assert found is not None
    distance, origin = found.column("distance"), found.column("origin")
    assert distance is not None
    assert origin is not None
    assert (distance.null_share, origin.null_share, origin.unseen_share) == (0.25, 0.25, 0.25)


def test_without_a_reference_there_is_no_drift(store: Store) -> None:
    Served(store).decide([0.2], at=START)
    watch(store, "late", until=START)
    span: Any = {"version": 1, "since": START, "until": START + HOUR}
    assert drift(store, "late", **span) is None
    assert drift_findings(store, "late", **span) == ()
    assert get_reference(store, "late", 1) is None


def test_another_reference_begins_anew(store: Store) -> None:
    kept(store)
    served = Served(store)
    served.decide([0.2], at=START)
    watch(store, "late", until=START)
    with store.change(ACTOR) as change:
        other = reference(seed=9)
        keep_reference(change, model="late", version=1, reference=other, blobs=store.blobs)
    with store.change(ACTOR) as change:  # the same again is no change
        keep_reference(change, model="late", version=1, reference=other, blobs=store.blobs)
    served.decide([0.3, 0.4], at=START)
    watch(store, "late", until=START)
    found = drift(store, "late", version=1, since=START, until=START + HOUR)
    assert found is not None
    assert found.n == 2
    heard = [event for event in events(store) if event.type == "monitoring.reference-kept"]
    assert len(heard) == 2


@given(st.lists(st.lists(st.integers(0, 2**40) | st.just(0), min_size=7, max_size=7), min_size=1, max_size=5))
def test_packed_counts_add_up(windows: list[list[int]]) -> None:
    arrays = [np.array(window, dtype=np.int64) for window in windows]
    assert unpacked([packed(array) for array in arrays], 7).tolist() == np.sum(arrays, axis=0).tolist()
