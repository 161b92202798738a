"""A strip of time: one bar for each slice of it, with what went wrong on top."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

HEIGHT = 44.0
WIDTH = 1000.0


class StripBar(msgspec.Struct, frozen=True, kw_only=True):
    x: str
    width: str
    y: str
    height: str
    bad_y: str
    bad_height: str
    text: str


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    bars: tuple[StripBar, ...]
    start: str
    end: str


def time_strip(
    times: Sequence[datetime], *, bad: Sequence[datetime], start: datetime, end: datetime, slices: int, noun: str
) -> Strip:
    """Count moments in equal slices between start and end; ``bad`` are those of them that went wrong."""
    span = (end - start) / slices
    counts, bads = _counted(times, start, span, slices), _counted(bad, start, span, slices)
    top = max([*counts, 1])
    step = WIDTH / slices
    bars = []
    for i, (count, wrong) in enumerate(zip(counts, bads, strict=True)):
        height = max(count / top * (HEIGHT - 2), 2.0) if count else 0.0
        bad_height = height * min(wrong / count, 1.0) if count else 0.0
        said = f"{start + i * span:%d %b %H:%M}: {_many(count, noun)}" + (f", {wrong} failed" if wrong else "")
        bars.append(
            StripBar(
                x=f"{i * step + 1:.5g}", width=f"{max(step - 2, 1):.4g}", y=f"{HEIGHT - height:.4g}",
                height=f"{height:.4g}", bad_y=f"{HEIGHT - bad_height:.4g}", bad_height=f"{bad_height:.4g}", text=said,
            )
        )  # fmt: skip
    form = "%d %b %H:%M" if end - start >= timedelta(hours=20) else "%H:%M"
    wrong_text = f", {sum(bads)} of them failed" if sum(bads) else ""
    return Strip(
        label=f"{_many(sum(counts), noun)} between {start:{form}} and {end:{form}} UTC{wrong_text}",
        bars=tuple(bars), start=f"{start:{form}}", end=f"{end:{form}}",
    )  # fmt: skip


def _many(count: int, noun: str) -> str:
    return f"{count} {noun.removesuffix('s') if count == 1 else noun}"


def _counted(times: Sequence[datetime], start: datetime, span: timedelta, slices: int) -> list[int]:
    counts = [0] * slices
    for time in times:
        i = int((time - start) / span)
        if 0 <= i < slices:
            counts[i] += 1
        elif time == start + span * slices:
            counts[-1] += 1
    return counts
