"""The whole way on PostgreSQL and S3, with two servers on them: what one has taken, both can explain."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tritonclient.http as triton
from tests.journeys.asking import infer
from tests.journeys.project import FILE, write
from tests.journeys.shell import Server, Shell, ask, get
from tests.journeys.test_first_day import ASKED, asked_in_every_way, check_explanations

BECAUSE = "the parcels of early 2013"


@pytest.fixture
def shells(tmp_path: Path, postgres_url: str, s3: str, tidy: Callable[[Shell], Shell]) -> tuple[Shell, Shell]:
    """Two shells in folders of their own, as on two hosts, over one database and one bucket."""
    shared = {"database": postgres_url, "blobs": f"s3://models/{tmp_path.name}", "blobs_endpoint": s3}
    first, second = (tidy(Shell(tmp_path / name, **shared)) for name in ("first", "second"))
    return first, second


def test_from_contract_to_decision_on_two_servers(shells: tuple[Shell, Shell]) -> None:
    here, there = shells
    write(here.folder, models=1)
    assert "slow@1 passed its gate" in here.run("apply", "--yes", "--because", BECAUSE).out
    here.run("approve", "slow@1", "--because", "first model")
    join(here, there)
    with here.up() as first, there.up() as second:
        for server in (first, second):
            server.wait_until_ready()
        answers = asked_in_every_way(here, first)
        assert {answered_by(first), answered_by(second)} == {answers[0][3]}, "two servers, two answers"
        check_explanations(here, answers[::2])
        tell_outcome(first, answers[0][0])
        assert there.json("status")["models"] == here.json("status")["models"]
    # Both have sealed what they have taken: each explains every decision.
    check_explanations(there, answers)
    (told,) = there.events("monitoring.outcomes-recorded")
    assert told["data"]["endpoint"] == "slow"
    sealed = here.events("serving.decisions-sealed")
    assert sum(event["data"]["count"] for event in sealed) == len(answers) + 2
    for shell in shells:
        assert shell.json("verify")["kind"] == "intact"
    here.run("export", "slow@1", "-o", "slow.zip")
    shutil.copy(here.folder / "slow.zip", there.folder)
    there.run("verify", "slow.zip")
    assert not (here.home / "blobs").exists()
    assert not (here.home / "trimtab.db").exists()


def join(here: Shell, there: Shell) -> None:
    """Do what the guide asks of a second host: the project's file, the keys, an online store of its own."""
    there.folder.mkdir()
    shutil.copy(here.folder / FILE, there.folder)
    there.home.mkdir()
    shutil.copytree(here.home / "keys", there.home / "keys")
    there.run("run", "parcel", "--because", "a second host serves")


def answered_by(server: Server) -> float:
    client = triton.InferenceServerClient(server.address)
    try:
        return infer(client, "slow", {"parcel_id": ASKED}, binary=False)[1]
    finally:
        client.close()


def tell_outcome(server: Server, decision: str) -> None:
    outcome = {"decision": decision, "value": 1.0, "known_at": "2013-03-04T00:00:00Z"}
    status, said = ask(f"{server.url}/api/v1/endpoints/slow/outcomes", {"outcomes": [outcome]})
    assert status in (200, 201), said
    assert get(f"{server.url}/readyz")[0] == 200
