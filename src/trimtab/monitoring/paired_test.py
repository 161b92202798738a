"""Is a challenger worse than the champion? The test that a roll-back by quality waits for, and what it can find.

The conditions under which equal models are rolled back in at most 1 of 20 rollouts of 22 blocks (five and a half
days), measured by ``bench/acting_study.py``: what shakes a block of six hours is about normal, as large in the rollout
as on the test span, and the autocorrelation of neighbouring blocks is at most .8.
"""

from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from trimtab.evaluation import Blocks
from trimtab.monitoring.block_test import Dependence, Rise, Series, log_evidence, number_of
from trimtab.monitoring.cells import Array

SURE = 20.0
"""Evidence that is enough to act on."""
SURE_OF_INTERVAL = 40.0
"""Evidence against a mean on either side, from which the interval at 95 % leaves it out."""
SHARES = (0.06, 0.12, 0.25, 0.5, 1.0)
"""What is bet on: a challenger worse (or better) by these shares of the loss."""
CORRELATIONS = (0.0, 0.2, 0.4, 0.6, 0.8)
LEARNT = Dependence(autocorrelations=CORRELATIONS, unchanged=(0.2,) * 5, risen=(0.2,) * 5)
WARY = Dependence(
    autocorrelations=CORRELATIONS, unchanged=(0.03, 0.03, 0.04, 0.1, 0.8), risen=(0.7, 0.1, 0.1, 0.05, 0.05)
)
"""Without a past that shows how long bad spells last: the first days may all lie in one."""
LEAST_PAST, MOST_PAST = 28, 120
"""Blocks of the test span: with fewer than a week of them the test is wary, and no more than 30 days are looked at."""


class PairedEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the differences say: ``e_worse`` is evidence that the challenger is worse, ``e_better`` that it is better.

    ``low`` and ``high`` bound the mean difference, at all times at once; None while a bound cannot be told.
    """

    e_worse: float = 1.0
    e_better: float = 1.0
    low: float | None = None
    high: float | None = None


@lru_cache(maxsize=64)  # it is asked for every hour, and the blocks change every sixth
def paired_evidence(blocks: Blocks, past: Blocks | None, *, scale: float) -> PairedEvidence:
    """Return what the differences of the blocks so far say, challenger minus champion.

    ``past`` are the same differences on the test span: what shakes a block, and for how long, is learnt from them too,
    their mean is not used. ``scale`` is the size of the loss.
    """
    if not len(blocks) or scale <= 0:
        return PairedEvidence()
    now = np.array(blocks.means)
    worse, better = (_after(blocks, past, now[:, None], scale, sign)[-1, 0] for sign in (1.0, -1.0))
    low, high = _interval(blocks, past, now, scale)
    return PairedEvidence(e_worse=number_of(worse), e_better=number_of(better), low=low, high=high)


def _after(blocks: Blocks, past: Blocks | None, means: Array, scale: float, sign: float) -> Any:
    """Return the logarithm of the evidence after each block, for each column of means."""
    series = _series(blocks, past, means, scale)
    return log_evidence(series, Rise(shares=tuple(sign * one for one in SHARES)), dependence_after(series.before))


def dependence_after(before: int) -> Dependence:
    """Return how likely each autocorrelation is held to be, behind so many blocks of the test span."""
    return LEARNT if before >= LEAST_PAST else WARY


def _interval(blocks: Blocks, past: Blocks | None, now: Array, scale: float) -> tuple[float | None, float | None]:
    """Return the means that the blocks do not speak against, out of those within six times the scale of theirs."""
    steps, enough = scale * np.concatenate(([0.0], np.geomspace(0.002, 6.0, 40))), np.log(SURE_OF_INTERVAL)
    bounds: list[float | None] = []
    for sign in (1.0, -1.0):  # evidence for more than the low bound, then for less than the high one
        tried = now.mean() - sign * steps
        against = _after(blocks, past, now[:, None] - tried, scale, sign)[-1]
        refused = int((against >= enough).argmax())  # 0 when none is: the mean itself never is
        if refused:
            bounds.append(
                float(np.interp(enough, against[refused - 1 : refused + 1], tried[refused - 1 : refused + 1]))
            )
        else:
            bounds.append(None)
    return bounds[0], bounds[1]


def _series(blocks: Blocks, past: Blocks | None, means: Array, scale: float) -> Series:
    """Return the blocks behind those of the past, which ends before they begin."""
    keep = [i for i, at in enumerate(past.at) if at < blocks.at[0]][-MOST_PAST:] if past is not None else []
    at, before, variances = (
        np.array([getattr(past, name)[i] for i in keep], np.float64) for name in ("at", "means", "variances")
    )
    return Series(
        at=np.append(at, blocks.at), means=np.vstack((np.tile(before[:, None], means.shape[1]), means)),
        variances=np.append(variances, blocks.variances), before=len(keep), known=True, scale=scale,
    )  # fmt: skip
