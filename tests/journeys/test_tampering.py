"""Somebody changes a byte behind Trimtab's back: it is named, and what it touches is not served."""

from sqlalchemy import text
from tests.journeys.asking import body_of
from tests.journeys.behind import damage_blob, sql
from tests.journeys.shell import Shell, ask, get
from tests.waiting import wait_until

KEY = body_of({"parcel_id": "p2995"})


def test_one_changed_byte_of_an_event_is_found_and_named(placed: Shell) -> None:
    assert placed.run("verify").out.startswith("intact")
    approved = "SELECT position, body FROM ledger_events WHERE type = 'registry.version-approved'"
    with sql(placed) as database:
        rows = database.execute(text(approved)).all()
        position, body = next(row for row in rows if '"slow"' in row.body)
        changed = body.replace('"number":1', '"number":2')
        assert sum(a != b for a, b in zip(body, changed, strict=True)) == 1
        change = text("UPDATE ledger_events SET body = :body WHERE position = :position")
        database.execute(change, {"body": changed, "position": position})

    said = placed.run("verify", code=1).out
    assert said.startswith("tampered")
    assert f" {position}" in said.splitlines()[0]
    found = placed.json("verify", code=1)
    assert (found["kind"], found["first_bad"]) == ("tampered", position)
    assert "bad" in placed.run("doctor", code=1).out


def test_a_changed_model_is_not_served_and_others_are(placed: Shell) -> None:
    version = placed.json("get", "versions", "slow@1")
    with placed.up() as server:
        server.wait_until_ready()
        assert ask(server.url + "/v2/models/slow/infer", KEY)[0] == 200
        damage_blob(placed, version["artifacts"]["model"])
        # What is in memory was verified when it was loaded, and answers on.
        status, before = ask(server.url + "/v2/models/slow/infer", KEY)
        assert status == 200
    with placed.up() as server:
        status, refused = ask_when_loaded(server.url, "slow")
        assert (status, refused["code"]) == (503, "serving.not-ready")
        assert "slow@1" in refused["what"]
        assert "damaged" in refused["why"] or "not what its digest says" in refused["why"], refused
        assert get(server.url + "/v2/models/slow/ready")[0] == 503
        status, answer = ask_when_loaded(server.url, "late")
        assert (status, answer["model_version"]) == (200, "1")
        status, health = get(server.url + "/readyz")
        assert (status, health["endpoints"]) == (200, {"late": True, "slow": False})
        assert get(server.url + "/healthz")[0] == 200
    why = placed.json("why", before["parameters"]["decision_ids"])
    assert any("approval of slow@1 does not hold" in missing for missing in why["missing"])
    assert placed.run("verify").out.startswith("intact"), "the ledger itself is untouched"


def ask_when_loaded(url: str, endpoint: str) -> tuple[int, dict[str, str]]:
    """Ask an endpoint once the server has tried to load its model: before, it only says that it is loading."""
    found: list[tuple[int, dict[str, str]]] = []

    def tried() -> bool:
        found[:] = [ask(f"{url}/v2/models/{endpoint}/infer", KEY)]
        return found[0][1] is not None and found[0][1].get("code") != "serving.loading"

    wait_until(tried, "the models were tried")
    return found[0]
