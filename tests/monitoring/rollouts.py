"""Rollouts drawn at random: champion and challenger on the same rows, in blocks of six hours that differ."""

import numpy as np

from trimtab.monitoring.block_test import Rise, Series, log_evidence, sample_noise
from trimtab.monitoring.paired_test import SHARES, SURE, dependence_after

LOSS = 0.49
"""The champion's log loss."""
ROWS = 225
"""Labelled rows of a block: 900 a day."""
OF_ONE_ROW = 0.31
"""Standard deviation of one row's difference: that of two models of which one adds noise worth 10 % of the loss."""
THRESHOLD = 0.03
"""``roll_back_if=tt.log_loss > tt.champion.log_loss * 1.03``."""
BLOCKS = 22
"""Of the documented rollout: a day as a shadow, three canaries of 12 hours, and 3 days at full traffic."""
TEST_SPAN = 56
"""Blocks of a test span of 14 days."""


def acts_after(
    random: np.random.Generator,
    rollouts: int,
    *,
    worse: float = 0.0,
    spread: float,
    autocorrelation: float = 0.0,
    past: int = TEST_SPAN,
    blocks: int = BLOCKS,
    guarded: bool = True,
) -> np.ndarray:
    """Return for each rollout after how many blocks it is rolled back, ``blocks`` + 1 when it is not.

    ``worse`` is the share of the loss that the challenger adds; ``spread`` and ``autocorrelation`` are those of what
    shakes a block, in the unit of the loss. Without ``guarded`` the threshold alone decides.
    """
    shape = {"streams": rollouts, "spread": spread, "correlation": autocorrelation}
    before, during = (sample_noise(random, blocks=max(n, 1), **shape)[:n] for n in (past, blocks))
    means = np.vstack((before + 0.02, during + worse * LOSS))  # what it was on the test span plays no part
    means += OF_ONE_ROW / ROWS**0.5 * random.standard_normal(means.shape)
    series = Series(
        at=np.concatenate((np.arange(past), past + 20 + np.arange(blocks))).astype(float), means=means, before=past,
        variances=np.full(past + blocks, OF_ONE_ROW**2 / ROWS), known=True, scale=LOSS,
    )  # fmt: skip
    sure = log_evidence(series, Rise(shares=SHARES), dependence_after(past)) >= np.log(SURE)
    so_far = np.cumsum(means[past:], axis=0) / np.arange(1, blocks + 1)[:, None]
    acts = (so_far > THRESHOLD * LOSS) & (sure | (not guarded))
    return np.where(acts.any(axis=0), acts.argmax(axis=0) + 1, blocks + 1)


def share_within(acts: np.ndarray, blocks: int = BLOCKS) -> float:
    """Return the share of rollouts that were rolled back within so many blocks."""
    return float((acts <= blocks).mean())
