"""Distances equal scipy's to 1e-9 where every value is an edge, and stay within their bound where it is not."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from trimtab.monitoring.cells import Cells, cells_for
from trimtab.monitoring.counting import count
from trimtab.monitoring.distances import (
    Distances,
    bins,
    distances,
    expected_psi,
    js,
    ks,
    psi,
    shares,
    unseen_before,
    usual,
    valid,
    wasserstein,
)

RELATIVE = 1e-9
exact = st.lists(st.sampled_from([-7.5, -1.0, 0.0, 0.1, 0.3, 2.0, 1e4]), min_size=1, max_size=60)


def counted(reference: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray, Cells]:
    cells = cells_for("x", "float", reference)
    return count(cells, reference), count(cells, window), cells


@settings(max_examples=200, deadline=None)
@given(exact, exact)
def test_exact_data_equal_scipy(reference: list[float], window: list[float]) -> None:
    known = np.array([*reference, -7.5, -1.0, 0.0, 0.1, 0.3, 2.0, 1e4])
    before, after, cells = counted(known, np.array(window))
    assert ks(before, after, cells) == pytest.approx(
        stats.ks_2samp(known, window, method="asymp").statistic, rel=RELATIVE
    )
    expected = stats.wasserstein_distance(known, window)
    assert wasserstein(before, after, cells) == pytest.approx(expected, rel=RELATIVE, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=5, max_size=5), st.lists(st.integers(0, 50), min_size=5, max_size=5))
def test_jensen_shannon_equals_scipy(before: list[int], after: list[int]) -> None:
    cells = Cells(name="c", kind="category", categories=("a", "b", "c", "d"))
    reference, window = np.array([*before, 3]), np.array([*after, 0])
    if not sum(before) or not sum(after):
        assert math.isnan(js(reference, window, cells))
        return
    expected = distance.jensenshannon(before, after, base=2)
    assert js(reference, window, cells) == pytest.approx(expected, rel=1e-7, abs=1e-7)  # roots of rounding near 0
    assert js(reference, window, cells) ** 2 == pytest.approx(expected**2, rel=RELATIVE, abs=1e-15)


def test_psi_is_that_of_ten_quantile_bins() -> None:
    random = np.random.default_rng(0)
    # Multiples of 1/256 in less than 1,024 steps: edges are values, deciles are exact.
    reference = np.floor(random.normal(size=20_000).clip(-1.9, 1.9) * 256) / 256
    window = np.floor(random.normal(0.3, 1.2, 5_000).clip(-1.9, 1.9) * 256) / 256
    before, after, cells = counted(reference, window)
    edges = np.quantile(reference, np.arange(1, 10) / 10, method="inverted_cdf")
    assert cells.points
    assert np.array(cells.edges)[list(cells.tenths)] == pytest.approx(edges)
    p, q = (
        np.bincount(np.searchsorted(edges, x, side="right"), minlength=10) / x.size + 1e-4 for x in (reference, window)
    )
    assert psi(before, after, cells) == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=RELATIVE)
    assert bins(before, cells).shape == (10,)


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0, 3.0])
def test_from_cells_distances_stay_within_their_bound(shift: float) -> None:
    random = np.random.default_rng(1)
    reference, window = random.normal(size=30_000), random.normal(shift, 1.0, 5_000)
    before, after, cells = counted(reference, window)
    assert not cells.points
    p, q = shares(valid(before, cells)), shares(valid(after, cells))
    found, true = ks(before, after, cells), stats.ks_2samp(reference, window, method="asymp").statistic
    assert true - max(p.max(), q.max()) <= found <= true + 1e-12
    widths = np.diff(np.array(cells.edges))
    beyond = np.abs(window[window > cells.edges[-1]] - cells.edges[-1]).sum() / window.size
    bound = (widths * (p + q)[1:-1]).sum() + beyond + np.abs(reference).max() * (p[0] + p[-1] + q[0])
    assert wasserstein(before, after, cells) == pytest.approx(stats.wasserstein_distance(reference, window), abs=bound)
    assert bound < 0.05


def test_deciles_from_cells_give_the_psi_of_exact_deciles() -> None:
    random = np.random.default_rng(2)
    reference, window = random.beta(2, 6, 50_000), random.beta(2.4, 6, 8_000)
    before, after, cells = counted(reference, window)
    edges = np.quantile(reference, np.arange(1, 10) / 10)
    p, q = (np.bincount(np.searchsorted(edges, x), minlength=10) / x.size + 1e-4 for x in (reference, window))
    assert psi(before, after, cells) == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=0.02)


def test_the_same_rows_have_no_distance() -> None:
    for values in (np.arange(5.0), np.random.default_rng(0).normal(size=5_000)):
        before, after, cells = counted(values, values)
        found = distances(before, after, cells)
        assert (found.psi, found.js, found.ks, found.w1) == (0.0, 0.0, 0.0, 0.0)


def test_a_shift_beyond_the_grid_is_the_largest_distance() -> None:
    values = np.random.default_rng(0).normal(size=5_000)
    before, after, cells = counted(values, values + 1e6)
    assert ks(before, after, cells) == pytest.approx(1.0)
    assert js(before, after, cells) > 0.85  # all rows in the last of ten bins
    assert wasserstein(before, after, cells) > 2.5  # the last edge is as far as the cells see


def test_nulls_and_unseen_values_have_shares_of_their_own() -> None:
    cells = cells_for("carrier", "category", pa.array(["a", "b"]))
    before, after = count(cells, pa.array(["a", "b"])), count(cells, pa.array(["a", "b", None, "z"]))
    found = distances(before, after, cells)
    assert (found.n, found.null_share, found.unseen_share) == (4, 0.25, 0.25)
    assert found.ks == pytest.approx(1 / 3)  # of three valid rows one lies elsewhere
    assert math.isnan(found.w1)


def test_without_rows_there_is_no_distance() -> None:
    before, after, cells = counted(np.arange(5.0), np.array([]))
    found = distances(before, after, cells)
    assert isinstance(found, Distances)
    assert found.n == 0
    assert all(math.isnan(value) for value in (found.psi, found.js, found.ks, found.w1, found.null_share))


def test_usual_is_what_windows_of_the_reference_show_against_the_others() -> None:
    random = np.random.default_rng(0)
    for values, one_of in ((random.normal(size=6_000), "float"), (random.choice(list("abc"), 6_000), "category")):
        cells = cells_for("x", one_of, pa.array(values))
        blocks = np.array([count(cells, pa.array(part)) for part in np.split(values, 30)])
        found = usual(blocks, cells, length=3)
        windows = [blocks[at : at + 3].sum(axis=0) for at in range(28)]
        each = [distances(blocks.sum(axis=0) - window, window, cells) for window in windows]
        for name in ("psi", "js", "ks", "w1", "null_share", "unseen_share"):
            expected = np.quantile([getattr(one, name) for one in each], 0.95)
            assert getattr(found, name) == pytest.approx(expected, rel=RELATIVE, nan_ok=True), name
        assert found.n == 600


def test_of_one_window_nothing_is_usual() -> None:
    cells = cells_for("x", "float", np.arange(5.0))
    assert math.isnan(usual(count(cells, np.arange(5.0))[None], cells, length=1).psi)


@pytest.mark.parametrize("rows", [60, 400, 3_000])
@pytest.mark.parametrize("tail", ["zipf 1.3", "zipf 2", "500 equal", "5 equal"])
def test_psi_of_categories_is_near_zero_on_average_when_nothing_has_changed(tail: str, rows: int) -> None:
    random = np.random.default_rng(7)

    def drawn(n: int) -> pa.Array:
        kind, _, more = tail.partition(" ")
        values = random.zipf(float(more), n) if kind == "zipf" else random.integers(0, int(kind), n)
        return pa.array([f"c{value}" for value in values])

    days = [drawn(400) for _ in range(30)]
    cells = cells_for("c", "category", pa.chunked_array(days))
    blocks = np.array([count(cells, day) for day in days])
    total, unseen = blocks.sum(axis=0), unseen_before(blocks, cells)
    raw = [psi(total, count(cells, drawn(rows)), cells) for _ in range(60)]
    assert expected_psi(total, cells, n=rows, unseen=unseen) == pytest.approx(np.mean(raw), rel=0.1, abs=0.003)
    found = [distances(total, count(cells, drawn(rows)), cells, unseen=unseen).psi for _ in range(60)]
    assert np.mean(found) < max(0.03, 0.1 * np.mean(raw))
    changed = pa.array(["c1"] * rows)
    assert distances(total, count(cells, changed), cells, unseen=unseen).psi > 0.5


def test_psi_of_a_number_is_its_definition() -> None:
    before, after, cells = counted(np.arange(3_000.0), np.arange(500.0))
    assert expected_psi(before, cells, n=500) == 0.0
    assert distances(before, after, cells).psi == psi(before, after, cells)
