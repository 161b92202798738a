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
    unwatchable,
    weights_of,
)
from trimtab.monitoring.cells import Cells
from trimtab.monitoring.distances import valid
from trimtab.monitoring.reference import Reference, Tally, without
from trimtab.monitoring.spread import Spread, moved, variance_of_window
from trimtab.monitoring.tails import student

POWER = 0.8
SHIFT = 0.2
"""The shift that each column's power is told for: standard deviations, of a category the share of rows."""
_WIDEST = 8.0  # standard deviations: a column that cannot show this much shows nothing
_HALVINGS = 30
_NAMED = 10


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


class _Watched:
    """What a window of some rows would show of one column, all others unchanged."""

    def __init__(
        self, cells: Cells, tally: Tally, spread: Spread, *, rows: int, p: float, matters: float = MATTERS
    ) -> None:
        weights = weights_of(spread.scores.is_share).tolist()
        critical = [_critical(p * weight, one) for weight, one in zip(weights, spread.freedom.tolist(), strict=True)]
        shapes = [at for at, is_share in enumerate(spread.scores.is_share) if not is_share] if cells.numeric else [0]
        names = len(spread.scores.names)
        self._deviation = np.sqrt(variance_of_window(spread, np.full(names, float(rows))))[shapes]
        self._critical = np.array(critical)[shapes]
        self._values = spread.scores.values[shapes, :-1]
        self._scores, self._numeric, self._cells = spread.scores, cells.numeric, cells
        counts = valid(tally.total, cells)
        self._share = counts / max(int(counts.sum()), 1)
        self._unit = (tally.moments.deviation if tally.moments else 0.0) if cells.numeric else 1.0
        self._drawn = 0.5 / math.sqrt(rows)
        chance = np.sqrt(self._share * (1 - self._share) / (2 * math.pi * rows)).sum()
        self._least = matters + (KOLMOGOROV / math.sqrt(rows) if cells.numeric else float(chance))
        self.most = _WIDEST if cells.numeric else 1.0
        self.possible = bool(counts.sum() and self._unit > 0 and shapes and not unwatchable(tally.total, cells, spread))

    def power(self, shift: float) -> float:
        """Return how often a shift is found in one window: it stands out, and it moves rows enough to matter."""
        if self._numeric:
            change = moved(self._share, self._cells, shift * self._unit) - self._share
            effect = float(np.abs(np.cumsum(change)).max())
            standing = np.abs(self._scores.beyond_shift(self._values @ change)) / self._deviation
        else:
            effect, standing = shift, shift / self._deviation
        found = NormalDist().cdf(float((standing - self._critical).max()))
        # A day's own effect moves its rows as far as it moves its scores.
        scale = math.hypot(self._drawn, effect / max(float(standing.max()), 1e-9))
        return min(found, NormalDist().cdf((effect - self._least) / scale))


def smallest_shift(
    cells: Cells, tally: Tally, spread: Spread, *, rows: int, p: float, matters: float = MATTERS
) -> float | None:
    """Return the smallest shift of a column that a window of ``rows`` rows shows at ``p`` with 80 % power.

    ``p`` is what the column must fall below. Of a number: standard deviations that its mean moves; of a category: the
    share of rows that its most frequent value gains or loses. None when no shift is found so often.
    """
    watched = _Watched(cells, tally, spread, rows=rows, p=p, matters=matters)
    if not watched.possible:
        return None
    low, high = 0.0, watched.most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if watched.power(middle) >= POWER else (middle, high)
    return high if high < watched.most * (1 - 1e-6) else None


def power_of(
    cells: Cells, tally: Tally, spread: Spread, *, rows: int, p: float, matters: float = MATTERS
) -> float | None:
    """Return how often a column's shift by ``SHIFT`` is found in the first window; None where it cannot be watched."""
    watched = _Watched(cells, tally, spread, rows=rows, p=p, matters=matters)
    return watched.power(SHIFT) if watched.possible else None


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
    first, *columns = found.columns
    if first.smallest is None:
        said += f"In a window of {found.rows} rows no shift of the prediction is found in four cases of five."
    else:
        said += (
            f"In a window of {found.rows} rows it finds a shift of the prediction by {first.smallest:.2f} standard "
            "deviations in four cases of five."
        )
    numbers = sorted((one.power, one.name) for one in columns if one.unit == "sd" and one.power is not None)
    if numbers:
        (least, name), middle = numbers[0], numbers[len(numbers) // 2][0]
        said += (
            f" A shift of {SHIFT} standard deviations in one column alone is found in the first window with a power of "
            f"{middle:.2f} (the median of {len(numbers)}; the least is {name} with {least:.2f})."
        )
    blind = [one.name for one in found.columns if not one.watched]
    if blind:
        more = f" and {len(blind) - _NAMED} more" if len(blind) > _NAMED else ""
        said += f" Cannot be watched: {', '.join(blind[:_NAMED])}{more}."
    return said
