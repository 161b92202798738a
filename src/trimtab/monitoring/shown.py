"""A finding as people and programs see it: now, usual, how many times that, and what decided."""

import math

import msgspec

from trimtab.kernel import percent
from trimtab.monitoring.calibration import FALSE_PAGES, MATTERS, Finding, Level, rate_of


class ShownFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What one column of a window shows.

    ``level``: page, shown (it drifted, and pages nobody), none (as usual), or that it cannot be watched. ``n``: rows of
    the window. ``psi`` is the population stability index now, ``usual`` what 95 % of the reference's own windows do not
    exceed, ``ratio`` the one through the other; null where not defined. PSI is shown and decides nothing: ``decided``
    says what did, in standard deviations of windows in which nothing is wrong. ``effect`` is the share of rows that
    lie elsewhere, beyond what chance moves.
    """

    name: str
    level: Level
    text: str
    n: int
    psi: float | None
    usual: float | None
    ratio: float | None
    decided: str
    statistic: str
    effect: float
    influence: float
    adjusted: float


def shown_finding(
    finding: Finding, *, false_pages: tuple[float, float] = FALSE_PAGES, windows_per_day: float = 1.0
) -> ShownFinding:
    """Return a finding with what decided about it, at the rate of false pages that it was judged by."""
    psi, usual = _number(finding.distances.psi), _number(finding.usual.psi)
    return ShownFinding(
        name=finding.name, level=finding.level, text=finding.text, n=finding.n, psi=psi, usual=usual,
        ratio=psi / usual if psi is not None and usual else None,
        decided=_decided(finding, rate_of(false_pages, windows_per_day)), statistic=finding.statistic,
        effect=finding.effect, influence=finding.influence, adjusted=finding.adjusted,
    )  # fmt: skip


def _decided(finding: Finding, rate: float) -> str:
    if not finding.n or not math.isfinite(finding.z):
        return "there is nothing to compare"
    change = f"{finding.statistic} moved {finding.z:+.1f} sd"  # of windows in which nothing is wrong
    elsewhere = f"{percent(finding.effect)} of the rows lie elsewhere"
    if finding.level in ("page", "shown"):
        return f"{change}, beyond chance (p {finding.adjusted:.2g} < {rate:.2g}); {elsewhere}"
    if finding.adjusted > rate:
        return f"{change}, which chance does too (p {finding.adjusted:.2g}, not < {rate:.2g})"
    return f"{change}, but only {elsewhere}, and {percent(MATTERS)} matter"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
