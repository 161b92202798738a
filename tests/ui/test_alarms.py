"""Alarms on the pages: shown where somebody looks, taken on and kept quiet with a reason."""

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta

import httpx
import msgspec
import pytest
from tests.seeded import Seeded
from tests.ui.conftest import client_of

from trimtab.kernel import this_user
from trimtab.monitoring import Alert, alerts, silences
from trimtab.store import Store, events, open_store


@pytest.fixture
def store(looped: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A copy of the home in which the loop has turned: a test changes it."""
    home = tmp_path_factory.mktemp("alarmed") / "home"
    shutil.copytree(looped.home, home)
    opened = open_store(msgspec.structs.replace(looped, home=home).settings)
    yield opened
    opened.close()


@pytest.fixture
def browser(store: Store) -> Iterator[httpx.Client]:
    with client_of(store) as client:
        yield client


@pytest.fixture
def alert(store: Store) -> Alert:
    """What the replay's own checks found: a parcel that weighs too much."""
    (found,) = alerts(store, endpoint="slow", states=("open",))
    return found


@pytest.mark.parametrize("path", ["/ui", "/ui/monitor/slow"])
def test_an_alarm_stands_where_somebody_looks(browser: httpx.Client, alert: Alert, path: str) -> None:
    page = browser.get(path).text
    assert alert.title in page
    assert all(line in page for line in alert.lines)
    assert f'<dialog id="acknowledge-{alert.id}"' in page
    assert f'<dialog id="silence-{alert.id}"' in page
    assert "<code>monitoring.alert-acknowledged</code>" in page


def test_the_loop_and_the_list_count_it(browser: httpx.Client) -> None:
    for path in ("/ui/loop/slow", "/ui/monitor"):
        assert '<span class="status warn">1 note</span>' in browser.get(path).text


def test_an_alarm_is_taken_on_with_a_reason(browser: httpx.Client, store: Store, alert: Alert) -> None:
    assert browser.post(f"/ui/alerts/{alert.id}/acknowledge", data={"because": ""}).status_code == 400
    answer = browser.post(f"/ui/alerts/{alert.id}/acknowledge", data={"because": "the scale is broken"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/monitor/slow#alarms")
    (event,) = events(store, type="monitoring.alert-acknowledged", limit=5)
    assert (event.actor.id, event.because) == (this_user().id, "the scale is broken")
    page = browser.get("/ui/monitor/slow").text
    assert "the scale is broken" in page
    assert f'<dialog id="acknowledge-{alert.id}"' not in page


def test_an_alarm_is_kept_quiet_until_a_moment(browser: httpx.Client, store: Store, alert: Alert) -> None:
    data = {"because": "known", "for": "8 hours", "groups": alert.group}
    answer = browser.post("/ui/monitor/slow/silence", data=data)
    assert answer.status_code == 303
    (made,) = silences(store, "slow", at=store.clock.now())
    assert made.groups == alert.group
    assert timedelta(hours=7, minutes=59) < made.until - store.clock.now() <= timedelta(hours=8)
    page = browser.get("/ui/monitor/slow").text
    assert re.search(r"<b>quiet until</b>", page)
    assert "Quiet now:" in page
    assert f'<dialog id="silence-{alert.id}"' not in page


@pytest.mark.parametrize("span", ["", "for ever", "0"])
def test_a_silence_has_to_end(browser: httpx.Client, store: Store, span: str) -> None:
    answer = browser.post("/ui/monitor/slow/silence", data={"because": "known", "for": span, "groups": "*"})
    assert answer.status_code == 400
    assert silences(store, "slow", at=store.clock.now()) == []


def test_an_alarm_that_is_none_is_not_there(browser: httpx.Client) -> None:
    assert browser.post("/ui/alerts/none/acknowledge", data={"because": "x"}).status_code == 404
