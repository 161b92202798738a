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
        "how small a drift or rise of the loss it finds is known once a version was trained: approve says it",
    )


def test_a_plan_says_which_metrics_a_policy_watches(sqlite_store: Store, tmp_path: Path) -> None:
    file = write_project(tmp_path / "parcels.py")
    file.write_text(file.read_text() + WATCHED)

    plan = make_plan(sqlite_store, load_project(file))

    assert [item.kind for item in plan.items][-3:] == ["endpoint", "monitor", "policy"]
    line, _ = plan.item("monitor", "slow").lines
    assert line.startswith("prediction drift, drift of 4 columns, log loss over 7d (labels expected after 2.0 h")


def test_a_plan_refuses_a_decision_that_would_tell_the_label(sqlite_store: Store, tmp_path: Path) -> None:
    leaking = {"decided=Parcel.sent": "decided=Parcel.arrived - tt.hours(2)"}
    project = load_project(write_project(tmp_path / "parcels.py", **leaking))

    with pytest.raises(NotKnownYet, match=r"counted from Parcel\.arrived, which is known only when it has come"):
        make_plan(sqlite_store, project)


SLOW_NO = 'arrived = sent + pd.to_timedelta(np.where(delay > 50, 12 * 60.0, 20 * 24 * 60.0), unit="m")'
AT_ONCE = 'arrived = sent + pd.to_timedelta(np.full(ROWS, 120.0), unit="m")'
DECLARED = "label=Parcel.delay > 50"


def _lines(store: Store, folder: Path, **words: str) -> tuple[str, ...]:
    file = write_project(folder / "parcels.py", **{AT_ONCE: SLOW_NO, **words})
    return make_plan(store, load_project(file)).item("model", "slow").lines


def test_a_plan_warns_of_outcomes_that_become_known_at_different_ages(sqlite_store: Store, tmp_path: Path) -> None:
    _, final, warning, *_ = _lines(sqlite_store, tmp_path)
    assert final.startswith("a label is final 20d after the decision, as measured")
    assert warning == (
        "warning: when labels are final was not declared; it was measured: False after 20.0 d (99 % after 20.0 d), "
        'True after 12.0 h (99 % after 12.0 h). Write matures="20d"'
    )


def test_a_plan_says_what_was_declared_and_warns_when_it_is_too_soon(sqlite_store: Store, tmp_path: Path) -> None:
    _, final, *others = _lines(sqlite_store, tmp_path, **{DECLARED: f'{DECLARED}, matures="21d"'})
    assert final.startswith("a label is final 21d after the decision; younger rows")
    assert not any("warning" in line for line in others)
    _, _, warning, *_ = _lines(sqlite_store, tmp_path, **{DECLARED: f'{DECLARED}, matures="7d"'})
    assert warning.startswith("warning: when labels are final is too soon: False after 20.0 d")


def test_a_plan_says_nothing_of_labels_that_are_final_once_known(sqlite_store: Store, project: Project) -> None:
    assert not any("final" in line for line in make_plan(sqlite_store, project).item("model", "slow").lines)
