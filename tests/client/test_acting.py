"""What changes something is done from an empty folder as beside the store, and stands there in the caller's name."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.client.conftest import left_in, served, token_of
from tests.seeded import ANN, Seeded

import trimtab as tt
from trimtab.declare import load_project
from trimtab.kernel import Permission
from trimtab.loop import apply_project
from trimtab.store import Store, events, open_store

Far = Callable[..., Any]
TWO = '\nslow.retrain_when(tt.every("30d"), approve=tt.by("risk").other_than_author())\n'
NOBODY = '\nslow.retrain_when(tt.every("30d"))\n'


@pytest.fixture
def store(seeded: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of its own in which slow@1 answers, slow@2 is its canary, and slow@3 waits for a yes or a no."""
    home = shutil.copytree(seeded.home, tmp_path_factory.mktemp("acting") / "home")
    store = open_store(msgspec.structs.replace(seeded.settings, home=str(home)))
    yield store
    store.close()


def propose(store: Store, project: Path) -> None:
    """Govern the model, and propose to let go of that, in somebody's name."""
    text = project.read_text("utf-8")
    for policy, because in ((TWO, "two persons"), (NOBODY, "simpler")):
        project.write_text(text + policy, "utf-8")
        apply_project(store, load_project(project), actor=ANN, because=because)


def test_a_version_is_asked_served_and_taken_back_from_elsewhere(store: Store, far: Far, tmp_path: Path) -> None:
    with served(store, whole=True) as url:
        asked = far(url, "predict", "slow", "--example")
        assert asked.code == 0, asked
        decision = asked.out.splitlines()[-1].removeprefix("Next: trimtab why ")
        assert f"decision {decision} by slow@" in asked.out
        assert far(url, "predict", "slow", "parcel_id=p2990").code == 0
        why = far(url, "why", decision)
        assert (why.code, decision in why.out) == (0, True), why
        assert far(url, "serve", "slow", "--dry-run").out == "slow: @1 90 %, @2 canary 10 %\n"
        canary = far(url, "serve", "slow@2", "--stage", "canary", "--percent", "20", "--because", "looks right")
        assert (canary.code, canary.out) == (0, "slow: @1 80 %, @2 canary 20 %\n")
        full = far(url, "serve", "slow@2", "--because", "as good")
        assert (full.code, full.out) == (0, "slow: @2 100 %\n"), full
        back = far(url, "rollback", "slow", "--because", "it was not")
        assert (back.code, back.out) == (0, "slow: @1 100 %\nBefore: @2 100 %\n"), back
    assert [one.because for one in events(store, type="serving.routing-changed", order="newest", limit=3)] == [
        "it was not", "as good", "looks right",
    ]  # fmt: skip
    assert left_in(tmp_path) == []


def test_a_version_is_approved_and_its_turn_cancelled_from_elsewhere(store: Store, far: Far, tmp_path: Path) -> None:
    token = token_of(store, Permission.APPROVE)
    with served(store, local=None, whole=True) as url:
        approved = far(url, "approve", "slow@3", "--because", "tröge", token=token)
        assert approved.code == 0, approved
        assert "slow@3 is approved by far-approve (issued by alice): tröge" in approved.out
        assert "It is a shadow at slow." in approved.out
        cancelled = far(url, "run", "slow", "--cancel", "--because", "not now", token=token)
        assert cancelled.code == 0, cancelled
        assert "of slow is cancelled: not now" in cancelled.out
        again = far(url, "run", "slow", "--cancel", "--because", "not now", token=token)
        assert (again.code, "the loop of slow is not turning" in again.err) == (1, True)
    (said,) = events(store, type="registry.version-approved", order="newest", limit=1)
    assert (said.actor.id, said.because) == ("far-approve", "tröge")
    assert left_in(tmp_path) == []


def test_a_policy_is_approved_from_elsewhere(store: Store, seeded: Seeded, far: Far, tmp_path: Path) -> None:
    project = Path(shutil.copy(seeded.project, store.settings.home_path.parent / "parcels.py"))
    propose(store, project)
    with served(store) as url:
        shown = far(url, "approve", "policy", "slow", "--dry-run")
        assert "approved by: risk, other than the author, then nothing" in shown.out
        approved = far(url, "approve", "policy", "slow", "--because", "I looked at it")
        assert approved.code == 0, approved
        assert approved.out.endswith("The policy of slow is in force, approved by alice: I looked at it\n")
        none = far(url, "reject", "policy", "slow", "--because", "x")
        assert (none.code, "no policy of 'slow' waits" in none.err) == (1, True)
    (said,) = events(store, type="loop.policy-approved")
    assert (said.actor.id, said.because) == ("alice", "I looked at it")
    assert left_in(tmp_path) == []


def test_python_does_the_same(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with served(store, whole=True) as url, tt.connect(url) as there:
        answer = there.predict("slow", parcel_id="p2990")
        assert there.why(answer.decision).decision.id == answer.decision
        approved = there.approve("slow@3", because="better")
        assert (approved.approval.version, approved.stage) == (3, "shadow")
        assert there.rollback("slow", because="all of it").routing.champion == 1
        assert [shadow for one in there.endpoints() for shadow in one.routing.shadow] == []
        assert {one.because for one in there.events("loop.rolled-back")} == {"all of it"}
    assert left_in(tmp_path) == []
