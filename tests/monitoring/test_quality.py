"""Sources: contracts newly broken, and sources that stand still."""

from datetime import UTC, datetime, timedelta

from trimtab.data import Break, Profile, Snapshot
from trimtab.monitoring.quality import _broken, _stale

NOW = datetime(2013, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def state(*, taken_at: datetime = NOW, rows: int = 1000, breaks: tuple[Break, ...] = ()) -> Snapshot:
    return Snapshot(
        id=f"S{taken_at.isoformat()}"[:26], source="weather", contract="Weather", contract_digest="", rows=rows,
        set_aside_rows=sum(one.rows for one in breaks), digest="", set_aside_digest=None, content_digest="",
        size_bytes=0, types={}, profile=Profile(rows=rows, columns=()), breaks=breaks, event_time_from=NOW,
        event_time_to=NOW, future_rows=0, taken_at=taken_at, taken_by="ann",
    )  # fmt: skip


def broken(rows: int) -> Break:
    example = "wind_speed 1048.36 at EWR, 2013-02-12 (promised 0 to 120)"
    return Break(field="wind_speed", reason="promised 0 to 120", rows=rows, example=example)


def test_one_broken_row_is_a_note_and_the_same_again_is_none() -> None:
    (sign,) = _broken(state(breaks=(broken(1),)), None)
    assert (sign.severity, sign.group) == ("note", "quality:contract:weather")
    assert sign.title == "weather breaks its contract 1 time"
    assert sign.lines == ("wind_speed 1048.36 at EWR, 2013-02-12 (promised 0 to 120)",)
    assert _broken(state(breaks=(broken(1),)), state(breaks=(broken(1),))) == []
    assert _broken(state(), None) == []


def test_many_newly_broken_rows_are_a_page() -> None:
    (sign,) = _broken(state(breaks=(broken(30),)), state(breaks=(broken(10),)))
    assert sign.severity == "page"
    assert sign.title == "weather breaks its contract 20 times more than before"


def test_a_source_that_stands_still() -> None:
    states = [state(taken_at=NOW - i * HOUR) for i in range(5)]
    assert _stale(states[0], states[1:], NOW + 2 * HOUR) == []
    (sign,) = _stale(states[0], states[1:], NOW + 4 * HOUR)
    assert (sign.severity, sign.title) == (
        "page",
        "weather has not changed for 4 hours, usually it does every 60 minutes",
    )
    assert _stale(states[0], states[1:2], NOW + 4 * HOUR) == []  # nobody knows its rhythm yet
