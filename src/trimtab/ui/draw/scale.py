"""Scales: round ticks, and numbers as short text."""

import math
import sys
from datetime import UTC, datetime

from trimtab.kernel import figure

_LEAST, _GREATEST = 1e-300, sys.float_info.max


def nice_ticks(low: float, high: float, *, about: int = 4) -> list[float]:
    """Return evenly spaced round numbers from at or below ``low`` to at or above ``high``.

    Numbers that lie less than 1e-300 apart are drawn as one.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high / about - low / about < _LEAST:
        pad = abs(low) * 0.1
        low, high = (max(low - pad, -_GREATEST), min(high + pad, _GREATEST)) if pad > _LEAST else (0.0, 1.0)
    raw = high / about - low / about  # the difference itself may be infinite
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if raw <= m * power * 1.0000001)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [min(max(i * step, -_GREATEST), _GREATEST) for i in range(first, last + 1)]


def short(value: float | None) -> str:
    """Return a number in few characters: 0.73, 1 200, 4.2 M."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    size = abs(value)
    if size >= 9.9995e12:
        return f"{value:.3g}"
    if size >= 0.9995e9:
        return f"{value / 1e9:.4g} G"
    if size >= 0.9995e6:
        return f"{value / 1e6:.3g} M"
    if size >= 999.95:
        return f"{value:,.0f}".replace(",", "\u202f")
    if size == 0 or size >= 1e-3:
        return figure(value)
    if size >= 1e-6:
        return f"{value:.{2 - math.floor(math.log10(size))}f}".rstrip("0")
    return f"{value:.2e}"


def time_labels(start: float, end: float, *, count: int) -> list[str]:
    """Return labels for evenly spaced moments between two UTC timestamps, as exact as the span needs."""
    span = end - start
    form = "%H:%M:%S" if span < 600 else "%H:%M" if span < 86400 else "%d %b %H:%M" if span < 4 * 86400 else "%d %b"
    if span > 400 * 86400:
        form = "%b %Y"
    return [datetime.fromtimestamp(start + span * i / (count - 1), UTC).strftime(form) for i in range(count)]
