"""A governed model's policy, proposed and decided as somebody types it."""

from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Type
from tests.loop.parcels import write_project

from trimtab.declare import load_project
from trimtab.kernel import Actor, Settings, this_user
from trimtab.loop import apply_project
from trimtab.store import open_store

TWO = '\nslow.retrain_when(tt.every("30d"), approve=tt.by("risk").other_than_author())\n'
NOBODY = '\nslow.retrain_when(tt.every("30d"))\n'


@pytest.fixture
def file(trimtab: Type) -> Path:
    """The project of the folder, applied with a rule of two persons."""
    file = write_project(Path("trimtab_project.py"))
    file.write_text(file.read_text() + TWO)
    assert trimtab("apply", "--yes", "--because", "the first").code == 0
    return file


def propose(file: Path, *, actor: Actor) -> None:
    """Apply the file without its rule, in somebody's name."""
    file.write_text(file.read_text().replace(TWO, NOBODY))
    with closing(open_store(Settings(home=".trimtab", clock="2013-03-01"))) as store:
        apply_project(store, load_project(file), actor=actor, because="simpler")


def test_an_author_proposes_and_somebody_else_decides(trimtab: Type, file: Path) -> None:
    file.write_text(file.read_text().replace(TWO, NOBODY))
    planned = trimtab("plan")
    assert (planned.code, "~ proposal slow" in planned.out) == (2, True)
    done = trimtab("apply", "--yes", "--because", "simpler")
    assert "stays until risk, other than the author agrees" in done.out
    assert "Next: trimtab approve policy slow --because '...'" in done.out
    assert f"the policy of slow, proposed by {this_user()}, waits for risk, other than the author" in (
        trimtab("status").out
    )
    for words in (("approve", "policy", "slow"), ("reject", "policy", "slow")):
        shown = trimtab(*words, "--dry-run").out
        assert "approved by: risk, other than the author, then nothing" in shown
        assert "Nothing has changed" in shown
    refused = trimtab("approve", "policy", "slow", "--because", "mine")
    assert (refused.code, f"{this_user()} proposed its change" in refused.err) == (1, True)
    rejected = trimtab("reject", "policy", "slow", "--because", "two persons it is")
    assert f"rejected by {this_user()}: two persons it is" in rejected.out
    assert trimtab("approve", "policy", "slow", "--because", "x").code == 1
    for words in ((), ("policy", "slow", "now")):
        assert trimtab("approve", *words).code == 2


def test_somebody_else_approves(trimtab: Type, file: Path) -> None:
    propose(file, actor=Actor("ann"))
    approved = trimtab("approve", "policy", "slow", "--because", "I looked at it")
    assert approved.out.endswith(f"The policy of slow is in force, approved by {this_user()}: I looked at it\n")
    assert "Everything is as declared" in trimtab("plan").out
