"""Before a monitor is switched on: what it would have done on its own reference, and what it could find.

Each window of the reference is judged by the others, as if it had been served: what is found then is false, or a day
that was already unusual when the model was made. The smallest shift that is found in four cases of five says whether
the windows are large enough to be worth watching.
"""

import math
from datetime import datetime
from typing import Literal

import msgspec

from trimtab.monitoring.calibration import FALSE_PAGES, MATTERS, USED, Calibration, calibrate, rate_of, unwatchable
from trimtab.monitoring.drift_power import DriftPower, power_of, smallest_shift, usual_rows
from trimtab.monitoring.reference import Reference, without


class DryColumn(msgspec.Struct, frozen=True, kw_only=True):
    """What watching one column would be worth."""

    name: str
    shown: int
    """Windows of the reference in which it would have been found drifted."""
    paged: int
    smallest: float | None
    """The smallest shift found with 80 % power, all other columns unchanged; None when none is."""
    unit: Literal["sd", "share"]
    """Standard deviations of a number; the share of rows that a category's most frequent value gains or loses."""
    power: float | None
    """How often a shift by 0.2 of this unit is found in the first window; None of what has no deviation."""
    watched: bool
    """Whether anything can be found: not where the reference holds no value, or too few blocks."""
    can_page: bool
    """Whether the prediction depends on it enough to page."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor would have done on its own reference. Made by ``dry_run``."""

    windows: int
    rows: int
    """Of the usual window."""
    shown_at: tuple[datetime, ...]
    """Windows of the reference in which at least one column would have been found drifted."""
    paged_at: tuple[datetime, ...]
    expected: float
    """False pages that the user accepts in as many windows with predictions of rows that were not learnt."""
    columns: tuple[DryColumn, ...]
    """The prediction first."""
    text: str


def dry_run(
    reference: Reference,
    *,
    span: float = 1.0,
    false_pages: tuple[float, float] = FALSE_PAGES,
    windows_per_day: float = 1.0,
    matters: float = MATTERS,
    rows: int | None = None,
) -> DryRun:
    """Say what a monitor would have done on its own reference: see ``findings`` for what the arguments mean.

    ``rows`` is the size of the usual window; without it, that of the reference's own. Windows of a ``span`` do not
    overlap; what is left over at the end is not judged.
    """
    length = max(1, math.ceil(span))
    starts = range(0, len(reference.starts) - length + 1, length)
    shown: dict[int, list[str]] = {}
    paged: dict[int, list[str]] = {}
    whole = calibrate(reference, span=span)
    for start in starts:
        others = Calibration(without(reference, start, start + length), span=span, like=whole)
        window = {
            cells.name: tally.blocks[start : start + length].sum(axis=0)
            for cells, tally in zip(reference.columns, reference.tallies, strict=True)
        }
        prediction = reference.predicted.blocks[start : start + length].sum(axis=0)
        judged = others.findings(
            window, prediction, false_pages=false_pages, windows_per_day=windows_per_day, matters=matters
        )
        shown[start] = [finding.name for finding in judged if finding.level in ("shown", "page")]
        paged[start] = [finding.name for finding in judged if finding.level == "page"]
    of_block = reference.predicted.blocks.sum(axis=1)
    usual = rows or usual_rows(reference, length)
    predicted = sum(bool(of_block[start : start + length].any()) for start in starts)
    rate = rate_of(false_pages, windows_per_day)
    columns = _columns(whole, shown, paged, rows=usual, rate=rate, matters=matters)
    found = DryRun(
        windows=len(starts),
        rows=usual,
        shown_at=tuple(reference.starts[start] for start in starts if shown[start]),
        paged_at=tuple(reference.starts[start] for start in starts if paged[start]),
        expected=rate * predicted,
        columns=columns,
        text="",
    )
    return msgspec.structs.replace(found, text=_aloud(found, span * reference.block_s))


def _columns(
    calibration: Calibration,
    shown: dict[int, list[str]],
    paged: dict[int, list[str]],
    *,
    rows: int,
    rate: float,
    matters: float,
) -> tuple[DryColumn, ...]:
    found = []
    for cells, tally, spread in calibration.columns:
        given = {"rows": rows, "p": rate / len(calibration.columns), "matters": matters}
        found.append(
            DryColumn(
                name=cells.name,
                shown=sum(cells.name in names for names in shown.values()),
                paged=sum(cells.name in names for names in paged.values()),
                smallest=smallest_shift(cells, tally, spread, **given),  # type: ignore[arg-type]
                power=power_of(cells, tally, spread, **given),  # type: ignore[arg-type]
                unit="sd" if cells.numeric else "share",
                watched=not unwatchable(tally.total, cells, spread),
                can_page=tally.influence >= USED,
            )
        )
    return tuple(found)


def _aloud(found: DryRun, window_s: float) -> str:
    length = f"{window_s / 86400:g} days" if window_s != 86400 else "a day"
    first, *others = found.columns
    power = DriftPower(
        rows=found.rows, prediction=first.smallest,
        columns={one.name: one.power for one in others if one.unit == "sd" and one.power is not None},
        blind=tuple(one.name for one in found.columns if not one.watched),
    )  # fmt: skip
    return (
        f"On the {found.windows} windows of {length} of its own reference it would have paged {len(found.paged_at)} "
        f"times and shown something in {len(found.shown_at)}; {found.expected:.1f} false pages are accepted. "
        f"{power.text}"
    )
