"""Histograms: one, a pair laid over each other, or a small one for a table's cell."""

from collections.abc import Sequence

import msgspec

from trimtab.kernel import percent
from trimtab.ui.draw.scale import short

WIDTH, HEIGHT = 1000.0, 100.0


class Bar(msgspec.Struct, frozen=True):
    x: str
    y: str
    width: str
    height: str
    text: str


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Filled bars, an outline over them when there is a second one, and the labels below."""

    label: str
    bars: tuple[Bar, ...]
    outline: str
    ends: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def histogram_pair(
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    name: str,
    other: Sequence[float] | None = None,
    other_name: str = "",
) -> Histogram | None:
    """Draw counts between edges (one more than counts), and ``other`` as an outline; each as a share of its sum."""
    total = sum(counts)
    if not counts or len(edges) != len(counts) + 1 or total <= 0:
        return None
    shares = [count / total for count in counts]
    other_total = sum(other) if other else 0
    others = [count / other_total for count in other] if other and other_total > 0 else []
    top = max([*shares, *others])
    low, span = edges[0], (edges[-1] - edges[0]) or 1.0

    def at_x(value: float) -> float:
        return (value - low) / span * WIDTH

    def at_y(share: float) -> float:
        return HEIGHT - share / top * HEIGHT

    bars, rows = [], []
    for i, share in enumerate(shares):
        a, b = edges[i], edges[i + 1]
        said = f"{short(a)} to {short(b)}"
        pair = f", {other_name} {percent(others[i])}" if others else ""
        width = max(at_x(b) - at_x(a) - 2, 0.5)
        bars.append(
            Bar(f"{at_x(a) + 1:.5g}", f"{at_y(share):.4g}", f"{width:.5g}", f"{HEIGHT - at_y(share):.4g}",
                f"{said}: {name} {percent(share)}{pair}")
        )  # fmt: skip
        rows.append((said, percent(share), *([percent(others[i])] if others else [])))
    outline = ""
    if others:
        outline = f"M0 {HEIGHT:g}" + "".join(
            f"V{at_y(share):.4g}H{at_x(edges[i + 1]):.5g}" for i, share in enumerate(others)
        )
        outline += f"V{HEIGHT:g}"
    most = max(range(len(shares)), key=shares.__getitem__)
    return Histogram(
        label=f"Histogram of {name} from {short(edges[0])} to {short(edges[-1])}; most between {rows[most][0]}",
        bars=tuple(bars),
        outline=outline,
        ends=(short(edges[0]), short((edges[0] + edges[-1]) / 2), short(edges[-1])),
        heads=("Between", name, *([other_name] if others else [])),
        rows=tuple(rows),
    )


def spark_bars(counts: Sequence[float], *, width: float = 96.0, height: float = 20.0) -> tuple[Bar, ...]:
    """Return small bars for a table's cell."""
    top = max(counts, default=0)
    if top <= 0:
        return ()
    step = width / len(counts)
    return tuple(
        Bar(
            f"{i * step:.4g}", f"{height - max(count / top * height, 0.75 if count else 0):.4g}",
            f"{max(step - 1, 0.6):.4g}", f"{max(count / top * height, 0.75 if count else 0):.4g}", short(count),
        )
        for i, count in enumerate(counts)
    )  # fmt: skip
