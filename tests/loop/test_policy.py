"""Policies judged by what was measured: what holds, why, and what silence means."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.monitoring.rollouts import BLOCKS, LOSS, TEST_SPAN
from tests.monitoring.test_paired_test import blocks

import trimtab as tt
from trimtab.declare import Metric
from trimtab.loop.measures import doubt_of
from trimtab.loop.policy import Judged, Measured, judge_policy
from trimtab.monitoring.block_test import sample_noise
from trimtab.monitoring.paired_test import paired_evidence

ROLLOUTS = 20
NOW = datetime(2013, 3, 8, tzinfo=UTC)
SEEN = {
    ("log_loss", "self"): Measured(value=0.52, n=900), ("log_loss", "champion"): Measured(value=0.50, n=900),
    ("log_loss", "at_approval"): Measured(value=0.48, n=12000),
    ("drift.of_prediction", "self"): Measured(value=0.04, n=900),
    ("errors", "self"): Measured(value=None, why="nobody has asked yet"),
}  # fmt: skip


def judged(policy: object, *, last: datetime = NOW - timedelta(days=3)) -> Judged:
    asked: list[Metric] = []

    def measure(metric: Metric) -> Measured:
        asked.append(metric)
        return SEEN[metric.name, metric.of]

    return judge_policy(policy.spec, measure, last=last, now=NOW)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("policy", "holds"),
    [
        (tt.log_loss > tt.champion.log_loss * 1.03, True),
        (tt.log_loss > tt.champion.log_loss * 1.05, False),
        (tt.log_loss.over("7d") > tt.at_approval * 1.05, True),
        (tt.log_loss.over("7d") > tt.at_approval * 1.10, False),
        (tt.log_loss.over("7d") > tt.at_approval.log_loss + 0.03, True),
        ((tt.drift.of_prediction > 0.10) | (tt.log_loss > 0.51), True),
        ((tt.drift.of_prediction > 0.10) & (tt.log_loss > 0.51), False),
        (tt.every("2d"), True),
        (tt.every("4d"), False),
    ],
    ids=repr,
)
def test_whether_a_policy_holds(policy: object, *, holds: bool) -> None:
    assert judged(policy).holds is holds


def test_what_cannot_be_measured_does_not_hold_and_says_why() -> None:
    found = judged(tt.errors > 0.01)
    assert not found.holds
    assert found.lines == ("share of failed requests above 0.01: not known, nobody has asked yet",)
    assert judged((tt.errors > 0.01) | (tt.log_loss > 0.51)).holds
    assert not judged((tt.errors > 0.01) & (tt.log_loss > 0.51)).holds


def test_the_evidence_names_values_and_rows_and_what_made_it_hold() -> None:
    found = judged((tt.drift.of_prediction > 0.10) | (tt.log_loss > 0.51))
    assert [line.partition(": ")[2] for line in found.lines] == [
        "0.04 (900 rows) is not > 0.1",
        "0.52 (900 rows) > 0.51",
    ]
    assert len(found.because) == 1
    assert judged(tt.every("4d")).because == ()


def test_a_doubt_keeps_a_condition_from_holding_however_far_it_is_exceeded() -> None:
    rule = (tt.log_loss > tt.champion.log_loss * 1.03).spec
    for doubt, holds in (("", True), ("evidence 5 of 20", False)):
        both = {"self": Measured(value=0.9, n=900, doubt=doubt), "champion": Measured(value=0.5, n=900)}
        found = judge_policy(rule, lambda metric, both=both: both[metric.of], last=NOW, now=NOW)  # type: ignore[misc]
        assert found.holds is holds
        assert (found.because == ()) is not holds
    assert found.lines[0].endswith("is not sure yet, evidence 5 of 20")


def test_equal_models_on_stormy_days_are_kept_by_the_guard_and_by_nothing_else() -> None:
    """Blocks of an autocorrelation of .8: the threshold is exceeded in many rollouts, and the rule acts in few."""
    random, exceeded, acted = np.random.default_rng(1), 0, 0
    rule = (tt.log_loss > tt.champion.log_loss * 1.03).spec
    for _ in range(ROLLOUTS):
        storms = sample_noise(random, blocks=TEST_SPAN + BLOCKS, streams=1, spread=0.05, correlation=0.8)[:, 0]
        past = blocks(storms[:TEST_SPAN], 0)
        for end in (TEST_SPAN + 6, TEST_SPAN + 14, TEST_SPAN + BLOCKS):
            seen = blocks(storms[TEST_SPAN:end], TEST_SPAN)
            worse = LOSS + float(np.mean(seen.means))
            doubt = doubt_of(paired_evidence(seen, past, scale=LOSS).e_worse)
            both = {"self": Measured(value=worse, doubt=doubt), "champion": Measured(value=LOSS)}
            exceeded += worse > LOSS * 1.03
            acted += judge_policy(rule, lambda metric, both=both: both[metric.of], last=NOW, now=NOW).holds  # type: ignore[misc]
    assert exceeded > 0.2 * 3 * ROLLOUTS
    assert acted <= ROLLOUTS / 20


def test_a_gap_is_said_beside_what_chance_alone_gives() -> None:
    rule = (tt.recall.gap(by="origin") > 0.1).spec
    found = judge_policy(rule, lambda metric: Measured(value=0.15, n=1200, chance=0.12), last=NOW, now=NOW)
    assert found.lines == ("recall gap by origin above 0.1: 0.15 (1 200 rows, chance alone gives up to 0.12) > 0.1",)
