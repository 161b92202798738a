"""A full disk under ``trimtab up``: nothing is half done or only said, and with room again it goes on by itself."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.small_disk import fill, make_room, small_disk
from tests.faults.test_up_killed import check_log
from tests.journeys.asking import body_of
from tests.journeys.project import copy_of_approved
from tests.journeys.shell import Server, Shell, ask, get
from tests.journeys.traffic import Traffic
from tests.waiting import wait_until

from trimtab.kernel import Settings
from trimtab.serving import decisions
from trimtab.store import open_store

BODIES = [body_of({"parcel_id": f"p{number}"}) for number in range(2960, 3000)]
MEGABYTES = 48
FULL_FOR_REQUESTS = 300


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", megabytes=MEGABYTES) as folder:
        yield folder


@pytest.fixture
def on_small_disk(disk: Path, tmp_path_factory: pytest.TempPathFactory, tidy: Callable[[Shell], Shell]) -> Shell:
    """A shell in an approved project that lies on a disk of its own."""
    return tidy(copy_of_approved(tmp_path_factory, disk / "approved"))


def test_a_full_disk_refuses_cleanly_and_room_is_enough_to_recover(on_small_disk: Shell, disk: Path) -> None:
    shell = on_small_disk
    with shell.up() as server:
        server.wait_until_ready()
        with Traffic(server.url, "slow", BODIES, clients=2, pause_s=0.002) as traffic:
            traffic.wait_for(50)
            fill(disk)
            wait_until(lambda: len(traffic.refused) > FULL_FOR_REQUESTS, "clients are refused", alive=server.process)
            told = change_until_refused(server)
            look_around(shell)
            assert get(server.url + "/healthz")[0] == 200
            assert [one["name"] for one in get(server.url + "/api/v1/models")[1]["items"]] == ["late", "slow"]
            answered_before = len(traffic.answered)
            make_room(disk)
            wait_until(lambda: len(traffic.answered) > answered_before + 50, "answers come again", alive=server.process)
        assert traffic.broken == [], "no connection was cut off"
        check_refusals(traffic)
        told += [token(server, "after")]
        assert told[-1][0] == 201, told[-1]
        wait_until(lambda: get(server.url + "/readyz")[0] == 200, "it is ready", alive=server.process)
    check_log(shell, traffic.answered)
    assert logged(shell) == len(traffic.answered), "a decision that was refused is in the log"
    check_ledger(shell, told)


def look_around(shell: Shell) -> None:
    """Who looks reads on; what cannot be written is said."""
    assert shell.json("verify")["kind"] == "intact"
    assert "slow: 1 version" in shell.run("status").out
    report = {line["name"]: line for line in shell.json("doctor", code=1) if line["kind"] == "check"}
    assert {name for name, line in report.items() if line["state"] == "bad"} == {"blobs"}
    assert "No space left" in report["blobs"]["detail"] or "make room" in report["blobs"]["detail"]
    assert "the disk is full" in shell.run("run", "parcels", "--because", "more", code=1).err


def change_until_refused(server: Server) -> list[tuple[int, str]]:
    """Change state until the disk has no room for it: what was written before may be written over for a while."""
    told: list[tuple[int, str]] = []
    while not told or told[-1][0] == 201:
        told.append(token(server, f"t{len(told)}"))
        assert len(told) < 3000, "the disk was never full"
    assert told[-1][0] == 503, told[-1]
    return told


def token(server: Server, name: str) -> tuple[int, str]:
    """Issue a token over HTTP; return the status and the token's name, or what the error said."""
    status, answer = ask(server.url + "/api/v1/tokens", {"name": name, "may": ["read"]})
    if status != 201:
        assert all(answer[part] for part in ("code", "what", "where", "why", "next")), answer
        return status, f"{answer['what']} {answer['why']}"
    return status, name


def check_refusals(traffic: Traffic) -> None:
    """Everything that was not answered was refused in words, and as something that passes."""
    for status, text in traffic.refused:
        answer = json.loads(text)
        assert (status, answer["code"]) == (503, "serving.not-recorded"), answer
        assert "No space left" in answer["what"]


def check_ledger(shell: Shell, told: list[tuple[int, str]]) -> None:
    """Hold the ledger and the tokens against what was told: each change is whole or not there."""
    names = {name for status, name in told if status == 201}
    assert {one["name"] for one in shell.json("get", "tokens", "-n", "1000")} == names
    assert {event["data"]["name"] for event in shell.events("server.token-issued")} == names
    assert shell.json("verify")["kind"] == "intact"


def logged(shell: Shell) -> int:
    store = open_store(Settings(home=str(shell.home)))
    try:
        return len(decisions(store, "slow", limit=10**7))
    finally:
        store.close()
