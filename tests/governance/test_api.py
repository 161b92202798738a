"""The room's routes, as a server offers them."""

import warnings

import pytest

from trimtab.governance import Evidence, as_html, dependent_decisions, evidence_pack, model_card
from trimtab.server import Rooms, application, doors_of
from trimtab.server.api import Live
from trimtab.store import Store, events

with warnings.catch_warnings():
    # Starlette would rather have httpx2; httpx is what our other tests use.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

VERSION = "/api/v1/models/slow/versions"


@pytest.fixture(scope="module")
def client(lived: Store) -> TestClient:
    rooms = Rooms(lived)
    app = application(rooms.store, doors_of(rooms.store, rooms.store.settings), rooms=rooms, live=Live(rooms.events))
    # Not entered: nothing is started that would change the home.
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def test_a_card_in_each_form(client: TestClient, lived: Store) -> None:
    said = client.get(f"{VERSION}/1/card").json()
    assert said["ref"] == "slow@1"
    page = client.get(f"{VERSION}/champion/card", params={"as": "html"})
    assert page.text == as_html(model_card(lived, "slow@1"))
    assert page.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert client.get(f"{VERSION}/1/card", params={"as": "md"}).text.startswith("# Model card: slow@1\n")
    assert client.get(f"{VERSION}/1/card", params={"as": "pdf"}).status_code == 400


def test_the_evidence_is_the_same_as_in_python(client: TestClient, lived: Store, evidence: Evidence) -> None:
    answer = client.get(f"{VERSION}/1/evidence")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="slow-1.zip"'
    assert answer.content == evidence.data
    entered = events(lived, subject=("version", "slow@2"), type="registry.version-registered")[0].position
    early = client.get(f"{VERSION}/2/evidence", params={"position": entered})
    assert early.content == evidence_pack(lived, "slow@2", position=entered).data
    assert client.get(f"{VERSION}/2/evidence", params={"position": entered - 1}).status_code == 404
    for wrong in ("x", "-1", "9" * 20, "100000"):
        assert client.get(f"{VERSION}/2/evidence", params={"position": wrong}).status_code == 400


def test_a_difference(client: TestClient) -> None:
    said = client.get(f"{VERSION}/2/diff", params={"was": "champion"}).json()
    assert (said["was"], said["now"]) == ("slow@1", "slow@2")
    assert [section["title"] for section in said["sections"]][:4] == ["Data", "Features", "Code", "Params"]
    assert client.get(f"{VERSION}/2/diff").json() == said
    assert client.get(f"{VERSION}/2/diff", params={"was": "9"}).status_code == 404


def test_maturity(client: TestClient) -> None:
    (said,) = client.get("/api/v1/level").json()["items"]
    assert (said["model"], said["level"]) == ("slow", 0)
    assert client.get("/api/v1/level", params={"model": "slow"}).json()["items"] == [said]
    assert client.get("/api/v1/level", params={"model": "fast"}).status_code == 404


def test_lineage_and_every_decision_behind_it(client: TestClient, lived: Store) -> None:
    graph = client.get("/api/v1/lineage", params={"subject": "source:parcels"}).json()
    assert "version:slow@3" in [node["id"] for node in graph["nodes"]]
    found: list[str] = []
    params = {"subject": "source:parcels", "limit": "7"}
    while True:
        page = client.get("/api/v1/lineage/decisions", params=params).json()
        found += page["items"]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert found == sorted(dependent_decisions(lived, "source:parcels"))
    assert len(found) == 40
    assert client.get("/api/v1/lineage", params={"subject": "late"}).status_code == 400
    assert client.get("/api/v1/lineage").status_code == 400
    assert client.get("/api/v1/lineage", params={"subject": "slow@9"}).status_code == 404
