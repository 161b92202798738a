"""Numbers as people read them, alike on pages, on the command line and in sentences: few digits, and none that lies."""

import math

LEAST_SHARE = 1e-5
"""A smaller share is said to be under it."""


def figure(value: float, *, digits: int = 4) -> str:
    """Return a number with so many digits. Nothing below 1 reads as 1, and zero has no sign."""
    text = f"{value:.{digits}g}"
    if text.lstrip("-") == "1" and abs(value) < 1:
        text = text.replace("1", f"0.{'9' * digits}")
    return "0" if text == "-0" else text


def percent(share: float) -> str:
    """Return a share in percent, in three digits. 100 % is all of it, never nearly all; 0 % is none of it."""
    if 0 < abs(share) < LEAST_SHARE:
        return f"{'under ' if share > 0 else 'above -'}{LEAST_SHARE * 100:g} %"
    if abs(share) >= 9.995 or not math.isfinite(share):
        return f"{share * 100:.0f} %"
    text = figure(share * 100, digits=3)
    if text.lstrip("-") == "100" and abs(share) < 1:
        text = text.replace("100", "99.9")
    return f"{text} %"
