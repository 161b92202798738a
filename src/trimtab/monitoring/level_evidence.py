"""Has a version's daily loss risen above that of its test span? The test behind the page, and when it may be wrong.

The conditions under which at most 1 of 20 stationary years are paged, measured by ``bench/acting_study.py``: what
shakes a day is about normal, as large as on the test span, and the autocorrelation of neighbouring days is at most .5.
"""

from functools import lru_cache

import numpy as np

from trimtab.evaluation import Blocks
from trimtab.monitoring.block_test import Dependence, Rise, Series, log_evidence
from trimtab.monitoring.cells import Array

SURE = 20.0
"""Evidence that raises the page."""
SHARES = (0.1, 0.3, 1.0)
"""What is bet on: a loss that has risen by these shares. More of them would cost more evidence than they bring."""
CORRELATIONS = (0.0, 0.2, 0.4, 0.6)
DEPENDENCE = Dependence(autocorrelations=CORRELATIONS, unchanged=(0.25,) * 4, risen=(0.25,) * 4)
STARTS = 40
"""Days back in which a rise may have begun; days before them only tell what is usual."""
LOSS_RISES = Rise(shares=SHARES, at_start=0.3, each_block=1 / 400, starts=STARTS)
"""It may be wrong from the first day on, or become so on any later one, about once a year."""
LEAST_PAST, MOST_PAST, MOST_DAYS = 5, 60, 90
LATELY = 7
"""A page stays for as many days after the last on which the evidence was enough."""


@lru_cache(maxsize=64)  # it is asked for every minute, and the days change once a day
def level_evidence(days: Blocks, past: Blocks | None, *, level: float) -> tuple[float, ...]:
    """Return the logarithm of the evidence after each of the last seven days.

    With ``past``, the days of the test span, "risen" means above their mean, which is learnt from them and from the
    days of service before; without (fewer than five of them), above ``level``.
    """
    keep = [i for i, at in enumerate(past.at) if at < days.at[0]][-MOST_PAST:] if past is not None else []
    if past is None or len(keep) < LEAST_PAST:
        means, at, variances, before = np.array(days.means) - level, days.at, days.variances, 0
    else:
        means, before = np.append(np.array(past.means)[keep], days.means), len(keep)
        at = (*(past.at[i] for i in keep), *days.at)
        variances = (*(past.variances[i] for i in keep), *days.variances)
    found = log_evidence_lately(
        np.array(at, np.float64), means[:, None], np.array(variances), before=before, scale=level
    )  # fmt: skip
    return tuple(found[:, 0].tolist())


def log_evidence_lately(at: Array, means: Array, variances: Array, *, before: int, scale: float) -> Array:
    """Return the logarithm of the evidence after each of the last seven days (days, streams).

    The first ``before`` days are those of the test span; without any, the mean without a rise is 0.
    """
    kept = np.r_[:before, max(before, at.size - MOST_DAYS) : at.size]
    series = Series(
        at=at[kept], means=means[kept], variances=variances[kept], before=before, known=not before, scale=scale
    )  # fmt: skip
    return log_evidence(series, LOSS_RISES, DEPENDENCE, lately=LATELY)
