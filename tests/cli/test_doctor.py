"""What was forged is found by `trimtab doctor` and named, and `trimtab up` and `doctor` say which walls stand."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Type
from tests.forging import by_sql
from tests.journeys.shell import Shell
from tests.pipelines.conftest import pipeline, step
from tests.waiting import wait_until

from trimtab.kernel import Actor, Settings, VirtualClock
from trimtab.pipelines import submit, walls
from trimtab.server import issue_token
from trimtab.store import Store, make_hold, open_store

ANN = Actor("ann")


@pytest.fixture
def store(database_url: str, home: Path, clock: VirtualClock, emptied: Callable[[str], None]) -> Iterator[Store]:
    """A store whose schema is its own: what is put into it here must stand in no other test's way."""
    if database_url:
        emptied(database_url)
    opened = open_store(Settings(home=str(home), database=database_url), clock=clock)
    yield opened
    opened.close()


Checks = Callable[[], tuple[int, dict[str, tuple[str, str]]]]


@pytest.fixture
def doctor(trimtab: Type, store: Store, monkeypatch: pytest.MonkeyPatch) -> Checks:
    """Ask the doctor about the store; what it ends with, and state and detail of each check."""
    monkeypatch.setenv("TRIMTAB_HOME", store.settings.home)
    monkeypatch.setenv("TRIMTAB_DATABASE", store.settings.database)

    def ask() -> tuple[int, dict[str, tuple[str, str]]]:
        typed = trimtab("doctor", "-o", "json")
        found = lines_of(typed.out, "check")
        return typed.code, {name: (line["state"], line["detail"]) for name, line in found.items()}

    return ask


def lines_of(out: str, kind: str) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in json.loads(out) if line["kind"] == kind}


def bad(checks: dict[str, tuple[str, str]]) -> set[str]:
    return {name for name, (state, _) in checks.items() if state == "bad"}


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        ("UPDATE store_holds SET subject = 'model:b' WHERE id = '{first}'", "row {first} of store_holds is not what"),
        ("DELETE FROM store_holds WHERE id = '{first}'", "row {first} of store_holds was taken out"),
        (
            "INSERT INTO store_holds (id, subject, because, by, made_at) VALUES ('0', 'all', '', '', '')",
            "row 0 of store_holds",
        ),
        ("UPDATE server_tokens SET may = '[\"admin\"]'", "row {token} of server_tokens is not what"),
        ("UPDATE server_tokens SET may = '[]'; DELETE FROM store_holds", "row {token} of server_tokens is not what"),
    ],
    ids=["changed", "taken out", "added", "token", "two"],
)
def test_a_forged_row_is_named(store: Store, doctor: Checks, attack: str, says: str) -> None:
    with store.change(ANN, "a case") as change:
        first, token = make_hold(change, "model:a").id, issue_token(change, "ci", may=["read"]).token.id
        make_hold(change, "model:b")
    code, checks = doctor()
    assert (code, bad(checks), checks["objects"][1]) == (0, set(), "none that act by themselves")
    for statement in attack.format(first=first).split("; "):
        by_sql(store, statement)
    code, checks = doctor()
    assert (code, bad(checks)) == (1, {"ledger"})
    assert checks["ledger"][1].startswith(f"tampered: {says.format(first=first, token=token)}"), checks["ledger"]


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        ("UPDATE pipeline_runs SET actor = 'nightly' WHERE id = '{run}'", "the run is not what anybody submitted"),
        (
            "UPDATE pipeline_steps SET outputs = '{{\"n\":1}}' WHERE run_id = '{run}'",
            "step a has not returned what its row says",
        ),
    ],
    ids=["run", "step"],
)
def test_a_forged_pipeline_run_is_named(store: Store, doctor: Checks, attack: str, says: str) -> None:
    _, run, _ = (submit(store, pipeline(step("a")), {"n": n}, actor=ANN, because="a test").id for n in range(3))
    assert doctor()[1]["runs"] == ("ok", "3 open, as they were submitted")
    by_sql(store, attack.format(run=run))
    code, checks = doctor()
    assert (code, bad(checks)) == (1, {"runs"})
    assert checks["runs"][1].startswith(f"pipeline run {run}: {says}. Next: stop what writes to it")


def test_a_foreign_trigger_is_named(store: Store, doctor: Checks) -> None:
    if store.database.is_sqlite:
        by_sql(store, "CREATE TRIGGER watcher AFTER INSERT ON server_tokens BEGIN SELECT 1; END")
    else:
        by_sql(store, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$")
        by_sql(store, "CREATE TRIGGER watcher AFTER INSERT ON server_tokens FOR EACH ROW EXECUTE FUNCTION f()")
    code, checks = doctor()
    assert (code, bad(checks)) == (1, {"objects"})
    assert checks["objects"][1].startswith("the trigger watcher on server_tokens: not Trimtab's; who made it?")


# --- walls ---------------------------------------------------------------------------------------------------------


def test_up_and_doctor_say_which_walls_stand(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    with shell.up() as server:
        wait_until(lambda: "user code" in server.said.read_text(), "the server says which walls stand")
        said = server.said.read_text()
    standing = [wall.name for wall in walls() if wall.stands]
    assert f"user code walls around {', '.join(standing)}; none around " in said
    assert "user" not in standing
    found = lines_of(shell.run("doctor", "-o", "json").out, "wall")
    assert {name: (line["state"], line["detail"]) for name, line in found.items()} == {
        wall.name: ("ok" if wall.stands else "-", wall.detail) for wall in walls()
    }
    assert shell.close() == {}
