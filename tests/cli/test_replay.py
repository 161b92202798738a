"""``trimtab replay``: what is asked wrongly is told before anything is done."""

from pathlib import Path

import pytest
from tests.cli.conftest import Type
from tests.loop.parcels import write_project

SHORT = ("parcels.py", "--from", "2013-02-01T00:00", "--to", "2013-02-01T01:00")


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("", "''"), ("1", "1"), ("tt.auc", "no condition"), ("tt.every('x')", "not a duration"),
        ("tt.nope > 1", "nope"), ("tt.every(", "never closed"), ("tt.rmse > 3", "regression"),
        ("tt.auc < 0.6 and tt.errors > 0.1", "neither"),
        ("tt.log_loss > tt.champion.log_loss", "itself"), ("tt.drift.of('color') > 0.1", "color"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_told_before_anything_is_done(trimtab: Type, tmp_path: Path, policy: str, says: str) -> None:
    write_project(tmp_path / "parcels.py")
    done = trimtab("replay", *SHORT, "--policy", policy)
    assert done.code == 1
    assert says in done.err
    assert "option --policy" in done.err, "the policy stands in no file"
    assert not (tmp_path / ".trimtab").exists()


@pytest.mark.parametrize("picture", [".", "no/such/folder/frontier.svg"])
def test_a_picture_that_cannot_be_drawn_is_told_before_the_replays(trimtab: Type, tmp_path: Path, picture: str) -> None:
    write_project(tmp_path / "parcels.py")
    done = trimtab("replay", *SHORT, "--compare", "--picture", picture)
    assert (done.code, "option --picture" in done.err) == (1, True)
    assert not (tmp_path / ".trimtab").exists()
