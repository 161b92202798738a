"""Every way to a version's place is tried with one that nobody released: none brings an answer of it before a user."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import text
from tests.journeys.asking import body_of
from tests.journeys.behind import read_blob, sql, swap_blob
from tests.journeys.project import FILE, write
from tests.journeys.shell import Server, Shell, ask, get
from tests.journeys.test_tampering import ask_when_loaded
from tests.journeys.traffic import Traffic
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import Actor, this_user
from trimtab.loop import approve_version
from trimtab.registry import AuthorApproves
from trimtab.store import open_store

BODIES = [body_of({"parcel_id": f"p{number}"}) for number in range(2960, 3000)]
V2 = "/api/v1/models/slow/versions/2"
WHY = {"because": "let me in"}
send = partial(httpx.request, timeout=PATIENCE_S)
DOORS: list[tuple[str, str, dict[str, Any], int]] = [
    ("PUT", "/api/v1/models/slow/aliases/champion", {"version": 2}, 403),
    ("PUT", "/api/v1/models/slow/aliases/mine", {"version": 2}, 200),  # a name of one's own, which routes nothing
    ("PUT", "/api/v1/endpoints/slow/routing", {"champion": 2}, 403),
    ("PUT", "/api/v1/endpoints/slow/routing", {"champion": 1, "canary": [{"version": 2, "percent": 50}]}, 403),
    ("PUT", "/api/v1/endpoints/slow/routing", {"champion": 1, "canary": [{"version": 2, "percent": 0.01}]}, 403),
    ("PUT", "/api/v1/endpoints/slow/routing", {"champion": 1, "shadow": [2]}, 403),
    ("PUT", "/api/v1/endpoints/late/routing", {"champion": 2, "model": "slow"}, 403),
    ("PUT", "/api/v1/endpoints/mine/routing", {"champion": 2, "model": "slow"}, 403),
    ("POST", f"{V2}/serve", {"stage": "full"}, 403),
    ("POST", f"{V2}/serve", {"stage": "canary", "percent": 5}, 403),
    ("POST", f"{V2}/serve", {"stage": "shadow"}, 403),
    ("POST", f"{V2}/release", {}, 403),
    ("POST", "/api/v1/endpoints/slow/rollback", {}, 400),  # nothing was served before
]
"""Method, path, body and the status that it must have."""
TYPED = (
    "serve slow@2", "serve slow@2 --stage canary --percent 5", "serve slow@2 --stage shadow", "serve slow@mine",
    "rollback slow",
)  # fmt: skip

KEYS = {
    "serving_routes": ("endpoint",),
    "registry_aliases": ("model", "alias"),
    "registry_versions": ("model", "number"),
}
"""The tables that somebody rewrites by hand, and their keys."""

ASKS = """\
    import json, urllib.error, urllib.request
    for path, body in {asked!r}.items():
        data = body and json.dumps(body).encode()
        request = urllib.request.Request({url!r} + path, data, {{"Content-Type": "application/json"}})
        try:
            print("asked", path, urllib.request.urlopen(request).status)
        except urllib.error.HTTPError as refused:
            said = "code asks without a token" in refused.read().decode()
            print("asked", path, refused.code, said)
    X = X.drop"""
"""A training that asks the server on its machine for things."""


@pytest.fixture
def candidate(placed: Shell) -> Shell:
    """A project whose ``slow@1`` answers, and whose ``slow@2`` is trained and waits, in each place."""
    return retrained(placed)


def retrained(shell: Shell) -> Shell:
    write(shell.folder, models=2, **{"strength=1.0": "strength=0.05"})
    assert "slow@2 passed its gate" in shell.run("apply", "--yes", "--because", "try less").out
    return shell


def test_no_door_serves_what_nobody_released(candidate: Shell) -> None:
    with candidate.up() as server:
        server.wait_until_ready()
        known = answers_of(server)
        with watched(server) as traffic:
            for method, path, body, status in DOORS:
                answer = send(method, server.url + path, json=body | WHY if status != 403 or body else body)
                assert answer.status_code == status, (path, body, answer.text)
            form = send("POST", f"{server.url}/ui/models/slow/2/serve", data={"stage": "full"} | WHY)
            assert form.status_code == 403
            assert ask(f"{server.url}/v2/models/slow/versions/2/infer", BODIES[0])[0] == 404
            for typed in TYPED:
                candidate.run(*typed.split(), "--because", "let me in", code=1)
            restore = route_by_hand(candidate, champion=2)
            wait_until(lambda: "serving_routes" in str(problems(server)), "the server has tried", alive=server.process)
            traffic.wait_for(60)
        assert {one.version for one in traffic.answered} == {"1"}
        assert answers_of(server) == known, "another model answers under the name of the released one"
        assert get(f"{server.url}/v2/models/mine/ready")[0] == 404
    asked = [one["asked"] for one in candidate.json("get", "refusals") for _ in range(one["count"])]
    assert asked.count("trimtab serve") == sum(typed.startswith("serve") for typed in TYPED)
    assert len([one for one in asked if "/" in one]) == sum(status == 403 for *_, status in DOORS) + 1
    with candidate.up() as server:
        status, refused = ask_when_loaded(server.url, "slow")
        assert (status, refused["code"], "serving_routes" in refused["what"]) == (503, "serving.not-ready", True)
    restore()
    with candidate.up() as server:
        server.wait_until_ready()
        assert answers_of(server) == known
    assert {event["data"]["number"] for event in candidate.events("registry.release-issued")} == {1}


def test_a_released_models_file_is_not_swapped_for_another(candidate: Shell) -> None:
    """The other file is a whole model of the same inputs; only its bytes are not those that were released."""
    digest, others = [candidate.json("get", "versions", f"slow@{n}")["artifacts"]["model"] for n in (1, 2)]
    released, other = (read_blob(candidate, one) for one in (digest, others))
    assert released != other
    with candidate.up() as server:
        server.wait_until_ready()
        known = answers_of(server)
        swap_blob(candidate, digest, other)
        with watched(server) as traffic:
            traffic.wait_for(60)
        assert answers_of(server) == known, "what was verified lies in memory"
    with candidate.up() as server:
        status, refused = ask_when_loaded(server.url, "slow")
        assert (status, refused["code"]) == (503, "serving.not-ready")
        send("PUT", f"{server.url}/api/v1/endpoints/slow/routing", json={"champion": 1, "shadow": []} | WHY)
        assert ask(f"{server.url}/v2/models/slow/infer", BODIES[0])[0] == 503
    assert "slow@1" in candidate.run("serve", "slow@1", "--because", "again", code=1).err
    swap_blob(candidate, digest, released)
    with candidate.up() as server:
        server.wait_until_ready()
        assert answers_of(server) == known


def test_a_version_whose_release_was_taken_back_does_not_come_back(grown: Shell) -> None:
    retrained(grown)
    grown.run("approve", "slow@2", "--because", "better")
    grown.run("serve", "slow@2", "--route-only", "--because", "it holds")
    with grown.up() as server:
        server.wait_until_ready()
        known = answers_of(server)
        with watched(server) as traffic:
            grown.run("reject", "slow@1", "--because", "its data were wrong")
            for typed in ("rollback slow", "serve slow@1", "serve slow@1 --stage shadow"):
                grown.run(*typed.split(), "--because", "back", code=1)
            for method, path, body in (
                ("PUT", "/api/v1/models/slow/aliases/champion", {"version": 1}),
                ("PUT", "/api/v1/endpoints/slow/routing", {"champion": 1}),
                ("PUT", "/api/v1/endpoints/slow/routing", {"champion": 2, "canary": [{"version": 1, "percent": 5}]}),
            ):
                assert send(method, server.url + path, json=body | WHY).status_code == 403, path
            traffic.wait_for(60)
        assert {one.version for one in traffic.answered} == {"2"}
        assert answers_of(server) == known


def test_an_author_finds_every_door_closed_where_two_persons_are_asked_for(grown: Shell) -> None:
    write(grown.folder, models=2, **{"strength=1.0": "strength=0.05"})
    with (grown.folder / FILE).open("a", encoding="utf-8") as file:
        file.write('\nslow.retrain_when(tt.every("30d"), approve=tt.by("ops-lead").other_than_author())\n')
    assert "approved by ops-lead, other than the author" in grown.run("plan", code=2).out
    grown.run("apply", "--yes", "--because", "try less")
    for words in (("--because", "mine"), ("--because", "mine", "--override", "it is urgent")):
        told = grown.run("approve", "slow@2", *words, code=1).err
        assert f"{this_user().id} cannot approve slow@2" in told
        assert "trimtab approve slow@2" in told
    with grown.up() as server:
        server.wait_until_ready()
        for path in (f"{V2}/approve", f"{V2}/rollout"):
            answer = send("POST", server.url + path, json=WHY)
            assert (answer.status_code, answer.json()["code"]) == (403, "registry.author-approves"), answer.text
        form = send("POST", f"{server.url}/ui/models/slow/2/approve", data=WHY)
        assert (form.status_code, "cannot approve slow@2" in form.text) == (403, True)
        assert grown.json("get", "versions", "slow@2")["status"] == "candidate"
        approve_as("bob", grown)
        wait_until(lambda: 2 in routed(server), "the shadow is taken up", alive=server.process)
    (event,) = [one for one in grown.events("registry.version-approved") if one["data"]["number"] == 2]
    assert (event["actor"]["id"], event["data"]["self_approved"]) == ("bob", False)
    (refused,) = grown.events("registry.approval-refused")
    assert (refused["actor"]["id"], refused["data"]["code"]) == (this_user().id, "registry.author-approves")


def test_what_trains_a_model_is_not_the_user_who_started_the_server(placed: Shell) -> None:
    """On loopback nobody is asked for a token: a project's code would approve what it has trained."""
    asked: dict[str, Any] = {
        "/api/v1/models/slow/versions/1/reject": WHY,
        "/api/v1/models/slow/versions/1/serve": WHY | {"stage": "full"},
        "/api/v1/tokens": WHY | {"name": "mine", "may": ["approve"]},
        "/ui/models/slow/1/reject": WHY,
        "/api/v1/events": None,
        "/v2/models/slow/infer": BODIES[0],
    }
    with placed.up() as server:
        server.wait_until_ready()
        write(placed.folder, **{"    X = X.drop": ASKS.format(asked=asked, url=server.url)})
        placed.run("apply", "--yes", "--because", "try it")
        newest, _ = placed.json("get", "pipelines")
        log = placed.run("logs", newest["id"], "train-slow").out
    told = [line.removeprefix("asked ") for line in log.splitlines() if line.startswith("asked ")]
    refused = [f"{path} 403 True" for path in asked]
    assert told == [*refused[:-1], "/v2/models/slow/infer 200"]
    assert [token["name"] for token in placed.json("get", "tokens")] == []


def approve_as(name: str, shell: Shell) -> None:
    """Approve in another person's name, as their token over the network would."""
    store = open_store(msgspec.structs.replace(shell.settings, clock=shell.environment["TRIMTAB_CLOCK"]))
    try:
        with pytest.raises(AuthorApproves):
            approve_version(store, "slow@2", actor=this_user(), because="mine")
        approve_version(store, "slow@2", actor=Actor(name), because="I looked at it")
    finally:
        store.close()


@contextmanager
def watched(server: Server) -> Iterator[Traffic]:
    """Ask all the time; no request may fail, whatever is tried meanwhile."""
    with Traffic(server.url, "slow", BODIES, clients=2, pause_s=0.01) as traffic:
        traffic.wait_for(20)
        yield traffic
    assert (traffic.refused, traffic.broken) == ([], [])


def answers_of(server: Server) -> list[float]:
    """What the endpoint says of some known rows: two models never say the same of all of them."""
    found = []
    for body in BODIES[:10]:
        status, answer = ask(f"{server.url}/v2/models/slow/infer", body)
        assert status == 200, answer
        found.append(next(one["data"][0] for one in answer["outputs"] if one["name"] == "probability"))
    return found


def problems(server: Server) -> Any:
    return get(f"{server.url}/api/v1/endpoints/slow")[1]["status"]["problems"]


def routed(server: Server) -> list[int]:
    routing = get(f"{server.url}/api/v1/endpoints/slow")[1]["endpoint"]["routing"]
    return [routing["champion"], *routing["shadow"]]


def route_by_hand(shell: Shell, *, champion: int) -> Callable[[], None]:
    """Write the routing, the alias and the status into the database, past every rule; return what takes it back."""
    with sql(shell) as database:
        rows = {table: database.execute(text(f"SELECT * FROM {table}")).mappings().all() for table in KEYS}
        (routing,) = (json.loads(row["routing"]) for row in rows["serving_routes"] if row["endpoint"] == "slow")
        database.execute(
            text(
                "UPDATE serving_routes SET revision = revision + 1, digest = :digest, routing = :routing "
                "WHERE endpoint = 'slow'"
            ),
            {"digest": f"sha256:{champion:064x}", "routing": json.dumps(routing | {"champion": champion})},
        )
        database.execute(
            text("UPDATE registry_aliases SET version = :version WHERE model = 'slow' AND alias = 'champion'"),
            {"version": champion},
        )
        database.execute(text("UPDATE registry_versions SET status = 'approved' WHERE model = 'slow'"))

    def restore() -> None:
        with sql(shell) as database:
            for table, before in rows.items():
                for row in before:
                    said = ", ".join(f"{name} = :{name}" for name in row)
                    which = " AND ".join(f"{name} = :{name}" for name in KEYS[table])
                    database.execute(text(f"UPDATE {table} SET {said} WHERE {which}"), dict(row))

    return restore
