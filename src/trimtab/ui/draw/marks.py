"""Small marks for cells and rows: shares of a whole, and a value with its interval."""

from collections.abc import Sequence

import msgspec

from trimtab.kernel import percent
from trimtab.ui.draw.chart import style_of
from trimtab.ui.draw.scale import short


class Share(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    percent: float
    style: str
    x: str
    width: str
    text: str


def shares_of(parts: Sequence[tuple[str, float]]) -> tuple[Share, ...]:
    """Return the parts of a whole, in percent of it, side by side."""
    total = sum(value for _, value in parts) or 1.0
    shares, x = [], 0.0
    for i, (name, value) in enumerate(parts):
        width = value / total * 100
        shares.append(
            Share(name=name, percent=width, style=style_of(i), x=f"{x:.5g}", width=f"{width:.5g}",
                  text=percent(value / total))
        )  # fmt: skip
        x += width
    return tuple(shares)


class Whisker(msgspec.Struct, frozen=True, kw_only=True):
    """A value between its limits on a scale from 0 to 1000."""

    low: str
    high: str
    at: str
    mark: str
    label: str


def whisker_of(
    value: float, low: float | None, high: float | None, *, scale: tuple[float, float], mark: float | None = None
) -> Whisker:
    """Place a value and its interval on ``scale``; ``mark`` is a threshold or another's value."""
    left, right = scale
    span = (right - left) or 1.0

    def at(x: float) -> float:
        return min(max((x - left) / span * 1000, 0.0), 1000.0)

    label = short(value) if low is None or high is None else f"{short(value)}, between {short(low)} and {short(high)}"
    low, high = value if low is None else low, value if high is None else high
    return Whisker(
        low=f"{at(low):.4g}", high=f"{at(high):.4g}", at=f"{at(value):.4g}",
        mark="" if mark is None else f"{at(mark):.4g}", label=label,
    )  # fmt: skip
