"""A server is asked with the words of the store, and answers the same; nothing is left where it is asked from."""

import ast
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Type
from tests.client.conftest import left_in, served, token_of
from tests.seeded import Seeded

import trimtab
from trimtab.cli.verbs.get import NOUNS
from trimtab.client.project import _over_http
from trimtab.kernel import Permission
from trimtab.store import Store, back_up

Far = Callable[..., Any]
SOURCE = Path(trimtab.__file__).parent

NO_PAST = ("runs", "pipelines", "turns", "alerts", "refusals")
READING = [
    *[("get", noun) for noun in NOUNS],
    *[("get", noun, "--at", "2013-03-01T13:00") for noun in NOUNS if noun not in NO_PAST],
    ("get", "source", "parcels"), ("get", "snapshots", "parcels"), ("get", "view", "parcel"), ("get", "model", "slow"),
    ("get", "views", "parcel@1"), ("get", "version", "slow@2"), ("get", "version", "slow"), ("get", "endpoint", "slow"),
    ("get", "decisions", "slow", "-n", "7"), ("get", "lineage", "slow@1"), ("get", "lineage", "endpoint:slow"),
    ("get", "event", "0"), ("get", "events", "--type", "registry.", "-n", "3"), ("get", "events", "--actor", "ben"),
    ("get", "events", "--subject", "version:slow@2"), ("get", "turns", "slow"), ("get", "alerts", "slow"),
    ("get", "runs", "--filter", "metrics.auc > 0.7", "--order-by", "metrics.auc desc"), ("get", "pipelines", "nightly"),
    ("data", "show", "parcels", "-n", "3"), ("data", "show", "parcels", "--set-aside"),
    ("data", "show", "parcels", "--profile"), ("data", "show", "parcels", "--at", "2013-03-01T13:00"),
    ("diff", "slow@1", "slow@2"), ("level",), ("level", "slow"), ("token", "list"),
]  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_server_answers_as_its_store_does(
    busy: tuple[Store, str], far: Far, trimtab: Type, tmp_path: Path, words: tuple[str, ...], form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store, url = busy
    if form == "json":
        words = (*words, "-o", "json")
    there = far(url, *words)
    assert left_in(tmp_path) == []
    monkeypatch.setenv("TRIMTAB_SERVER", "")
    monkeypatch.setenv("TRIMTAB_CLOCK", store.settings.clock)
    here = trimtab(*words, "--home", store.settings.home)
    assert here.code == 0, here
    assert there == here


@pytest.mark.parametrize(
    "words",
    [
        ("get", "models", "none"), ("get", "decisions", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("get", "versions", "slow@9"),
        ("why", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("get", "views", "none"), ("get", "sources", "none"),
        ("get", "endpoints", "none"), ("get", "turns", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("level", "none"),
        ("get", "events", "99999"), ("get", "lineage", "slow@9"), ("logs", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("approve", "slow@9", "--because", "x"), ("token", "revoke", "none", "--yes"), ("predict", "none", "--example"),
        ("get", "lineage", "slow@1", "--at", "2001-01-01"), ("rollback", "none", "--because", "x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_server_refuses_in_the_words_of_its_store(
    busy: tuple[Store, str], far: Far, trimtab: Type, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, url = busy
    there = far(url, *words)
    monkeypatch.setenv("TRIMTAB_SERVER", "")
    monkeypatch.setenv("TRIMTAB_CLOCK", store.settings.clock)
    here = trimtab(*words, "--home", store.settings.home)
    assert (there.code, there.out, there.err) == (here.code, here.out, here.err)
    assert here.code == 1


def test_one_thing_is_shown_as_it_is_there(
    busy: tuple[Store, str], far: Far, trimtab: Type, seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, url = busy
    asked = [
        ("why", seeded.decisions[0], "-o", "json"), ("get", "run", seeded.runs[0]), ("logs", seeded.failed),
        ("logs", seeded.applied, "snapshot-parcels"), ("get", "pipelines", seeded.failed),
        ("get", "decision", seeded.decisions[0]), ("get", "lineage", f"decision:{seeded.decisions[0]}"),
    ]  # fmt: skip
    there = [far(url, *words) for words in asked]
    monkeypatch.setenv("TRIMTAB_SERVER", "")
    monkeypatch.setenv("TRIMTAB_CLOCK", store.settings.clock)
    for words, found in zip(asked, there, strict=True):
        here = trimtab(*words, "--home", store.settings.home)
        explained = re.compile(r'"explained_at": "[^"]*"')
        assert found.code == 0, found
        assert explained.sub("", found.out) == explained.sub("", here.out), words


def test_the_evidence_and_the_ledger_are_brought_and_verified_here(
    busy: tuple[Store, str], far: Far, tmp_path: Path
) -> None:
    store, url = busy
    wrote = far(url, "export", "slow@2", "-o", "slow.zip")
    assert wrote.code == 0, wrote
    key = wrote.out.split()[-1]
    assert key == store.keys.public(store.origin)
    assert far(url, "verify", "slow.zip", "--key", key).out.startswith("intact: ")
    assert far(url, "export", "slow", "--as", "card", "-o", "card.html").code == 0
    alone = far(url, "verify")
    assert (alone.code, "the server gave it itself" in alone.out) == (0, True)
    told = far(url, "verify", "--key", key)
    assert (told.code, "the server gave it itself" in told.out) == (0, False)
    assert far(url, "verify", "--export", "ledger.log", "--key", key).code == 0
    assert left_in(tmp_path) == ["card.html", "ledger.log", "slow.zip"]


def test_a_token_says_who_acts_and_how_far(busy: tuple[Store, str], far: Far, tmp_path: Path) -> None:
    store, _ = busy
    read, approve, admin = (token_of(store, one) for one in (Permission.READ, Permission.APPROVE, Permission.ADMIN))
    with served(store, local=None) as url:
        nobody = far(url, "status")
        assert (nobody.code, "set TRIMTAB_TOKEN" in nobody.err) == (1, True)
        assert far(url, "status", token=read).code == 0
        refused = far(url, "reject", "slow@3", "--because", "x", token=read)
        assert (refused.code, "far-read may not do this" in refused.err) == (1, True)
        done = far(url, "reject", "slow@3", "--because", "tröge", token=approve)
        assert done.code == 0, done
        assert done.out.splitlines()[-1] == "slow@3 is rejected by far-approve (issued by alice): tröge"
        made = far(url, "token", "create", "ci", "--may", "read", "--because", "for the builds", token=admin)
        assert made.out.startswith("trimtab_")
        assert far(url, "status", token=made.out.strip()).code == 0
        ended = far(url, "token", "revoke", "ci", "--yes", "--because", "over", token=admin)
        assert (ended.code, "is revoked" in ended.out) == (0, True), ended
        doctor = far(url, "doctor", token=read)
        assert "answers far-read (issued by alice), who may read" in doctor.out
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        ("plan",), ("apply", "--yes"), ("apply", "--dry-run"), ("run", "slow"), ("run", "slow", "--dry-run"), ("up",),
        ("backup", "backups"), ("restore", "backups", "--because", "x"), ("move", "--to", "home", "--yes"),
        ("move", "--reopen", "--because", "x"), ("ledger", "accept", "--because", "x"),
        ("ledger", "new-key", "--because", "x"), ("replay", "--from", "2013-03-01", "--to", "2013-03-02"),
        ("replay", "--from", "2013-03-01", "--to", "2013-03-02", "--compare"), ("init", "another.py"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_works_beside_the_store_says_so(
    busy: tuple[Store, str], far: Far, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "trimtab_project.py").write_text("import trimtab as tt\n")
    refused = far(busy[1], *words)
    assert refused.code == 1
    assert "works beside the store, and the settings name a server" in refused.err
    assert "where the server runs" in refused.err
    assert left_in(tmp_path) == ["trimtab_project.py"]


def test_what_needs_no_project_is_done_whatever_server_is_named(
    busy: tuple[Store, str], far: Far, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    store, url = busy
    backups = tmp_path_factory.mktemp("backups")
    back_up(store, backups, told=lambda *_: None)
    rehearsed = far(url, "restore", str(backups), "--check")
    assert (rehearsed.code, "Rehearsed the backup" in rehearsed.out) == (0, True), rehearsed
    assert far(url, "init", "--dry-run").out.startswith('"""')
    assert left_in(tmp_path) == []


def test_a_server_that_is_not_there_is_told(far: Far, tmp_path: Path) -> None:
    nobody = far("http://127.0.0.1:9", "status")
    assert (nobody.code, "the server at http://127.0.0.1:9 does not answer" in nobody.err) == (1, True)
    assert "is not the address of a server" in far("localhost:8400", "get", "models").err
    assert left_in(tmp_path) == []


def test_every_question_of_the_command_line_can_be_asked_of_a_server() -> None:
    asked = set()
    for file in sorted((SOURCE / "cli").rglob("*.py")):
        module = import_module(".".join(["trimtab", *file.relative_to(SOURCE).with_suffix("").parts]))
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "ask":
                name = node.args[0]
                if isinstance(name, ast.Name) and hasattr(module, name.id):
                    asked.add(getattr(module, name.id))
    assert len(asked) > 40
    for question in asked:
        assert _over_http(question), question
