"""What differs between days is told apart from what drawing rows explains."""

import numpy as np
import pyarrow as pa
import pytest

from trimtab.monitoring.cells import cells_for, place
from trimtab.monitoring.counting import count
from trimtab.monitoring.spread import scores_of, spread_of, stand, variance_of_window

DAYS, ROWS = 200, 500


def blocks_of(days: list[np.ndarray]) -> tuple[np.ndarray, object]:
    cells = cells_for("x", "float", np.concatenate(days))
    return np.array([count(cells, day) for day in days]), cells


def normal_days(effect: float, *, n: int = DAYS, rows: int = ROWS, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(random.normal(0, effect), 1.0, rows) for _ in range(n)]


@pytest.mark.parametrize("values", [np.arange(7) % 5, np.random.default_rng(0).normal(size=3_000), [0, 1], [2.0]])
def test_scores_of_a_number_have_mean_0_variance_1_and_are_orthogonal(values: object) -> None:
    found = np.asarray(values, dtype=float)
    cells = cells_for("x", "float", found)
    scores = scores_of(count(cells, found), cells)
    shapes = min(4, len(set(found.tolist())) - 1)
    unseen = ["unseen"] if shapes == 0 else []
    of_shapes = ("location", "spread", "skew", "tails")[:shapes]
    assert scores.names == (*of_shapes, *(["mean"] if shapes else []), *unseen, "nulls")
    at = scores.values[:shapes, place(cells, found)]
    assert at.mean(axis=1) == pytest.approx(np.zeros(len(at)), abs=1e-9)
    assert at @ at.T / found.size == pytest.approx(np.eye(len(at)), abs=1e-8)


def test_a_shift_upwards_is_a_positive_location_and_a_stretch_a_positive_spread() -> None:
    blocks, cells = blocks_of(normal_days(0.0))
    spread = spread_of(blocks, cells, span=1)
    random = np.random.default_rng(1)
    higher = stand(spread, count(cells, random.normal(0.5, 1.0, 2_000)))
    wider = stand(spread, count(cells, random.normal(0.0, 1.5, 2_000)))
    assert higher.names[:2] == ("location", "spread")
    assert higher.z[0] > 10
    assert wider.z[1] > 10
    assert abs(wider.z[0]) < 4


def test_a_mere_shift_leaves_the_other_shapes_alone_and_its_mean_goes_on_beyond_ranks() -> None:
    blocks, cells = blocks_of(normal_days(0.0))
    spread = spread_of(blocks, cells, span=1)
    random = np.random.default_rng(1)
    for shift in (0.2, 1.0, -2.0):
        z = stand(spread, count(cells, random.normal(shift, 1.0, 500))).z
        assert abs(z[0]) > 3
        assert (np.abs(z[1:4]) < 4).all()
    mean = [stand(spread, count(cells, np.full(500, at))).change[4] for at in (3.0, 5.0)]
    assert mean == pytest.approx([3.0, 5.0], abs=0.1)


@pytest.mark.parametrize("effect", [0.0, 0.05, 0.3])
def test_the_variance_between_days_is_recovered(effect: float) -> None:
    blocks, cells = blocks_of(normal_days(effect))
    spread = spread_of(blocks, cells, span=1)
    per_sd = np.sqrt(3 / np.pi)  # a shift of one sd moves the mean rank score by this, for small shifts
    assert np.sqrt(spread.between[0]) == pytest.approx(effect * per_sd, rel=0.15, abs=0.02)
    assert set(spread.freedom) == {DAYS - 1}


def test_longer_windows_vary_less_as_far_as_days_are_independent() -> None:
    random = np.random.default_rng(3)
    alone, cells = blocks_of(normal_days(0.2, n=84))
    week = spread_of(alone, cells, span=7)
    day = spread_of(alone, cells, span=1)
    assert week.between[0] < day.between[0] / 3
    weather = np.repeat(random.normal(0, 0.2, 12), 7)  # a whole week alike
    alike, cells = blocks_of([random.normal(effect, 1.0, ROWS) for effect in weather])
    assert spread_of(alike, cells, span=7).between[0] > spread_of(alike, cells, span=1).between[0] / 2
    assert set(week.freedom) == {84 / 7 - 1}


def test_healthy_windows_of_any_size_stand_where_they_should() -> None:
    blocks, cells = blocks_of(normal_days(0.1))
    spread = spread_of(blocks, cells, span=1)
    for rows in (50, 500, 5_000):
        z = [stand(spread, count(cells, day)).z[0] for day in normal_days(0.1, rows=rows, seed=rows)]
        assert np.std(z) == pytest.approx(1.0, abs=0.15)


def test_a_day_cut_short_does_not_count_as_one() -> None:
    days = normal_days(0.05)
    whole, cells = blocks_of(days)
    cut = np.vstack((whole, count(cells, np.full(3, 2.5))))
    assert spread_of(cut, cells, span=1).blocks == DAYS
    assert spread_of(cut, cells, span=1).between[0] == pytest.approx(
        spread_of(whole, cells, span=1).between[0], rel=0.05
    )


def test_a_category_is_watched_by_value_unseen_and_nulls() -> None:
    texts = pa.array(["a"] * 5 + ["b"] * 3 + [None] * 2)
    cells = cells_for("c", "category", texts)
    blocks = np.tile(count(cells, texts), (30, 1))
    spread = spread_of(blocks, cells, span=1)
    standing = stand(spread, count(cells, pa.array(["a"] * 5 + ["z"] * 5)))
    assert standing.names == ("a", "b", "unseen", "nulls")
    assert standing.share.tolist() == [0.5, 0.0, 0.5, 0.0]
    assert spread.mean.tolist() == [0.625, 0.375, 0.0, 0.2]
    assert (variance_of_window(spread, standing.n) > 0).all()


def test_unseen_values_are_expected_as_often_as_each_block_held_some_among_the_others() -> None:
    random = np.random.default_rng(5)
    days = [pa.array([f"c{i}" for i in random.zipf(1.6, 400)]) for _ in range(31)]
    cells = cells_for("c", "category", pa.chunked_array(days[:30]))
    blocks = np.array([count(cells, day) for day in days[:30]])
    spread = spread_of(blocks, cells, span=1)
    at = spread.scores.names.index("unseen")
    alone = [sum(value not in set().union(*(set(days[j].to_pylist()) for j in range(30) if j != i))
                 for value in day.to_pylist()) for i, day in enumerate(days[:30])]  # fmt: skip
    assert spread.mean[at] == pytest.approx(sum(alone) / 12_000)
    assert spread.mean[at] > 0.01
    assert abs(stand(spread, count(cells, days[30])).z[at]) < 3


@pytest.mark.parametrize("kind", ["float", "int"])
def test_new_values_of_a_constant_or_a_flag_stand_out(kind: str) -> None:
    for values, later in (([3.0], 4.0), ([0.0, 1.0], 2.0)):
        reference = np.resize(values, 300)
        cells = cells_for("x", kind, reference)
        spread = spread_of(np.tile(count(cells, reference), (20, 1)), cells, span=1)
        at = spread.scores.names.index("unseen")
        assert stand(spread, count(cells, reference)).z[at] == 0
        assert stand(spread, count(cells, np.full(100, later))).z[at] > 20


def test_without_rows_nothing_stands_anywhere() -> None:
    blocks, cells = blocks_of(normal_days(0.1, n=10))
    assert np.isnan(stand(spread_of(blocks, cells, span=1), np.zeros(cells.size, dtype=np.int64)).z).all()
