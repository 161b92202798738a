"""The forms: approve, reject, serve, retry; each asks for a reason and writes its event."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.seeded import Seeded
from tests.ui.conftest import client_of

from trimtab.kernel import this_user
from trimtab.registry import get_version
from trimtab.serving import get_endpoint
from trimtab.store import Store, events, open_store


@pytest.fixture(scope="module")
def own(seeded: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """A copy of the seeded home: these tests change it."""
    home = tmp_path_factory.mktemp("forms") / "home"
    shutil.copytree(seeded.home, home)
    return msgspec.structs.replace(seeded, home=home)


@pytest.fixture
def store(own: Seeded) -> Iterator[Store]:
    opened = open_store(own.settings)
    yield opened
    opened.close()


@pytest.fixture
def browser(store: Store) -> Iterator[httpx.Client]:
    with client_of(store) as client:
        yield client


def _newest(store: Store, type_: str) -> tuple[str, str]:
    (event,) = events(store, type=type_, limit=1, order="newest")
    return event.actor.id, event.because


def test_a_decision_without_a_reason_changes_nothing(browser: httpx.Client, store: Store) -> None:
    answer = browser.post("/ui/models/slow/3/approve", data={"because": "  "})
    assert (answer.status_code, "no reason was given" in answer.text) == (400, True)
    assert get_version(store, "slow@3").status.value == "candidate"


def test_a_page_of_another_site_cannot_decide(browser: httpx.Client, store: Store) -> None:
    answer = browser.post("/ui/models/slow/3/approve", data={"because": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert get_version(store, "slow@3").status.value == "candidate"


def test_reject_then_nothing_more(browser: httpx.Client, store: Store) -> None:
    answer = browser.post("/ui/models/slow/3/reject", data={"because": "worse for the south"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/models/slow/3")
    assert _newest(store, "registry.version-rejected") == (this_user().id, "worse for the south")
    assert "worse for the south" in browser.get("/ui/models/slow/3").text
    again = browser.post("/ui/models/slow/3/approve", data={"because": "after all"})
    assert (again.status_code, "cannot be approved" in again.text) == (409, True)


def test_a_share_is_changed_and_rolled_back(browser: httpx.Client, store: Store) -> None:
    answer = browser.post("/ui/models/slow/2/serve", data={"because": "more", "stage": "canary", "percent": "25"})
    assert answer.headers["location"] == "/ui/endpoints/slow"
    assert [canary.percent for canary in get_endpoint(store, "slow").routing.canary] == [25]
    full = browser.post("/ui/models/slow/2/serve", data={"because": "all of it", "stage": "full"})
    assert full.status_code == 303
    assert get_endpoint(store, "slow").routing.champion == 2
    browser.post("/ui/models/slow/1/serve", data={"because": "back", "stage": "full"})
    assert get_endpoint(store, "slow").routing.champion == 1
    assert _newest(store, "serving.routing-changed") == (this_user().id, "back")


@pytest.mark.parametrize("percent", ["0", "101", "-1", "many", "nan"])
def test_a_share_that_is_none_is_refused(browser: httpx.Client, percent: str) -> None:
    data = {"because": "more", "stage": "canary", "percent": percent}
    assert browser.post("/ui/models/slow/2/serve", data=data).status_code == 400


def test_a_failed_pipeline_is_retried(browser: httpx.Client, store: Store, own: Seeded) -> None:
    answer = browser.post(f"/ui/pipelines/{own.failed}/retry", data={"because": "the module is there now"})
    assert answer.headers["location"] == f"/ui/pipelines/{own.failed}"
    assert _newest(store, "pipelines.run-retried") == (this_user().id, "the module is there now")


def test_a_body_that_is_no_form_is_refused(browser: httpx.Client) -> None:
    answer = browser.post("/ui/models/slow/3/approve", content=b"\xff\xfe=&&&&")
    assert answer.status_code == 400


def test_a_far_browser_signs_in_with_its_token(own: Seeded, tmp_path: Path) -> None:
    from trimtab.server import issue_token

    store = open_store(msgspec.structs.replace(own.settings, hosts="trimtab.example"))
    try:
        with store.change(this_user(), "test") as change:
            secret = issue_token(change, "carol", may=["read"]).secret
        with client_of(store) as far:
            far.base_url = httpx.URL("http://trimtab.example")
            away = far.get("/ui/models")
            assert (away.status_code, away.headers["location"]) == (303, "/ui/sign-in?back=/ui/models")
            assert far.get("/ui/sign-in?back=/ui/models").status_code == 200
            wrong = far.post("/ui/sign-in", data={"token": "trimtab_wrong", "back": "/ui"})
            assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
            right = far.post("/ui/sign-in", data={"token": secret, "back": "https://evil.example/ui"})
            assert right.headers["location"] == "/ui"
            cookie = right.headers["set-cookie"]
            assert "HttpOnly; SameSite=Strict; Max-Age=43200" in cookie
            assert secret not in cookie
            assert "Secure" not in cookie
            behind_tls = far.post("/ui/sign-in", data={"token": secret}, headers={"X-Forwarded-Proto": "https"})
            assert behind_tls.headers["set-cookie"].endswith("; Secure")
            session = {"Cookie": cookie.partition(";")[0]}
            far.cookies.clear()
            far.cookies.set(*session["Cookie"].split("="))
            assert far.get("/ui/models").status_code == 200
            assert far.post("/ui/models/slow/1/serve", data={"because": "x"}).status_code == 403
            refused = far.get("/ui/refusals").text
            assert "server.not-allowed" in refused
            assert f"carol (issued by {this_user().id})" in refused
            assert "POST /ui/sign-in" in refused
            assert far.post("/ui/sign-out").headers["location"] == "/ui/sign-in"
            # Whoever has kept the cookie has nothing: the session is over, and not only forgotten by this browser.
            assert far.get("/ui/models", headers=session).status_code == 303
            assert far.get("/api/v1/models", headers=session).status_code == 401
    finally:
        store.close()
