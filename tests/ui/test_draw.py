"""Geometry: what lies where on a time axis, and what a chart's ticks say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.ui.draw import Lane, Series, Stretch, line_chart, time_tracks

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


def test_a_guide_widens_the_scale() -> None:
    curve = Series(name="a", points=[(0.4, 0.4), (0.6, 0.5)])
    drawn = line_chart([curve], guide=[(0.0, 0.0), (1.0, 1.0)])
    assert drawn is not None
    assert drawn.guide == "M0 100L1000 0"
    assert [tick.text for tick in drawn.x_ticks] == ["0", "0.25", "0.5", "0.75", "1"]
    assert len(drawn.curves) == 1
