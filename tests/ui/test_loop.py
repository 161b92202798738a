"""The page of the loop, where a loop has turned: nine phases, its turns, and what a person can do from there."""

import re
import shutil
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from tests.seeded import Seeded
from tests.ui.conftest import client_of

from trimtab.kernel import this_user
from trimtab.loop import TurnState, list_turns
from trimtab.serving import get_endpoint
from trimtab.store import Store, events, open_store

PHASES = ["Data", "Features", "Training", "Evaluation", "Registry", "Serving", "Monitoring", "Retraining", "Governance"]


@pytest.fixture
def own_store(looped: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A copy of the home in which the loop has turned: a test changes it."""
    home = tmp_path_factory.mktemp("looped-own") / "home"
    shutil.copytree(looped.home, home)
    store = open_store(msgspec.structs.replace(looped, home=home).settings)
    yield store
    store.close()


@pytest.fixture
def own(own_store: Store) -> Iterator[httpx.Client]:
    with client_of(own_store) as client:
        yield client


def _phases(page: str) -> dict[str, tuple[str, str]]:
    """Return each phase with its tone and its word."""
    part = page[page.index('class="phases"') : page.index('class="return"')]
    found = re.findall(
        r'<li><h3>(?:<a href="[^"]*">)?(\w+)(?:</a>)?</h3><span class="status (\w+)">([^<]*)</span>', part
    )
    return {name: (tone, word) for name, tone, word in found}


def test_the_nine_phases_stand_in_their_order_with_their_state(looped_client: httpx.Client) -> None:
    phases = _phases(looped_client.get("/ui/loop/slow").text)
    assert list(phases) == PHASES
    assert phases["Data"] == ("warn", "1 set aside")
    assert phases["Evaluation"] == ("ok", "passed")
    assert phases["Registry"] == ("ok", "approved")
    assert phases["Retraining"] == ("go", "canary")
    assert phases["Governance"] == ("ok", "valid")


def test_a_model_without_a_loop_shows_its_phases_too(client: httpx.Client) -> None:
    phases = _phases(client.get("/ui/loop/slow").text)
    assert list(phases) == PHASES
    assert phases["Registry"] == ("wait", "candidate")


def test_a_turn_tells_its_trigger_its_moves_and_what_is_left(looped_client: httpx.Client, looped_store: Store) -> None:
    newest, first = list_turns(looped_store, "slow")
    assert (newest.state, first.state) == (TurnState.CANARY, TurnState.KEPT)
    page = looped_client.get("/ui/loop/slow").text
    assert newest.trigger.text in page
    assert page.count('aria-current="step"') == 1
    (left,) = re.findall(r'data-left="(\d+)"', page)
    assert 0 < int(left) <= 86400
    for move in newest.moves:
        assert move.text in page
    older = looped_client.get(f"/ui/loop/slow?turn={first.id}").text
    assert "Turn of slow@1" in older
    assert "data-left" not in older


def test_turns_of_another_model_are_not_shown_as_its_own(looped_client: httpx.Client, looped_store: Store) -> None:
    (turn, _) = list_turns(looped_store, "slow")
    answer = looped_client.get(f"/ui/loop/nothing?turn={turn.id}")
    assert answer.status_code == 404


def test_the_policy_leads_back_to_the_beginning(looped_client: httpx.Client, client: httpx.Client) -> None:
    assert "Again every 3d; at most once in 2d; ops-lead says yes" in looped_client.get("/ui/loop/slow").text
    assert "No policy says when it learns again." in client.get("/ui/loop/slow").text


def test_the_endpoint_shows_the_rollout_with_its_rule(looped_client: httpx.Client) -> None:
    page = looped_client.get("/ui/endpoints/slow").text
    assert "Rollout of slow@2" in page
    assert "share of failed requests above 0.01, or log loss above the champion&#39;s log loss times 1.5" in page
    assert re.search(r"\d+ of \d+ rows have their label", page)
    assert re.search(r"to 1 <span.*from \d+ blocks of 6 hours, beside \d+ of the test span", page)
    assert "within this rollout (" in page
    assert page.count("data-left") == 1


def test_rolling_back_asks_for_a_reason_names_its_events_and_brings_the_champion_back(
    own: httpx.Client, own_store: Store
) -> None:
    page = own.get("/ui/endpoints/slow").text
    dialog = page[page.index('<dialog id="roll-back"') :]
    assert "Roll back to slow@1" in dialog
    assert "<code>serving.routing-changed</code> and <code>loop.rolled-back</code>" in dialog
    assert own.post("/ui/endpoints/slow/rollback", data={"because": " "}).status_code == 400
    assert list_turns(own_store, "slow")[0].state is TurnState.CANARY
    answer = own.post("/ui/endpoints/slow/rollback", data={"because": "the south complains"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/endpoints/slow")
    routing = get_endpoint(own_store, "slow").routing
    assert (routing.champion, routing.canary, routing.shadow) == (1, (), ())
    assert list_turns(own_store, "slow")[0].state is TurnState.ROLLED_BACK
    (event,) = events(own_store, type="loop.rolled-back", limit=5)
    assert (event.actor.id, event.because) == (this_user().id, "the south complains")
    assert "rolled back" in own.get("/ui/loop/slow").text


@pytest.mark.parametrize(
    ("back", "location"),
    [
        ("/ui", "/ui"),
        ("/ui/loop/slow", "/ui/loop/slow"),
        ("https://evil.example/ui", "/ui/models/slow/3"),
        ("//evil.example", "/ui/models/slow/3"),
        ("/ui/../../evil", "/ui/models/slow/3"),
        ("/ui/loop/slow\r\nset-cookie: a=b", "/ui/models/slow/3"),
    ],
)
def test_a_decision_leads_back_to_its_page_and_to_no_other_site(
    seeded: Seeded, tmp_path_factory: pytest.TempPathFactory, back: str, location: str
) -> None:
    home = tmp_path_factory.mktemp("back") / "home"
    shutil.copytree(seeded.home, home)
    store = open_store(msgspec.structs.replace(seeded, home=home).settings)
    try:
        with client_of(store) as client:
            assert 'action="/ui/models/slow/3/approve"' in client.get("/ui").text
            answer = client.post("/ui/models/slow/3/reject", data={"because": "worse", "back": back})
        assert (answer.status_code, answer.headers["location"]) == (303, location)
    finally:
        store.close()
