"""Policies judged by what was measured: what holds, why, and what silence means."""

from datetime import UTC, datetime, timedelta

import pytest

import trimtab as tt
from trimtab.declare import Metric
from trimtab.loop.policy import Judged, Measured, judge_policy

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
