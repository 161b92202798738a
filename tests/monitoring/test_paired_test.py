"""A challenger that is worse is found in time, and equal models are seldom taken for one, seeded."""

import msgspec
import numpy as np
import pytest
from tests.monitoring.rollouts import LOSS, TEST_SPAN, acts_after, share_within

from trimtab.evaluation import QUARTER_S, Blocks, blocks_of
from trimtab.monitoring.paired_test import PairedEvidence, paired_evidence

ROLLOUTS = 400
TWO_DAYS = 8


@pytest.mark.parametrize("past", [0, 28, TEST_SPAN])
@pytest.mark.parametrize(
    ("spread", "autocorrelation"), [(0.02, 0.0), (0.05, 0.5), (0.02, 0.8), (0.05, 0.8), (0.1, 0.8)]
)
def test_equal_models_are_rolled_back_in_at_most_1_of_20(past: int, spread: float, autocorrelation: float) -> None:
    world = {"spread": spread, "autocorrelation": autocorrelation, "past": past}
    assert share_within(acts_after(np.random.default_rng(1), ROLLOUTS, **world)) <= 0.065  # .05, and what 400 can show
    unguarded = acts_after(np.random.default_rng(1), ROLLOUTS, **world, guarded=False)
    assert share_within(unguarded) > 0.15, "the threshold alone is no guard"


def test_a_challenger_10_percent_worse_is_found_within_two_days() -> None:
    acts = acts_after(np.random.default_rng(2), ROLLOUTS, worse=0.1, spread=0.02)
    assert share_within(acts, TWO_DAYS) >= 0.87  # .91, and what 400 can show


def test_it_is_found_within_the_rollout_where_blocks_differ_by_much() -> None:
    acts = acts_after(np.random.default_rng(3), ROLLOUTS, worse=0.1, spread=0.05)
    assert share_within(acts) >= 0.74


def test_without_a_test_span_it_takes_longer() -> None:
    acts = acts_after(np.random.default_rng(4), ROLLOUTS, worse=0.1, spread=0.02, past=0)
    assert 0.7 <= share_within(acts) < 0.95


@pytest.mark.parametrize("past", [0, TEST_SPAN])
def test_one_that_is_broken_is_found_within_hours(past: int) -> None:
    acts = acts_after(np.random.default_rng(5), 100, worse=1.0, spread=0.02, past=past)
    assert np.quantile(acts, 0.9) <= 2


def blocks(means: np.ndarray, start: int, *, rows: int = 225) -> Blocks:
    moments = np.repeat(np.arange(means.size) + start, rows) * QUARTER_S * 1_000_000
    random = np.random.default_rng(start)
    return blocks_of(np.repeat(means, rows) + random.normal(0, 0.31, moments.size), moments, span_s=QUARTER_S)


def turned(found: Blocks) -> Blocks:
    return msgspec.structs.replace(found, means=tuple(-one for one in found.means))


def test_the_two_directions_mirror_each_other_and_the_interval_holds_the_mean() -> None:
    random = np.random.default_rng(6)
    past, now = blocks(random.normal(0, 0.02, 56), 1000), blocks(random.normal(0.05, 0.02, 12), 1100)
    there = paired_evidence(now, past, scale=LOSS)
    back = paired_evidence(turned(now), turned(past), scale=LOSS)
    assert there.e_worse == pytest.approx(back.e_better)
    assert there.e_worse > 20 > 1 > there.e_better
    assert there.low is not None
    assert there.high is not None
    assert 0 < there.low < 0.05 < there.high < 0.15
    assert (back.low, back.high) == (pytest.approx(-there.high), pytest.approx(-there.low))


def test_the_mean_of_the_test_span_plays_no_part() -> None:
    random = np.random.default_rng(7)
    before = random.normal(0, 0.02, 56)
    now = blocks(random.normal(0.02, 0.02, 10), 1100)
    one, other = (
        paired_evidence(now, blocks(before + mean, 1000), scale=LOSS).e_worse for mean in (0.0, 0.3)
    )  # fmt: skip
    assert one == pytest.approx(other, rel=1e-6)


def test_nothing_to_compare_says_nothing() -> None:
    empty = blocks_of([], [], span_s=QUARTER_S)
    assert paired_evidence(empty, None, scale=LOSS) == PairedEvidence()
    assert paired_evidence(blocks(np.zeros(3), 5), None, scale=0.0) == PairedEvidence()
    single = paired_evidence(blocks(np.zeros(1), 5), None, scale=LOSS)
    assert single.low is not None
    assert single.low < -LOSS, "one block tells little"


def test_the_interval_covers_at_all_times_at_once() -> None:
    random = np.random.default_rng(8)
    missed = 0
    for _ in range(20):
        past = blocks(random.normal(0, 0.02, 56), 1000)
        means = random.normal(0.03, 0.02, 22)
        for n in (2, 6, 22):
            found = paired_evidence(blocks(means[:n], 1100), past, scale=LOSS)
            if (found.low is not None and found.low > 0.03) or (found.high is not None and found.high < 0.03):
                missed += 1
                break
    assert missed <= 3
