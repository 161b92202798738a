"""A time axis with lanes: what began when, and how long it took, one lane for each thing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from trimtab.ui.draw.scale import time_labels

WIDTH = 1000.0
LEAST = 5.0
"""A bar is at least this wide, so that what took no time is seen too."""
TICKS = 5


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """From ``start`` to ``end``, in a tone (ok, bad, go, wait, off), with a sentence, and where it leads."""

    start: datetime
    end: datetime
    tone: str
    text: str
    href: str = ""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the picture: a name with a link, a word about it, and its stretches."""

    name: str
    stretches: Sequence[Stretch]
    href: str = ""
    said: str = ""


class TrackBar(msgspec.Struct, frozen=True, kw_only=True):
    x: str
    width: str
    tone: str
    text: str
    href: str


class Track(msgspec.Struct, frozen=True, kw_only=True):
    lane: Lane
    bars: tuple[TrackBar, ...]
    label: str


class Tracks(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn time axis: its lanes, and the moments that its rules stand at, in percent of its width."""

    tracks: tuple[Track, ...]
    ticks: tuple[tuple[str, str], ...]
    start: datetime
    end: datetime


def time_tracks(lanes: Sequence[Lane], *, start: datetime | None = None, end: datetime | None = None) -> Tracks | None:
    """Draw lanes from ``start`` to ``end``, or around all that they hold; None when they hold nothing."""
    found = [stretch for lane in lanes for stretch in lane.stretches]
    if not found:
        return None
    start = start or min(stretch.start for stretch in found)
    end = end or max(stretch.end for stretch in found)
    if end - start < timedelta(seconds=1):
        start, end = start - timedelta(seconds=30), end + timedelta(seconds=30)
    whole = (end - start).total_seconds()

    def at_x(moment: datetime) -> float:
        return min(max((moment - start).total_seconds() / whole, 0.0), 1.0) * WIDTH

    texts = time_labels(start.timestamp(), end.timestamp(), count=TICKS)
    return Tracks(
        tracks=tuple(
            Track(
                lane=lane,
                bars=tuple(
                    _bar(s, at_x(s.start), at_x(s.end)) for s in lane.stretches if s.end >= start and s.start <= end
                ),
                label=f"{lane.name}: " + ("; ".join(s.text for s in lane.stretches) or "nothing"),
            )
            for lane in lanes
        ),
        ticks=tuple((f"{100 * i / (TICKS - 1):g}", text) for i, text in enumerate(texts)),
        start=start.astimezone(UTC),
        end=end.astimezone(UTC),
    )


def _bar(stretch: Stretch, left: float, right: float) -> TrackBar:
    width = max(right - left, LEAST)
    left = min(left, WIDTH - width)
    return TrackBar(
        x=f"{left:.5g}", width=f"{width:.5g}", tone=stretch.tone, text=stretch.text, href=stretch.href
    )  # fmt: skip
