"""Durations, spans and frequencies as people write them: ``tt.hours(2)``, ``"24h"``, ``"last 14 days"``."""

import math
import re
from datetime import timedelta

import msgspec

from trimtab.declare.mistakes import BadDuration
from trimtab.declare.places import here
from trimtab.declare.records import Span

_UNITS = {
    "ms": 0.001,
    "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
    "w": 604800, "week": 604800, "weeks": 604800,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?\s*[a-z]+[\s,]*)+")
_ONCE = re.compile(r"once (?:an?|every) (.+)")
_MONTH_S = 30 * 86400.0
_HOW = "A duration is a number with a unit: ms, s, m (minutes), h, d or w."
_LONGEST_S = 100 * 366 * 86400.0


class Duration(msgspec.Struct, frozen=True, order=True):
    """A length of time. Made by ``tt.minutes``, ``tt.hours`` and ``tt.days``; added to and taken from times."""

    seconds: float

    def __add__(self, other: "Duration") -> "Duration":
        return Duration(self.seconds + other.seconds) if isinstance(other, Duration) else NotImplemented

    def __repr__(self) -> str:
        for word, size in (("days", 86400), ("hours", 3600)):
            if self.seconds >= size and self.seconds % size == 0:
                return f"tt.{word}({self.seconds / size:g})"
        return f"tt.minutes({self.seconds / 60:.17g})"


DurationLike = str | Duration | timedelta


def minutes(count: float) -> Duration:
    """A length of time in minutes: ``Flight.scheduled - tt.minutes(90)``."""
    return _counted(count, 60, "minutes")


def hours(count: float) -> Duration:
    """A length of time in hours: ``Flight.scheduled - tt.hours(2)``."""
    return _counted(count, 3600, "hours")


def days(count: float) -> Duration:
    """A length of time in days of 24 hours: ``Order.placed + tt.days(1)``."""
    return _counted(count, 86400, "days")


def _counted(count: float, size: int, unit: str) -> Duration:
    if isinstance(count, bool) or not isinstance(count, int | float) or not 0 < count * size <= _LONGEST_S:
        raise BadDuration(
            f"tt.{unit}({count!r}) is no length of time",
            where=here(),
            why="A duration is a number greater than 0, of at most a hundred years.",
            next=f"write for example tt.{unit}(2)",
        )
    return Duration(float(count * size))


def seconds_of(value: DurationLike, *, what: str) -> float:
    """Return the seconds of a duration; raise ``BadDuration`` naming ``what`` was being read."""
    if isinstance(value, Duration):
        return value.seconds
    if isinstance(value, timedelta):
        seconds: float | None = value.total_seconds()
    else:
        seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None or not 0 < seconds <= _LONGEST_S:
        raise BadDuration(
            f"{what}={value!r} is not a duration",
            where=here(),
            why=_HOW + ("" if isinstance(value, str) else " A bare number does not say its unit."),
            next=f'write for example {what}="{_suggest(value)}"',
        )
    return seconds


def parse_duration(text: str) -> float | None:
    """Return the seconds of a text such as ``24h``, ``90m``, ``1h 30m`` or ``2 weeks``; None when it is none."""
    text = text.strip().lower()
    if not _WHOLE.fullmatch(text):
        return None
    total = 0.0
    for number, unit in _PART.findall(text):
        if unit not in _UNITS:
            return None
        total += float(number) * _UNITS[unit]
    return round(total, 6) if math.isfinite(total) else None


def span_of(text: str, *, what: str) -> Span:
    """Read ``all history`` or ``last 60 days``; raise ``BadDuration`` for anything else."""
    words = " ".join(text.lower().split()) if isinstance(text, str) else ""
    if words == "all history":
        return Span(text=words)
    seconds = parse_duration(words[5:]) if words.startswith("last ") else None
    if seconds:
        return Span(seconds=seconds, text=words)
    raise BadDuration(
        f"{what}={text!r} is no span of time",
        where=here(),
        why='A span is "all history", or "last" and a duration.',
        next=f'write for example {what}="last 14 days"',
    )


def frequency_of(value: DurationLike, *, what: str) -> float:
    """Return the seconds between two times of ``once a week``, ``once every 3 days`` or ``7d`` (a month is 30 days)."""
    once = _ONCE.fullmatch(" ".join(value.lower().split())) if isinstance(value, str) else None
    if once is None:
        return seconds_of(value, what=what)
    unit = once.group(1)
    if unit in ("month", "1 month"):
        return _MONTH_S
    seconds = parse_duration(unit if unit[:1].isdigit() else f"1 {unit}")
    if not seconds:
        raise BadDuration(
            f"{what}={value!r} is not a frequency",
            where=here(),
            why='A frequency is "once a" hour, day, week or month, or the shortest duration between two times.',
            next=f'write for example {what}="once a week" or {what}="7d"',
        )
    return seconds


def duration_text(seconds: float, *, days_from: int = 1) -> str:
    """Write a duration in its largest whole unit: ``7d``, ``24h``, ``90m``, ``20ms``.

    ``days_from`` is the least number of days that is written in days; windows of features say ``24h``, not ``1d``.
    """
    for unit, size, least in (("d", 86400, days_from), ("h", 3600, 1), ("m", 60, 1), ("s", 1, 1)):
        if seconds >= size * least and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds * 1000:.15g}ms"


def _suggest(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return f"{value:g}h"
    return "24h"
