"""What a rollout is said to find, it finds."""

import numpy as np
import pytest
from tests.monitoring.rollouts import LOSS, OF_ONE_ROW, ROWS, acts_after, share_within

from trimtab.evaluation import QUARTER_S, Blocks
from trimtab.monitoring.block_test import sample_noise
from trimtab.monitoring.paired_power import FOUND, WORSE_BY, paired_power


def span(spread: float, correlation: float = 0.0, n: int = 56) -> Blocks:
    random = np.random.default_rng(1)
    drawn = sample_noise(random, blocks=n, streams=1, spread=spread, correlation=correlation)[:, 0]
    drawn += random.normal(0, OF_ONE_ROW / ROWS**0.5, n)
    return Blocks(
        span_s=QUARTER_S, at=tuple(range(n)), rows=(ROWS,) * n, means=tuple(drawn.tolist()),
        variances=(OF_ONE_ROW**2 / ROWS,) * n,
    )  # fmt: skip


@pytest.mark.parametrize("spread", [0.02, 0.05])
def test_what_is_promised_is_kept(spread: float) -> None:
    power = paired_power(span(spread), scale=LOSS, blocks=22, threshold=0.03)
    assert power.found is not None
    assert power.rows_a_day == 4 * ROWS
    acts = acts_after(np.random.default_rng(2), 400, worse=power.found, spread=power.spread * LOSS)
    assert share_within(acts) >= FOUND - 0.1
    smaller = WORSE_BY[WORSE_BY.index(power.found) - 1]
    assert share_within(acts_after(np.random.default_rng(2), 400, worse=smaller, spread=power.spread * LOSS)) < 0.9


def test_more_noise_and_less_time_find_less() -> None:
    def found(spread: float, blocks: int) -> float:
        return paired_power(span(spread), scale=LOSS, blocks=blocks).found or 9.0

    assert found(0.02, 22) < found(0.08, 22)
    assert found(0.05, 22) < found(0.05, 4)


def test_what_no_rollout_finds_has_no_number() -> None:
    assert paired_power(span(0.05), scale=LOSS, blocks=0).found is None
    assert paired_power(span(0.4, 0.8), scale=LOSS, blocks=1).found is None


def test_below_the_declared_threshold_nothing_is_found() -> None:
    assert (paired_power(span(0.01), scale=LOSS, blocks=22, threshold=0.2).found or 0) >= 0.2
