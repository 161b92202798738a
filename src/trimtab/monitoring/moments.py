"""Moments as monitoring counts them: microseconds and hours since 1970."""

from datetime import UTC, datetime, timedelta

from trimtab.monitoring.errors import BadSpan

HOUR_US = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def us_of(at: datetime) -> int:
    """Return a moment as microseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """Return the moment so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=us)


def hour_of(at: datetime) -> int:
    """Return the hour that a moment lies in."""
    return us_of(at) // HOUR_US


def start_of(hour: int) -> datetime:
    """Return the moment at which an hour begins."""
    return _EPOCH + timedelta(hours=hour)


def check_span(since: datetime, until: datetime, *, where: str) -> tuple[int, int]:
    """Return a span in microseconds; raise ``BadSpan`` for one that is empty, turned round or without a time zone."""
    for at in (since, until):
        if at.tzinfo is None:
            raise BadSpan(f"{at.isoformat()} has no time zone", where=where)
    if until <= since:
        raise BadSpan(f"{until.isoformat()} is not after {since.isoformat()}", where=where)
    return us_of(since), us_of(until)
