"""What drift a window of some rows can show: the smallest shift that is found, and how often a shift of 0.2 is."""

import math
from functools import lru_cache
from statistics import NormalDist

import msgspec
import numpy as np

from trimtab.monitoring.calibration import (
    FALSE_PAGES,
    KOLMOGOROV,
    MATTERS,
    calibrate,
    rate_of,
    unwatchable,
    weights_of,
)
from trimtab.monitoring.cells import Cells
from trimtab.monitoring.distances import valid
from trimtab.monitoring.reference import PREDICTION, Reference, Tally
from trimtab.monitoring.spread import Spread, moved, variance_of_window
from trimtab.monitoring.tails import student

POWER = 0.8
SHIFT = 0.2
"""The shift that each column's power is told for: standard deviations, of a category the share of rows."""
_WIDEST = 8.0  # standard deviations: a column that cannot show this much shows nothing
_HALVINGS = 30
_NAMED = 10
_EXACT = 1e-9


class DriftPower(msgspec.Struct, frozen=True, kw_only=True):
    """What a window of ``rows`` rows can show of drift. Made by ``drift_power``.

    ``prediction`` is the smallest shift of the predictions, in standard deviations, that is found in four cases of
    five; None when none is. ``columns`` are the numbers and how often a shift by 0.2 standard deviations of each alone
    is found in the first window; ``blind`` are the columns that cannot be watched.
    """

    rows: int
    prediction: float | None
    columns: dict[str, float]
    blind: tuple[str, ...]

    @property
    def text(self) -> str:
        """Say it in words."""
        window = f"In a window of {self.rows} rows"
        if self.prediction is None:
            said = f"{window} no shift of the prediction is found in four cases of five."
        else:
            said = (
                f"{window} it finds a shift of the prediction by {self.prediction:.2f} standard deviations in four "
                "cases of five."
            )
        numbers = sorted((power, name) for name, power in self.columns.items())
        if numbers:
            (least, name), middle = numbers[0], numbers[len(numbers) // 2][0]
            said += (
                f" A shift of {SHIFT} standard deviations in one column alone is found in the first window with a "
                f"power of {middle:.2f} (the median of {len(numbers)}; the least is {name} with {least:.2f})."
            )
        if self.blind:
            more = f" and {len(self.blind) - _NAMED} more" if len(self.blind) > _NAMED else ""
            said += f" Cannot be watched: {', '.join(self.blind[:_NAMED])}{more}."
        return said


def drift_power(reference: Reference, *, rows: int | None = None) -> DriftPower:
    """Return what a window of ``rows`` rows, as long as a block of the reference (a day), can show.

    Without ``rows`` it has as many as a block of the reference. ``dry_run`` says what the monitor would have done
    besides; this is many times quicker.
    """
    calibration = calibrate(reference)
    rows, p = rows or usual_rows(reference), rate_of(FALSE_PAGES, 1.0) / len(calibration.columns)
    columns, blind = {}, []
    for cells, tally, spread in calibration.columns:
        power = power_of(cells, tally, spread, rows=rows, p=p)
        if cells.numeric and power is not None:
            columns[cells.name] = power
        if unwatchable(tally.total, cells, spread):
            blind.append(cells.name)
    columns.pop(PREDICTION, None)
    prediction = smallest_shift(*calibration.columns[0], rows=rows, p=p)
    return DriftPower(rows=rows, prediction=prediction, columns=columns, blind=tuple(blind))


def usual_rows(reference: Reference, blocks: int = 1) -> int:
    """Return how many rows so many blocks of a reference have, in the median."""
    of_block = reference.predicted.blocks.sum(axis=1)
    return max(1, round(blocks * float(np.median(of_block[of_block > 0]))))


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


@lru_cache(maxsize=4096)  # columns share their freedom, and each is asked for twice
def _critical(p: float, freedom: float) -> float:
    """Return how many standard deviations a score must move to fall below ``p``: infinite when none are enough."""
    low, high = 0.0, 1e6
    if student(high, freedom) > p:
        return math.inf
    while high - low > _EXACT * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) > p else (low, middle)
    return high
