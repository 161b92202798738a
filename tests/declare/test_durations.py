"""Durations, spans and frequencies."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.declare import BadDuration, Span, duration_text, parse_duration
from trimtab.declare.durations import frequency_of, seconds_of, span_of

DAY = 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02), ("1.5 s", 1.5), ("90m", 5400), ("3h", 10800), ("24h", DAY), ("7d", 7 * DAY),
        ("2 weeks", 14 * DAY), ("1h 30m", 5400), ("1 day, 2 hours", DAY + 7200), (" 3H ", 10800),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "3", "h", "three hours", "3 parsecs", "-3h", "3h!", "1e3s", "nan s", "3 h 2"])
def test_no_durations(text: str) -> None:
    assert parse_duration(text) is None
    with pytest.raises(BadDuration, match="within="):
        seconds_of(text, what="within")


@pytest.mark.parametrize("value", [24, 0.5, None, True, timedelta(0), timedelta(days=-1), "0h", "9999999w", b"3h"])
def test_no_unit_no_duration(value: object) -> None:
    with pytest.raises(BadDuration):
        seconds_of(value, what="over")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, -1, "2", None, True, float("nan"), float("inf"), 1e9])
def test_no_length_of_time(count: object) -> None:
    with pytest.raises(BadDuration, match=r"write for example tt\.days"):
        tt.days(count)  # type: ignore[arg-type]


def test_lengths() -> None:
    assert seconds_of(tt.hours(2), what="over") == seconds_of(timedelta(hours=2), what="over") == 7200
    assert repr(tt.hours(2)) == "tt.hours(2)"
    assert repr(tt.minutes(90)) == "tt.minutes(90)"
    assert tt.hours(24) == tt.days(1) > tt.hours(23)


@settings(deadline=None)
@given(st.integers(1, 10**9))
def test_a_length_shows_as_what_it_is(minutes: int) -> None:
    length = tt.minutes(minutes / 1000)
    assert eval(repr(length), {"tt": tt}).seconds == pytest.approx(length.seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("all history", None), ("last 14 days", 14 * DAY), ("Last  2 weeks", 14 * DAY), ("last 36h", 1.5 * DAY)],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert span_of(text, what="train") == Span(seconds=seconds, text=" ".join(text.lower().split()))


@pytest.mark.parametrize("text", ["everything", "14 days", "last", "last year", "last 0 days", None])
def test_no_spans(text: str) -> None:
    with pytest.raises(BadDuration, match="last 14 days"):
        span_of(text, what="train")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("once a week", 7 * DAY), ("once an hour", 3600), ("once a day", DAY), ("once a month", 30 * DAY),
        ("once every 3 days", 3 * DAY), ("7d", 7 * DAY),
    ],
)  # fmt: skip
def test_frequencies(text: str, seconds: float) -> None:
    assert frequency_of(text, what="at_most") == seconds


@pytest.mark.parametrize("text", ["weekly", "once", "once a while", "twice a week"])
def test_no_frequencies(text: str) -> None:
    with pytest.raises(BadDuration):
        frequency_of(text, what="at_most")


@settings(deadline=None)
@given(st.integers(1, 10**10), st.integers(1, 3))
def test_the_text_of_a_duration_gives_it_back(milliseconds: int, days_from: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(duration_text(seconds, days_from=days_from)) == pytest.approx(seconds, rel=1e-15)
