"""A proposed policy on the pages: it is shown with what it changes, and decided with a reason."""

from pathlib import Path

import pytest
from tests.loop.parcels import write_project
from tests.ui.conftest import client_of

from trimtab.declare import load_project
from trimtab.kernel import Actor, this_user
from trimtab.loop import apply_project, approve_version, get_proposal, open_proposal_of
from trimtab.store import Store

TWO = '\nslow.retrain_when(tt.every("30d"), approve=tt.by("risk").other_than_author())\n'


@pytest.mark.parametrize(("word", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_a_proposed_policy_is_decided_on_a_page(sqlite_store: Store, tmp_path: Path, word: str, state: str) -> None:
    store, file, ann = sqlite_store, write_project(tmp_path / "parcels.py"), Actor("ann")
    plain = file.read_text()
    for text in (plain + TWO, plain):
        file.write_text(text)
        apply_project(store, load_project(file), actor=ann, because="<b>simpler</b>")
    approve_version(store, "slow@1", actor=this_user(), because="first")
    proposal = open_proposal_of(store, "slow")
    assert proposal is not None

    with client_of(store) as browser:
        assert "ann proposes another policy for slow" in browser.get("/ui").text
        page = browser.get("/ui/loop/slow").text
        assert "approved by: risk, other than the author, then nothing" in page
        assert "&lt;b&gt;simpler" in page
        assert "<b>simpler" not in page
        at = f"/ui/proposals/{proposal.id}/{word}"
        assert browser.post(at, data={"because": " "}).status_code == 400
        done = browser.post(at, data={"because": "I looked at it"})
        assert (done.status_code, done.headers["location"]) == (303, "/ui/loop/slow")
        assert "Proposed policy" not in browser.get("/ui/loop/slow").text
    assert get_proposal(store, proposal.id).state.value == state
