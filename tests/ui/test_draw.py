"""Geometry: what lies where on a time axis, and what a chart's ticks say."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.ui.draw import Lane, Series, Stretch, line_chart, thin, time_tracks
from trimtab.ui.draw.scale import nice_ticks, short

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
minutes = st.integers(0, 100_000)


def _stretch(start: int, end: int) -> Stretch:
    return Stretch(start=NOON + timedelta(minutes=start), end=NOON + timedelta(minutes=end), tone="ok", text="it")


@given(st.lists(st.tuples(minutes, minutes).map(sorted), min_size=1, max_size=20))
def test_every_stretch_lies_on_the_axis_and_is_seen(found: list[list[int]]) -> None:
    drawn = time_tracks([Lane(name="all", stretches=[_stretch(a, b) for a, b in found])])
    assert drawn is not None
    bars = drawn.tracks[0].bars
    assert len(bars) == len(found)
    for bar in bars:
        assert float(bar.x) >= 0
        assert float(bar.width) >= 5
        assert float(bar.x) + float(bar.width) <= 1000.1


def test_later_lies_further_right_and_longer_is_wider() -> None:
    lanes = [Lane(name="a", stretches=[_stretch(0, 60)]), Lane(name="b", stretches=[_stretch(60, 180)])]
    drawn = time_tracks(lanes)
    assert drawn is not None
    (first,), (second,) = (track.bars for track in drawn.tracks)
    assert (float(first.x), float(first.width)) == (0, pytest.approx(333.3, abs=0.1))
    assert (float(second.x), float(second.width)) == (pytest.approx(333.3, abs=0.1), pytest.approx(666.7, abs=0.1))


def test_what_lies_outside_is_not_drawn() -> None:
    lane = Lane(name="a", stretches=[_stretch(0, 10), _stretch(100, 110)])
    drawn = time_tracks([lane], start=NOON + timedelta(minutes=50), end=NOON + timedelta(minutes=200))
    assert drawn is not None
    assert len(drawn.tracks[0].bars) == 1


def test_an_axis_of_nothing_is_none() -> None:
    assert time_tracks([Lane(name="a", stretches=[])]) is None


def test_a_single_moment_has_an_axis_around_it() -> None:
    drawn = time_tracks([Lane(name="a", stretches=[_stretch(5, 5)])])
    assert drawn is not None
    assert drawn.end - drawn.start == timedelta(minutes=1)
    assert float(drawn.tracks[0].bars[0].x) == pytest.approx(500, abs=5)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.0, 1.0, ["0", "0.25", "0.5", "0.75", "1"]),
        (0.0, 0.02, ["0", "0.005", "0.01", "0.015", "0.02"]),
        (1000.5, 1001.5, ["1000.5", "1000.75", "1001", "1001.25", "1001.5"]),
    ],
)
def test_ticks_say_where_they_stand(low: float, high: float, texts: list[str]) -> None:
    drawn = line_chart([Series(name="a", points=[(low, 0.1), ((low + high) / 2, 0.2), (high, 0.2)])])
    assert drawn is not None
    assert [tick.text for tick in drawn.x_ticks] == texts


any_number = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, 5e-324, -1.7e308]))


@given(st.lists(any_number, min_size=1, max_size=20))
def test_numbers_of_any_size_are_drawn_inside_the_chart(ys: list[float]) -> None:
    """A training that diverges logs 1e308, and its page is the one that is looked at."""
    ticks = nice_ticks(min(ys), max(ys))
    assert all(math.isfinite(tick) for tick in ticks)
    slack = 1e-8 * (ticks[-1] / 2 - ticks[0] / 2)
    assert ticks[0] - min(ys) <= slack
    assert max(ys) - ticks[-1] <= slack
    drawn = line_chart([Series(name="loss", points=[(float(i), y) for i, y in enumerate(ys)])])
    assert drawn is not None
    heights = [float(point.split(" ")[1]) for point in drawn.curves[0].path.removeprefix("M").split("L")]
    assert all(-0.01 <= height <= 100.01 for height in heights)
    assert len({tick.at for tick in drawn.y_ticks}) > 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99996, "0.9999"), (1.0, "1"), (-0.0, "0"), (1.4e-6, "0.0000014"), (0.0004, "0.0004"), (999.99, "1\u202f000"),
        (9.9999e8, "1 G"), (9.9996e12, "1e+13"), (1.23e9, "1.23 G"), (9.999e12, "9999 G"), (1.5e17, "1.5e+17"),
        (-1e300, "-1e+300"), (4.2e6, "4.2 M"), (math.inf, "∞"), (-math.inf, "-∞"), (math.nan, "NaN"), (None, "–"),
    ],
)  # fmt: skip
def test_a_number_is_short_whatever_its_size(value: float | None, text: str) -> None:
    assert short(value) == text


def test_a_guide_widens_the_scale() -> None:
    curve = Series(name="a", points=[(0.4, 0.4), (0.6, 0.5)])
    drawn = line_chart([curve], guide=[(0.0, 0.0), (1.0, 1.0)])
    assert drawn is not None
    assert drawn.guide == "M0 100L1000 0"
    assert [tick.text for tick in drawn.x_ticks] == ["0", "0.25", "0.5", "0.75", "1"]
    assert len(drawn.curves) == 1


curves = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400)


@given(curves, st.integers(1, 20))
def test_a_thinned_curve_keeps_its_ends_and_extremes(ys: list[float], columns: int) -> None:
    xs, values = np.arange(len(ys), dtype=np.float64), np.array(ys)
    kept = thin(xs, values, columns=columns)
    assert (kept[0], kept[-1]) == (0, len(ys) - 1)
    assert (np.diff(kept) > 0).all()
    assert (values[kept].min(), values[kept].max()) == (values.min(), values.max())
    assert len(kept) <= max(len(ys) if len(ys) <= 2 * columns else 0, 2 * columns + 2)


@given(st.lists(st.integers(-(10**15), 10**15), min_size=3, max_size=100, unique=True))
def test_uneven_steps_are_thinned_by_where_they_lie(steps: list[int]) -> None:
    xs = np.sort(np.array(steps, dtype=np.float64))
    ys = np.sin(xs)
    kept = thin(xs, ys, columns=1)
    assert set(kept) >= {0, len(xs) - 1, int(ys.argmin()), int(ys.argmax())}


def test_a_long_chart_says_how_much_of_it_is_drawn_and_told() -> None:
    ys = [1.0 + (i % 7) / 10 for i in range(12_000)]
    ys[3] = -5.0
    chart = line_chart([Series(name="loss", points=list(enumerate(ys)))])
    assert chart is not None
    drawn = chart.curves[0].path.count("L") + 1
    assert f"Drawn: {drawn:,} of 12,000 points of loss".replace(",", "\u202f") in chart.note
    assert chart.twin == f"{len(chart.rows)} of 12\u202f000 points"
    assert "least -5, most 1.6" in chart.label
    assert ("3", "-5") in chart.rows, "the table holds the extremes"
    assert (chart.rows[0][0], chart.rows[-1][0]) == ("0", "11\u202f999")


def test_a_short_chart_leaves_nothing_out() -> None:
    chart = line_chart([Series(name="loss", points=[(0, 1), (1, 2)])])
    assert chart is not None
    assert (chart.note, chart.twin) == ("", "")
