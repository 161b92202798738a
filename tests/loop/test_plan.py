"""What applying a file would change, in words."""

from pathlib import Path

import pytest
from tests.loop.parcels import write_project

from trimtab.declare import Project, load_project
from trimtab.features import NotKnownYet
from trimtab.loop import make_plan
from trimtab.store import Store

WATCHED = """
slow.retrain_when(
    (tt.drift.of_prediction > 0.1) | (tt.log_loss.over("7d") > tt.at_approval * 1.1), approve=tt.by("lead")
)
"""


def test_a_plan_says_what_will_be_watched(sqlite_store: Store, project: Project) -> None:
    plan = make_plan(sqlite_store, project)

    assert [(item.sign, item.kind) for item in plan.items] == [
        ("+", "source"), ("+", "features"), ("+", "model"), ("+", "endpoint"), ("+", "monitor"),
    ]  # fmt: skip
    assert plan.item("monitor", "slow").lines == (
        "prediction drift, drift of 4 columns (labels expected after 2.0 h, p99 2.0 h)",
    )


def test_a_plan_says_which_metrics_a_policy_watches(sqlite_store: Store, tmp_path: Path) -> None:
    file = write_project(tmp_path / "parcels.py")
    file.write_text(file.read_text() + WATCHED)

    plan = make_plan(sqlite_store, load_project(file))

    assert [item.kind for item in plan.items][-3:] == ["endpoint", "monitor", "policy"]
    (line,) = plan.item("monitor", "slow").lines
    assert line.startswith("prediction drift, drift of 4 columns, log loss over 7d (labels expected after 2.0 h")


def test_a_plan_refuses_a_decision_that_would_tell_the_label(sqlite_store: Store, tmp_path: Path) -> None:
    leaking = {"decided=Parcel.sent": "decided=Parcel.arrived - tt.hours(2)"}
    project = load_project(write_project(tmp_path / "parcels.py", **leaking))

    with pytest.raises(NotKnownYet, match=r"counted from Parcel\.arrived, which is known only when it has come"):
        make_plan(sqlite_store, project)
