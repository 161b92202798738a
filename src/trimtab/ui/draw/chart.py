"""A line chart: curves with optional bands, on round ticks, thinned to what a screen can show."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np

from trimtab.ui.draw.scale import nice_ticks, short, time_labels
from trimtab.ui.draw.thin import COLUMNS, thin

WIDTH, HEIGHT = 1000.0, 100.0
"""The plot's own coordinates; it is stretched to its place, and strokes keep their width."""
Place = Callable[[float], float]
DOTS_AT_MOST = 40
HITS_AT_MOST = 60
"""Places of a chart that tell their values, and rows of its table."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A named curve. ``points`` are (x, y) sorted by x; ``low`` and ``high`` make a band of the same length.

    ``of`` is how many points there are, where ``points`` are those that ``thin`` kept. ``last`` is the last value where
    that is not the last point's: a NaN is nowhere in the plot.
    """

    name: str
    points: Sequence[tuple[float, float]]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    of: int = 0
    last: float | None = None


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    style: str
    path: str
    dots: str
    band: str
    last: str


class Tick(msgspec.Struct, frozen=True):
    at: str
    text: str


class Hit(msgspec.Struct, frozen=True):
    """A column of the plot that tells its values when it is pointed at."""

    x: str
    width: str
    text: str


class Upright(msgspec.Struct, frozen=True):
    """A moment, or another place on the x axis, at which something happened."""

    at: str
    text: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn chart, its label for those who do not see it, and the table of what it shows.

    ``note`` and ``twin`` say what the curves and the table leave out; empty when that is nothing.
    """

    label: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    hits: tuple[Hit, ...]
    mark: str
    guide: str
    uprights: tuple[Upright, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    twin: str


def line_chart(
    series: Sequence[Series],
    *,
    x: Literal["time", "number"] = "number",
    x_name: str = "step",
    mark: float | None = None,
    include: Sequence[float] = (),
    guide: Sequence[tuple[float, float]] = (),
    uprights: Sequence[tuple[float, str]] = (),
    between: tuple[float, float] | None = None,
    tell_last: bool = True,
) -> Chart | None:
    """Draw curves over numbers, or over UTC timestamps in seconds; None when there is nothing to draw.

    ``mark`` draws a dashed level, such as a threshold; ``include`` are values that the scale must show, such as 0;
    ``guide`` is a dotted line to compare with, such as the diagonal; ``uprights`` are places on the x axis at which
    something happened, with a sentence each; ``between`` widens the x axis to two places; ``tell_last`` writes each
    curve's last value into the legend.
    """
    drawn = [s for s in map(_finite, series) if s.points]
    if not drawn:
        return None
    xs = [point[0] for points in (guide, *(s.points for s in drawn)) for point in points]
    xs += between or ()
    ys = [point[1] for points in (guide, *(s.points for s in drawn)) for point in points]
    ys += [v for s in drawn for v in (*s.low, *s.high)]
    ticks = nice_ticks(min([*ys, *include]), max([*ys, *include]))
    x_low, x_high = min(xs), max(xs)
    if x_high == x_low:
        x_low, x_high = x_low - 0.5, x_high + 0.5

    def at_x(value: float) -> float:
        return (value - x_low) / (x_high - x_low) * WIDTH

    def at_y(value: float) -> float:
        # By halves: from nearly the least number to nearly the greatest is farther than any number.
        return HEIGHT - (value / 2 - ticks[0] / 2) / (ticks[-1] / 2 - ticks[0] / 2) * HEIGHT

    thinned = [_thinned(s) for s in drawn]
    curves = tuple(
        Curve(
            name=s.name,
            style=style_of(i),
            path=_path([(at_x(a), at_y(b)) for a, b in kept]),
            dots=_dots([(at_x(a), at_y(b)) for a, b in s.points]) if len(s.points) <= DOTS_AT_MOST else "",
            band=_band(s, at_x, at_y),
            last=short(s.points[-1][1] if s.last is None else s.last) if tell_last else "",
        )
        for i, (s, kept) in enumerate(zip(drawn, thinned, strict=True))
    )
    texts = _x_texts(x, x_low, x_high, whole=all(value == int(value) for value in xs))
    rows = _rows(drawn, x)
    return Chart(
        label=_label(drawn, x_name),
        curves=curves,
        x_ticks=tuple(Tick(f"{100 * i / (len(texts) - 1):g}%", text) for i, text in enumerate(texts)),
        y_ticks=tuple(Tick(f"{at_y(t):.4g}%", short(t)) for t in ticks),
        hits=_hits(drawn, at_x, x),
        mark="" if mark is None or not ticks[0] <= mark <= ticks[-1] else f"{at_y(mark):.4g}",
        guide=_path([(at_x(a), at_y(b)) for a, b in guide]) if guide else "",
        uprights=tuple(Upright(f"{at_x(a):.5g}", text) for a, text in uprights if x_low <= a <= x_high),
        heads=(x_name, *(s.name for s in drawn)),
        rows=rows,
        note=_note(drawn, thinned),
        twin=_left_out(len(rows), max(max(s.of, len(s.points)) for s in drawn)),
    )


def style_of(index: int) -> str:
    """Return the classes of a series: five colours in fixed order, then the same dashed."""
    return f"s{index % 5 + 1}" + (" dash" if index >= 5 else "")


def _finite(series: Series) -> Series:
    keep = [i for i, (a, b) in enumerate(series.points) if math.isfinite(a) and math.isfinite(b)]
    if len(keep) == len(series.points):
        return series
    return Series(
        name=series.name,
        of=series.of,
        points=[series.points[i] for i in keep],
        low=[series.low[i] for i in keep] if series.low else (),
        high=[series.high[i] for i in keep] if series.high else (),
    )


def _thinned(series: Series) -> Sequence[tuple[float, float]]:
    points = series.points
    if series.low or len(points) <= 2 * COLUMNS:
        return points
    array = np.asarray(points, np.float64)
    return [points[i] for i in thin(array[:, 0], array[:, 1])]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:.4g} {b:.4g}" if a < 1000 else f"{a:.5g} {b:.4g}" for a, b in points)


def _dots(points: Sequence[tuple[float, float]]) -> str:
    # A line of no length with round ends is a dot that stays round however the plot is stretched.
    return "".join(f"M{a:.5g} {b:.4g}h0" for a, b in points)


def _band(series: Series, at_x: Place, at_y: Place) -> str:
    if not series.low or not series.high:
        return ""
    xs = [at_x(a) for a, _ in series.points]
    upper = [(a, at_y(v)) for a, v in zip(xs, series.high, strict=True)]
    lower = [(a, at_y(v)) for a, v in zip(xs, series.low, strict=True)]
    return _path(upper) + "L" + _path(lower[::-1])[1:] + "Z"


def _x_texts(kind: str, low: float, high: float, *, whole: bool) -> list[str]:
    if kind == "time":
        # Days with their hour are long words: more than three of them meet on a narrow chart.
        return time_labels(low, high, count=3 if 86400 <= high - low < 4 * 86400 else 5)
    if whole:
        count = 5 if high - low >= 4 else max(2, int(high - low) + 1)
        return [short(round(low + (high - low) * i / (count - 1))) for i in range(count)]
    decimals = max(0, 2 - math.floor(math.log10(high - low)))
    texts = (f"{low + (high - low) * i / 4:.{decimals}f}" for i in range(5))
    return [text.rstrip("0").rstrip(".") if "." in text else text for text in texts]


def _text_of_x(value: float, kind: str) -> str:
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M") if kind == "time" else short(value)


def _hits(series: Sequence[Series], at_x: Place, kind: str) -> tuple[Hit, ...]:
    xs = _places(series)
    values = [dict(s.points) for s in series]
    edges = [0.0, *((at_x(a) + at_x(b)) / 2 for a, b in pairwise(xs)), WIDTH]
    hits = []
    for i, value in enumerate(xs):
        told = [f"{s.name} {short(v[value])}" for s, v in zip(series, values, strict=True) if value in v]
        width = max(edges[i + 1] - edges[i], 0.0)
        hits.append(Hit(f"{edges[i]:.5g}", f"{width:.5g}", f"{_text_of_x(value, kind)}: {', '.join(told)}"))
    return tuple(hits)


def _rows(series: Sequence[Series], kind: str) -> tuple[tuple[str, ...], ...]:
    values = [dict(s.points) for s in series]
    return tuple((_text_of_x(a, kind), *(short(v.get(a)) for v in values)) for a in _places(series))


def _places(series: Sequence[Series]) -> list[float]:
    """Return where values are told: everywhere, or evenly, with both ends and the least and greatest of each curve."""
    xs = sorted({point[0] for s in series for point in s.points})
    if len(xs) <= HITS_AT_MOST:
        return xs
    extremes = {pick(s.points, key=lambda p: p[1])[0] for s in series for pick in (min, max)}
    evenly = max(2, HITS_AT_MOST - len(extremes))
    return sorted(extremes | {xs[round(i * (len(xs) - 1) / (evenly - 1))] for i in range(evenly)})


def _note(series: Sequence[Series], thinned: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Say how many points of each curve are drawn, where that is not all of them."""
    counts = [(s.name, len(kept), max(s.of, len(s.points))) for s, kept in zip(series, thinned, strict=True)]
    said = [f"{_left_out(kept, of)} of {name}" for name, kept, of in counts if kept < of]
    return f"Drawn: {'; '.join(said)}, with both ends and every extreme" if said else ""


def _left_out(shown: int, of: int) -> str:
    """Return ``60 of 12 000 points``, or nothing when all are shown."""
    return f"{shown:,} of {of:,} points".replace(",", "\u202f") if shown < of else ""


def _label(series: Sequence[Series], x_name: str) -> str:
    parts = []
    for s in series:
        ys = [p[1] for p in s.points]
        parts.append(f"{s.name} from {short(ys[0])} to {short(ys[-1])}, least {short(min(ys))}, most {short(max(ys))}")
    return f"Line chart over {x_name}: " + "; ".join(parts)
