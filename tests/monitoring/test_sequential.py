"""Betting on losses: no more false alarms than said, changes found in time, and batches cut anyhow agree."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.monitoring.sequential import (
    EXCESSES,
    LevelState,
    NotALoss,
    PairedState,
    against_level,
    between_models,
    evidence,
    update,
)

BATCH = 100


def first_alarm(losses: np.ndarray, state: LevelState) -> int | None:
    """The number of losses at the end of the first batch with an alarm."""
    for start in range(0, losses.size, BATCH):
        state = update(state, losses[start : start + BATCH])
        if evidence(state).alarmed:
            return start + BATCH
    return None


def errors(random: np.random.Generator, *parts: tuple[int, float]) -> np.ndarray:
    return np.concatenate([random.random(n) < rate for n, rate in parts]).astype(float)


def test_at_most_one_in_twenty_stationary_streams_of_20_000_alarms() -> None:
    random = np.random.default_rng(1)
    alarmed = [first_alarm(errors(random, (20_000, 0.10)), against_level(0.10)) is not None for _ in range(100)]
    assert np.mean(alarmed) <= 0.05


@pytest.mark.parametrize("healthy", [0, 5_000])
def test_a_rise_from_10_to_13_percent_is_found_within_about_1_700_decisions(healthy: int) -> None:
    random = np.random.default_rng(2)
    delays = []
    for _ in range(60):
        found = first_alarm(errors(random, (healthy, 0.10), (10_000, 0.13)), against_level(0.10))
        assert found is not None
        if found > healthy:
            delays.append(found - healthy)
    assert np.mean(delays) <= 1_700
    assert len(delays) >= 57


def test_log_losses_without_a_bound_keep_the_promise() -> None:
    random = np.random.default_rng(3)
    losses = random.exponential(0.5, (200, 5_000))
    state = against_level(0.5, deviation=0.5)
    assert np.mean([evidence(update(state, row)).alarmed for row in losses]) <= 0.05
    assert np.mean([evidence(update(state, row * 1.2)).alarmed for row in losses[:50]]) >= 0.95


def test_a_wrong_deviation_costs_time_but_not_the_promise() -> None:
    random = np.random.default_rng(4)
    losses = (random.random((200, 4_000)) < 0.10).astype(float)
    for deviation in (0.03, 3.0):
        state = against_level(0.10, deviation=deviation)
        assert np.mean([evidence(update(state, row)).alarmed for row in losses]) <= 0.05


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 40), min_size=1, max_size=60), st.data())
def test_batches_cut_anyhow_agree(losses: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(losses)))
    whole = update(against_level(0.7), losses)
    parts = update(update(against_level(0.7), losses[:cut]), losses[cut:])
    assert parts.n == whole.n
    assert parts.peak == pytest.approx(whole.peak, rel=1e-9, abs=1e-9)
    assert parts.capital == pytest.approx(whole.capital, rel=1e-9, abs=1e-9)
    differences = [loss - 20 for loss in losses]
    paired = update(between_models(cap=10), differences)
    split = update(update(between_models(cap=10), differences[:cut]), differences[cut:])
    assert split.worse == pytest.approx(paired.worse, rel=1e-9, abs=1e-9)


def test_the_capital_is_a_martingale_at_the_level() -> None:
    # Every stream of four errors or hits at rate 1/4, weighed by its probability: the mean capital stays 1.
    total = 0.0
    for code in range(16):
        stream = [float(code >> i & 1) for i in range(4)]
        weight = math.prod(0.25 if error else 0.75 for error in stream)
        total += weight * evidence(update(against_level(0.25), stream)).e_value
    assert total == pytest.approx(1.0, rel=1e-12)


def test_a_paired_loser_is_named_and_equals_are_not() -> None:
    random = np.random.default_rng(5)
    equal = [evidence(update(between_models(), random.normal(0, 0.2, 5_000))).better for _ in range(200)]
    assert np.mean([better != "undecided" for better in equal]) <= 0.10  # two tests, each at 5 %
    for shift, winner in ((0.02, "champion"), (-0.02, "challenger")):
        found = [evidence(update(between_models(), random.normal(shift, 0.2, 3_000))).better for _ in range(30)]
        assert np.mean([better == winner for better in found]) >= 0.95


def test_the_interval_covers_at_all_times_at_once() -> None:
    random = np.random.default_rng(6)
    covered = []
    for _ in range(100):
        state, always = between_models(), True
        for _ in range(50):
            state = update(state, random.exponential(0.1, 100) - 0.1 + 0.01)
            found = evidence(state)
            assert found.low is not None
            assert found.high is not None
            always &= found.low <= 0.01 <= found.high
        covered.append(always)
    assert np.mean(covered) >= 0.95
    assert found.high - found.low < 0.02


def test_a_state_survives_json() -> None:
    level = update(against_level(0.1), [0.0, 1.0, 0.0])
    paired = update(between_models(), [0.1, -0.2])
    assert msgspec.json.decode(msgspec.json.encode(level), type=LevelState) == level
    assert msgspec.json.decode(msgspec.json.encode(paired), type=PairedState) == paired
    assert len(level.capital) == len(EXCESSES)


def test_nothing_new_changes_nothing_and_nothing_yet_has_no_interval() -> None:
    state = against_level(0.1)
    assert update(state, []) is state
    assert evidence(state).mean is None
    assert evidence(state).e_value == pytest.approx(1.0)
    assert evidence(update(between_models(), [0.3])).low is None


def test_losses_that_are_none_are_refused() -> None:
    with pytest.raises(NotALoss, match="missing or infinite"):
        update(against_level(0.1), [0.1, math.nan])
    with pytest.raises(NotALoss, match="a loss is -1"):
        update(against_level(0.1), [-1.0])
    with pytest.raises(NotALoss, match="the level is 0"):
        against_level(0.0)
