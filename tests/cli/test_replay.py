"""``fairlead replay``: what is asked wrongly is told before anything is done."""

from pathlib import Path

import pytest
from tests.cli.conftest import Type
from tests.loop.parcels import write_project

SHORT = ("parcels.py", "--from", "2013-02-01T00:00", "--to", "2013-02-01T01:00")


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("", "''"), ("1", "1"), ("fl.auc", "no condition"), ("fl.every('x')", "not a duration"),
        ("fl.nope > 1", "nope"), ("fl.every(", "never closed"), ("fl.rmse > 3", "regression"),
        ("fl.auc < 0.6 and fl.errors > 0.1", "neither"),
        ("fl.log_loss > fl.champion.log_loss", "itself"), ("fl.drift.of('color') > 0.1", "color"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_told_before_anything_is_done(fairlead: Type, tmp_path: Path, policy: str, says: str) -> None:
    write_project(tmp_path / "parcels.py")
    done = fairlead("replay", *SHORT, "--policy", policy)
    assert done.code == 1
    assert says in done.err
    assert "option --policy" in done.err, "the policy stands in no file"
    assert not (tmp_path / ".fairlead").exists()


@pytest.mark.parametrize("picture", [".", "no/such/folder/frontier.svg"])
def test_a_picture_that_cannot_be_drawn_is_told_before_the_replays(
    fairlead: Type, tmp_path: Path, picture: str
) -> None:
    write_project(tmp_path / "parcels.py")
    done = fairlead("replay", *SHORT, "--compare", "--picture", picture)
    assert (done.code, "option --picture" in done.err) == (1, True)
    assert not (tmp_path / ".fairlead").exists()
