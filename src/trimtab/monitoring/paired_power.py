"""What a rollout can find: how much worse a challenger must be to be rolled back in time, most likely."""

from functools import lru_cache

import msgspec
import numpy as np

from trimtab.evaluation import Blocks
from trimtab.monitoring.block_test import Rise, Series, likely_noise, log_evidence, sample_noise
from trimtab.monitoring.paired_test import LEARNT, MOST_PAST, SHARES, SURE, dependence_after

FOUND = 0.8
"""The probability of being found in time that is asked for."""
WORSE_BY = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
STREAMS = 200
"""Rollouts that are drawn for each share: a probability of .8 is then right to .06."""
_BLOCKS_A_DAY = 4


class PairedPower(msgspec.Struct, frozen=True, kw_only=True):
    """What so many blocks of six hours can find.

    ``found`` is the smallest of ``WORSE_BY``, in shares of the loss, that is found with a probability of ``FOUND``;
    None when not even a challenger twice as bad is. ``spread`` (a share of the loss too) and ``autocorrelation`` say
    how blocks of the test span differ by more than the chance of their rows.
    """

    found: float | None
    blocks: int
    rows_a_day: float
    spread: float
    autocorrelation: float


@lru_cache(maxsize=16)
def paired_power(past: Blocks, *, scale: float, blocks: int, threshold: float = 0.0, seed: int = 0) -> PairedPower:
    """Return what ``blocks`` blocks with final outcomes find, each with as many rows as those of the test span.

    ``past`` are the differences on the test span and ``scale`` is the size of the loss; ``threshold`` is the share of
    it by which the challenger must be worse besides. Rollouts and their test spans are drawn with the spread and the
    autocorrelation that ``past`` makes most likely.
    """
    own = Series(
        at=np.array(past.at, np.float64), means=np.array(past.means)[:, None], variances=np.array(past.variances),
        before=len(past), known=True, scale=scale,
    )  # fmt: skip
    spread, correlation = likely_noise(own, LEARNT)
    before, of_rows = min(len(past), MOST_PAST), float(np.median(past.variances))
    random = np.random.default_rng(seed)
    noise = sample_noise(
        random, blocks=before + blocks, streams=STREAMS, spread=spread * scale, correlation=correlation
    )  # fmt: skip
    noise += random.normal(0, of_rows**0.5, noise.shape)
    served = (np.arange(before + blocks) >= before)[:, None]

    def found(share: float) -> bool:
        drawn = Series(
            at=np.arange(before + blocks, dtype=np.float64), means=noise + share * scale * served,
            variances=np.full(before + blocks, of_rows), before=before, known=True, scale=scale,
        )  # fmt: skip
        evidence = log_evidence(drawn, Rise(shares=SHARES), dependence_after(before))
        so_far = np.cumsum(drawn.means[before:], axis=0) / np.arange(1, blocks + 1)[:, None]
        return bool(((evidence >= np.log(SURE)) & (so_far > threshold * scale)).any(axis=0).mean() >= FOUND)

    low, high = (0, len(WORSE_BY)) if blocks > 0 else (len(WORSE_BY),) * 2
    while low < high:  # the larger the share, the surer it is found
        middle = (low + high) // 2
        low, high = (low, middle) if found(WORSE_BY[middle]) else (middle + 1, high)
    days = (past.at[-1] - past.at[0] + 1) / _BLOCKS_A_DAY
    return PairedPower(
        found=WORSE_BY[low] if low < len(WORSE_BY) else None, blocks=blocks, rows_a_day=sum(past.rows) / days,
        spread=spread, autocorrelation=correlation,
    )  # fmt: skip
