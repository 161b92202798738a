"""Before a monitor is switched on: what it would have done on its own reference, and what it could find.

Each window of the reference is judged by the others, as if it had been served: what is found then is false, or a day
that was already unusual when the model was made. The smallest shift that is found in four cases of five says whether
the windows are large enough to be worth watching.
"""

import math
from datetime import datetime
from statistics import NormalDist
from typing import Literal

import msgspec
import numpy as np

from trimtab.monitoring.calibration import (
    FALSE_PAGES,
    KOLMOGOROV,
    MATTERS,
    USED,
    Calibration,
    calibrate,
    rate_of,
    weights_of,
)
from trimtab.monitoring.cells import Cells
from trimtab.monitoring.distances import valid
from trimtab.monitoring.reference import Reference, Tally, without
from trimtab.monitoring.spread import Spread, moved, variance_of_window
from trimtab.monitoring.tails import student

POWER = 0.8
_WIDEST = 8.0  # standard deviations: a column that cannot show this much shows nothing
_HALVINGS = 30


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
        shown[start] = [finding.name for finding in judged if finding.level != "none"]
        paged[start] = [finding.name for finding in judged if finding.level == "page"]
    of_block = reference.predicted.blocks.sum(axis=1)
    usual = rows or max(1, round(length * float(np.median(of_block[of_block > 0]))))
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


def smallest_shift(
    cells: Cells, tally: Tally, spread: Spread, *, rows: int, p: float, matters: float = MATTERS
) -> float | None:
    """Return the smallest shift of a column that a window of ``rows`` rows shows at ``p`` with 80 % power.

    ``p`` is what the column must fall below. Of a number: standard deviations that its mean moves; of a category: the
    share of rows that its most frequent value gains or loses. None when no shift is found so often.
    """
    critical = np.array([
        _critical(p * weight, freedom)
        for weight, freedom in zip(weights_of(spread.scores.is_share).tolist(), spread.freedom.tolist(), strict=True)
    ])  # fmt: skip
    if np.isinf(critical[0]) or not valid(tally.total, cells).sum():
        return None
    deviation = np.sqrt(variance_of_window(spread, np.full(len(spread.scores.names), float(rows))))
    wanted = critical + NormalDist().inv_cdf(POWER)
    share = valid(tally.total, cells) / valid(tally.total, cells).sum()
    if not cells.numeric:
        chance = float(np.sqrt(share * (1 - share) / (2 * math.pi * rows)).sum())
        needed = max(float(wanted[0] * deviation[0]), matters + chance)
        return needed if needed < 1 else None
    if tally.moments is None or not tally.moments.deviation > 0:
        return None
    shapes = [at for at, is_share in enumerate(spread.scores.is_share) if not is_share]
    kept, deviation, wanted = spread.scores.values[shapes, :-1], deviation[shapes], wanted[shapes]
    least = matters + (KOLMOGOROV + NormalDist().inv_cdf(POWER) / 2) / math.sqrt(rows)
    low, high = 0.0, _WIDEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        change = moved(share, cells, middle * tally.moments.deviation) - share
        found = np.abs(spread.scores.beyond_shift(kept @ change)) >= wanted * deviation
        if found.any() and np.abs(np.cumsum(change)).max() >= least:
            high = middle
        else:
            low = middle
    return high if high < _WIDEST * (1 - 1e-6) else None


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
        p = rate / len(calibration.columns)
        found.append(
            DryColumn(
                name=cells.name,
                shown=sum(cells.name in names for names in shown.values()),
                paged=sum(cells.name in names for names in paged.values()),
                smallest=smallest_shift(cells, tally, spread, rows=rows, p=p, matters=matters),
                unit="sd" if cells.numeric else "share",
                can_page=tally.influence >= USED,
            )
        )
    return tuple(found)


def _critical(p: float, freedom: float) -> float:
    """Return how many standard deviations a score must move to fall below ``p``: infinite when none are enough."""
    low, high = 0.0, 1e6
    if student(high, freedom) > p:
        return math.inf
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) > p else (low, middle)
    return high


def _aloud(found: DryRun, window_s: float) -> str:
    length = f"{window_s / 86400:g} days" if window_s != 86400 else "a day"
    said = (
        f"On the {found.windows} windows of {length} of its own reference it would have paged {len(found.paged_at)} "
        f"times and shown something in {len(found.shown_at)}; {found.expected:.1f} false pages are accepted. "
    )
    first = found.columns[0]
    if first.smallest is None:
        return said + f"In a window of {found.rows} rows no shift of the prediction is found in four cases of five."
    return said + (
        f"In a window of {found.rows} rows it finds a shift of the prediction by {first.smallest:.2f} standard "
        "deviations in four cases of five."
    )
