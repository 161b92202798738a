"""Clocks tell aware UTC times and never go back."""

import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from types import SimpleNamespace

import pytest

from trimtab.kernel import Invalid, StartedClock, SystemClock, VirtualClock, parse_time

START = datetime(2013, 3, 1, tzinfo=UTC)


def test_the_system_clock_tells_utc() -> None:
    clock = SystemClock()
    one, started = clock.now(), clock.monotonic()
    clock.sleep(0.01)
    assert clock.now() > one
    assert clock.monotonic() - started >= 0.01
    assert one.utcoffset() == timedelta(0)


def test_a_virtual_clock_stands_until_it_is_moved() -> None:
    clock = VirtualClock(START)
    assert clock.now() == clock.now() == START
    clock.sleep(90)
    assert clock.now() == START + timedelta(seconds=90)
    assert clock.monotonic() == 90
    clock.sleep(-5)
    assert clock.monotonic() == 90
    clock.advance_to(datetime(2013, 3, 2, 1, tzinfo=timezone(timedelta(hours=1))))
    assert clock.now() == datetime(2013, 3, 2, tzinfo=UTC)
    assert clock.now().utcoffset() == timedelta(0)


def test_a_virtual_clock_is_not_set_back() -> None:
    clock = VirtualClock(START)
    with pytest.raises(Invalid, match="set a virtual clock back"):
        clock.advance_to(START - timedelta(seconds=1))
    assert clock.now() == START


@pytest.mark.parametrize("make", [VirtualClock, StartedClock])
def test_a_time_without_a_zone_is_refused(make: type) -> None:
    with pytest.raises(Invalid, match="no time zone"):
        make(datetime(2013, 3, 1))


def test_a_started_clock_runs_on_from_its_start() -> None:
    began = SystemClock().monotonic()
    clock = StartedClock(START)
    first = clock.now()
    assert START <= first <= START + timedelta(seconds=clock.monotonic() - began, microseconds=1)
    clock.sleep(0.01)
    assert clock.now() - first >= timedelta(seconds=0.01)
    assert clock.monotonic() > 0


def test_started_clocks_agree_when_they_started_together() -> None:
    since = SystemClock().now() - timedelta(hours=2)
    one, other = StartedClock(START, since=since), StartedClock(START, since=since)
    before, between, after = one.now(), other.now(), one.now()
    exact = timedelta(milliseconds=10)
    assert before - exact <= between <= after + exact
    assert one.now() - START >= timedelta(hours=2)


def test_a_thread_stopped_between_two_readings_does_not_set_its_clock_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """As happens on a busy machine: five seconds pass before the one clock is read, and five before the other is."""
    passed: list[float] = []

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            found = datetime.now(tz) + timedelta(seconds=sum(passed) or 5)
            passed[:] = [10.0]
            return found

    real = time.monotonic
    monkeypatch.setattr("trimtab.kernel.clock.time", SimpleNamespace(monotonic=lambda: real() + sum(passed)))
    monkeypatch.setattr("trimtab.kernel.clock.datetime", Later)
    since = datetime.now(UTC)
    clock = StartedClock(START, since=since)
    before, told, after = Later.now(UTC) - since, clock.now() - START, Later.now(UTC) - since
    assert before - timedelta(milliseconds=10) <= told <= after + timedelta(milliseconds=10)


@pytest.mark.parametrize("text", ["2013-03-01", "2013-03-01T00:00:00Z", "2013-03-01T01:00:00+01:00"])
def test_times_are_read_as_utc(text: str) -> None:
    assert parse_time(text, where="here") == START


def test_what_is_no_time_is_refused_with_its_place() -> None:
    with pytest.raises(Invalid) as caught:
        parse_time("yesterday", where="setting clock")
    assert caught.value.where == "setting clock"
