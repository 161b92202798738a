"""What was recorded goes from place to place by the commands of the guide, while a server runs where it says so."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.journeys.asking import body_of
from tests.journeys.project import FILE
from tests.journeys.shell import Server, Shell, ask, get

BODY = body_of({"parcel_id": "p2970"})


@pytest.fixture
def grown(
    approved: Shell, elsewhere: dict[str, str], tidy: Callable[[Shell], Shell], emptied: Callable[[str], None]
) -> Shell:
    """A shell in the same folder, whose settings name an empty database on PostgreSQL and a bucket."""
    emptied(elsewhere["database"])
    return tidy(Shell(approved.folder, **elsewhere))


def decided(server: Server) -> str:
    status, answer = ask(server.url + "/v2/models/slow/infer", BODY)
    assert status == 200, answer
    return str(answer["parameters"]["decision_ids"])


def test_a_backup_of_a_running_server_is_rehearsed_and_restored(
    approved: Shell, tmp_path: Path, tidy: Callable[[Shell], Shell]
) -> None:
    backups = str(tmp_path / "backups")
    with approved.up() as server:
        server.wait_until_ready()
        decision = decided(server)
        taken = approved.run("backup", backups).out
        assert "without private keys" in taken
        decided(server)
    rehearsed = approved.run("restore", backups, "--check").out
    assert "intact" in rehearsed
    new = tidy(Shell(tmp_path / "new"))
    new.folder.mkdir()
    shutil.copy(approved.folder / FILE, new.folder)
    assert "intact" in new.run("restore", backups, "--because", "the disk broke").out
    assert "intact" in new.run("verify").out
    assert new.json("why", decision)["version"]["number"] == 1, "it was not sealed when the backup was taken"
    assert "nothing that is there is ever overwritten" in new.run("restore", backups, code=1).err
    shutil.copytree(approved.home / "keys", new.home / "keys", dirs_exist_ok=True)
    new.run("run", "parcel", "--because", "fill the online store")
    with new.up() as server:
        server.wait_until_ready()
        decided(server)
    assert new.json("why", decision)["missing"] == []


def test_a_project_moves_to_postgresql_and_s3_and_back(approved: Shell, grown: Shell) -> None:
    with approved.up() as server:
        server.wait_until_ready()
        first = decided(server)
        there = ("--to", grown.database, "--blobs", grown.environment["TRIMTAB_BLOBS"], "--yes")
        assert "is running" in approved.run("move", *there, code=1).err
    before = approved.events()
    assert "had a history" in grown.run("status", code=1).err
    bucket = {
        name: grown.environment[name] for name in grown.environment if name.startswith(("AWS_", "TRIMTAB_BLOBS_E"))
    }
    approved.environment |= bucket
    assert "intact" in approved.run("move", *there, "--because", "we grow").out
    assert [event for event in grown.events() if event["type"] != "store.moved"] == before
    for words in (("token", "create", "shop"), ("run", "parcel")):
        assert "the database was moved" in approved.run(*words, code=1).err
    assert "slow@1" in approved.run("get", "versions").out, "it can be looked at"
    with grown.up() as server:
        server.wait_until_ready()
        second = decided(server)
    for decision in (first, second):
        assert grown.json("why", decision)["missing"] == []

    grown.run("move", "--to", "home", "--blobs", "home", "--because", "we shrink", "--yes")
    with approved.up() as server:
        server.wait_until_ready()
        third = decided(server)
    for decision in (first, second, third):
        assert approved.json("why", decision)["missing"] == []
    assert approved.json("verify")["kind"] == "intact"


def test_an_older_server_stops_writing_when_the_database_is_upgraded(approved: Shell) -> None:
    with approved.up() as server:
        server.wait_until_ready()
        decision = decided(server)
        with closing(sqlite3.connect(approved.home / "trimtab.db", isolation_level=None)) as driver:
            was = driver.execute("SELECT version_num FROM alembic_version").fetchone()
            driver.execute("UPDATE alembic_version SET version_num = '9000_next'")
        outcomes = {"outcomes": [{"decision": decision, "value": 1.0, "known_at": "2013-03-05T00:00:01Z"}]}
        status, said = ask(f"{server.url}/api/v1/endpoints/slow/outcomes", outcomes)
        assert (status, said["code"]) == (409, "store.schema-changed")
        assert "9000_next" in said["why"]
        later = decided(server)
        assert get(server.url + "/healthz")[0] == 200
    assert "newer than this version" in approved.run("status", code=1).err
    with closing(sqlite3.connect(approved.home / "trimtab.db", isolation_level=None)) as driver:
        driver.execute("UPDATE alembic_version SET version_num = ?", was)
    with approved.up() as server:
        server.wait_until_ready()
    assert {event["type"] for event in approved.events("serving.decisions-sealed")}, (
        "they were sealed after the restart"
    )
    for known in (decision, later):
        assert approved.json("why", known)["missing"] == []
