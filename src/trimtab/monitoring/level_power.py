"""How large a rise of the daily loss the test against the level at approval finds, most likely."""

from functools import lru_cache

import msgspec
import numpy as np

from trimtab.evaluation import Blocks
from trimtab.monitoring.block_test import Series, likely_noise, sample_noise
from trimtab.monitoring.level_evidence import DEPENDENCE, LEAST_PAST, MOST_DAYS, MOST_PAST, SURE, log_evidence_lately
from trimtab.monitoring.paired_power import FOUND

RISES = (0.04, 0.07, 0.12, 0.2, 0.35, 0.6, 1.0)
WITHIN_DAYS = 14
STREAMS = 20
"""Streams of days that are drawn for each rise, as a page waits for them: a probability of .8 is right to .09."""


class LevelPower(msgspec.Struct, frozen=True, kw_only=True):
    """What so many days can find. Made by ``level_power``.

    ``found`` is the smallest of ``RISES``, in shares of the level, for which a page stands ``within_days`` days after
    the loss has risen with a probability of ``FOUND``; None when not even a doubled loss is found so often, or when
    ``why`` says that nothing is known. ``served_days`` are the days of service before the rise, ``rows_a_day`` their
    labelled rows (of the test span's ``past_days`` while there are none). ``spread`` (a share of the level) and
    ``autocorrelation`` say how days of the test span differ by more than the chance of their rows.
    """

    found: float | None = None
    within_days: int = WITHIN_DAYS
    served_days: int = 0
    rows_a_day: float = 0.0
    past_days: int = 0
    spread: float = 0.0
    autocorrelation: float = 0.0
    why: str = ""

    @property
    def text(self) -> str:
        """Say it in one sentence, with its conditions."""
        if self.why:
            return f"how small a rise of the loss is found is not known: {self.why}"
        so_far = f"after {self.served_days} days of service" if self.served_days else "from the first day of service on"
        conditions = (
            f"{so_far}, {self.rows_a_day:.0f} labelled rows a day; the {self.past_days} days of the test span differ "
            f"by {100 * self.spread:.0f} % of the loss, autocorrelation {self.autocorrelation:.1f}"
        )
        within = f"within {self.within_days} days with {100 * FOUND:.0f} %"
        if self.found is None:
            return f"not even a doubled loss is found {within} ({conditions})"
        return (
            f"a loss that rises by {100 * self.found:.0f} % is found {within}, a smaller rise less often ({conditions})"
        )


UNKNOWN = LevelPower(why=f"it takes an evaluation on {LEAST_PAST} days or more")


@lru_cache(maxsize=64)  # what it rests on changes once a day
def simulated_power(past: Blocks, *, level: float, served_days: int, rows_a_day: float, seed: int = 0) -> LevelPower:
    """Return what the test finds after ``served_days`` healthy days, by streams of days drawn as ``past`` were.

    ``past`` are the days of the test span, at least ``LEAST_PAST``. A rise counts as found when there is evidence
    enough on one of the last seven of the ``WITHIN_DAYS`` days.
    """
    own = Series(
        at=np.array(past.at, np.float64), means=np.array(past.means)[:, None], variances=np.array(past.variances),
        before=len(past), known=False, scale=level,
    )  # fmt: skip
    spread, correlation = likely_noise(own, DEPENDENCE)
    of_one_row = float(np.median(np.array(past.variances) * np.array(past.rows)))
    before, healthy = min(len(past), MOST_PAST), min(served_days, MOST_DAYS - WITHIN_DAYS)
    n, of_rows = before + healthy + WITHIN_DAYS, of_one_row / rows_a_day
    random = np.random.default_rng(seed)
    noise = sample_noise(random, blocks=n, streams=STREAMS, spread=spread * level, correlation=correlation)
    noise += random.normal(0, of_rows**0.5, noise.shape)
    risen, at, variances = (np.arange(n) >= before + healthy)[:, None], np.arange(n, dtype=float), np.full(n, of_rows)

    def is_found(rise: float) -> bool:
        evidence = log_evidence_lately(at, level * (1 + rise * risen) + noise, variances, before=before, scale=level)
        return bool((evidence >= np.log(SURE)).any(axis=0).mean() >= FOUND)

    low, high = 0, len(RISES)
    while low < high:  # the larger the rise, the surer it is found
        middle = (low + high) // 2
        low, high = (low, middle) if is_found(RISES[middle]) else (middle + 1, high)
    return LevelPower(
        found=RISES[low] if low < len(RISES) else None, served_days=served_days, rows_a_day=rows_a_day,
        past_days=len(past), spread=spread, autocorrelation=correlation,
    )  # fmt: skip
