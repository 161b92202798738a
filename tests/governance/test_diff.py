"""What differs between two versions, and what does not."""

import pytest

from trimtab.evaluation import get_evaluation
from trimtab.governance import Diff, diff
from trimtab.registry import VersionMissing, get_version
from trimtab.store import Store, events


@pytest.fixture(scope="module")
def found(lived: Store) -> Diff:
    return diff(lived, "slow@1", "slow@2")


def test_what_differs(lived: Store, found: Diff) -> None:
    assert (found.was, found.now, found.missing) == ("slow@1", "slow@2", ())
    (strength,) = found.section("Params").differences
    assert (strength.name, strength.was, strength.now, strength.delta) == ("strength", 1.0, 0.5, -0.5)
    assert [one.name for one in found.section("Code").differences] == ["digest of the train function"]
    said = {one.name: (one.was, one.now) for one in found.section("Approvals").differences}
    assert said["approved by"] == ("ben", "ann")
    assert said["approved because"] == ("first model", "as good, and simpler")
    assert said["approved by oneself"] == (False, True)


def test_metrics_are_those_of_the_reports(lived: Store, found: Diff) -> None:
    reports = [
        get_evaluation(lived, get_version(lived, ref).evaluation_id or "").report for ref in ("slow@1", "slow@2")
    ]
    values = [report.evaluation.metrics["log_loss"].value or 0.0 for report in reports]
    loss = next(one for one in found.section("Metrics").differences if one.name == "log_loss")
    assert (loss.was, loss.now, loss.delta) == (values[0], values[1], values[1] - values[0])
    slices = found.section("Metrics by slice")
    assert slices.compared == 24
    assert all(" where depot is " in one.name for one in slices.differences)
    same = reports[0].evaluation.rows == reports[1].evaluation.rows
    assert (slices.note == "") == same


def test_what_is_the_same(found: Diff) -> None:
    for title in ("Data", "Features", "Environment"):
        section = found.section(title)
        assert section.compared > 5
        assert section.differences == ()


def test_a_version_differs_in_nothing_from_itself(lived: Store) -> None:
    assert not [one for section in diff(lived, "slow@1", "slow@champion").sections for one in section.differences]


def test_as_of_an_earlier_position(lived: Store) -> None:
    entered = events(lived, subject=("version", "slow@2"), type="registry.version-registered")[0].position
    early = diff(lived, "slow@1", "slow@2", position=entered)
    status = next(one for one in early.section("Approvals").differences if one.name == "status")
    assert (status.was, status.now) == ("approved", "candidate")
    with pytest.raises(VersionMissing):
        diff(lived, "slow@1", "slow@2", position=entered - 1)
