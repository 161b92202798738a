"""The one clock. Nothing else in Trimtab reads the time, so a year of operations can be replayed in minutes."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from trimtab.kernel.errors import Invalid


class Clock(Protocol):
    """Tells the time and waits. ``now`` is an aware UTC ``datetime``; durations are in seconds."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The time of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class StartedClock:
    """A clock that was set to ``start`` at the moment ``since`` (now) and runs on at the usual speed.

    It lets a project live at the time of its data: the flights of 2013 are served in 2013. Clocks made with the same
    ``start`` and ``since``, in whatever process, tell the same time.
    """

    def __init__(self, start: datetime, *, since: datetime | None = None) -> None:
        self._origin, now = _both_clocks()
        elapsed = (now - _aware(since)).total_seconds() if since else 0.0
        self._start = _aware(start) + timedelta(seconds=max(0.0, elapsed))

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._origin)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class VirtualClock:
    """A clock that stands still until it is told to move; ``sleep`` moves it. Never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = _aware(start)
        self._start = self._now
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=max(0.0, seconds))

    def advance_to(self, at: datetime) -> None:
        """Move to ``at``; raise ``Invalid`` when that lies in the past."""
        with self._lock:
            at = _aware(at)
            if at < self._now:
                raise Invalid(
                    f"cannot set a virtual clock back from {self._now.isoformat()} to {at.isoformat()}",
                    where="kernel.clock",
                    why="Facts would become known before they were recorded.",
                    next="start a new clock at the earlier time",
                )
            self._now = at


def parse_time(text: str, *, where: str) -> datetime:
    """Read an ISO 8601 date or time as aware UTC; a time without an offset is UTC. Raises ``Invalid``."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(
            f"{text!r} is not a time",
            where=where,
            why="Times are written as in ISO 8601.",
            next="write for example 2013-03-01 or 2013-03-01T12:00:00Z",
        ) from None


def _both_clocks() -> tuple[float, datetime]:
    """Read the machine's two clocks at one moment: of some readings the one into which least time came between.

    A busy machine may stop a thread between the two, for seconds; the clocks of two processes would differ by as much.
    """
    readings = [(time.monotonic(), datetime.now(UTC), time.monotonic()) for _ in range(5)]
    before, now, _ = min(readings, key=lambda reading: reading[2] - reading[0])
    return before, now


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Invalid(
            f"{at.isoformat()} has no time zone",
            where="kernel.clock",
            why="Every moment in Trimtab is an aware UTC time.",
            next="pass datetime(..., tzinfo=UTC)",
        )
    return at.astimezone(UTC)
