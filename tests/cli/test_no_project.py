"""Asking never makes a home: where there is no project, every verb says so and leaves the folder as it was."""

from pathlib import Path

import pytest
from tests.cli.conftest import Type
from tests.loop.parcels import write_project

from trimtab.cli.verbs.get import NOUNS

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
ASKING = [
    (), ("status",), *[("get", noun) for noun in NOUNS], ("get", "models", "late"),
    ("get", "events", "--at", "2013-01-01"),
    ("why", ID), ("logs",), ("logs", "--follow"), ("logs", ID), ("export", "late@1"), ("diff", "late@1", "late@2"),
    ("level",), ("data", "show", "flights"), ("token", "list"),
]  # fmt: skip
CHANGING = [
    ("approve", "late@1", "--because", "x"), ("reject", "late@1", "--because", "x"), ("predict", "late", "--example"),
    ("rollback", "late", "--because", "x"), ("serve", "late"), ("token", "revoke", "ci", "--yes"),
    ("run", "late", "--cancel"),
]  # fmt: skip


@pytest.mark.parametrize("words", [*ASKING, *CHANGING], ids=" ".join)
def test_without_a_project_it_says_so_and_what_to_type(trimtab: Type, tmp_path: Path, words: tuple[str, ...]) -> None:
    typed = trimtab(*words)
    assert (typed.code, typed.out) == (1, "")
    assert "there is no project in .trimtab" in typed.err
    assert "  next  trimtab init" in typed.err
    assert list(tmp_path.iterdir()) == []


def test_verify_without_a_project_proves_nothing(trimtab: Type, tmp_path: Path) -> None:
    for words in (("verify",), ("verify", "--export", "ledger.log")):
        typed = trimtab(*words)
        assert (typed.code, "there is no project in .trimtab" in typed.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("get", "models"), ("approve", "late@1", "--because", "x"), ("status",)], ids=" ".join
)
def test_a_mistyped_home_is_an_error(
    at_begun: Type, tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for given in (("--home", ".trimtap"), ()):
        typed = at_begun(*words, *given)
        assert (typed.code, "there is no project in .trimtap" in typed.err) == (1, True)
        assert "  next  correct it" in typed.err
        monkeypatch.setenv("TRIMTAB_HOME", ".trimtap")
    assert [path.name for path in tmp_path.iterdir()] == [".trimtab"]


@pytest.mark.parametrize(
    ("words", "code"),
    [(("plan",), 2), (("apply", "--dry-run"), 0), (("apply",), 1), (("run", "slow", "--dry-run"), 0)],
    ids=str,
)
def test_what_would_be_done_is_told_without_a_home(
    trimtab: Type, tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    write_project(tmp_path / "trimtab_project.py")
    typed = trimtab(*words)
    assert (typed.code, bool(typed.out)) == (code, True), typed
    assert "trimtab apply" in trimtab("status").err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["trimtab_project.py"]


def test_a_token_may_be_the_first_thing(trimtab: Type, tmp_path: Path) -> None:
    assert trimtab("token", "create", "ops-lead", "--may", "admin").code == 0
    assert (tmp_path / ".trimtab" / "trimtab.db").is_file()


def test_another_machine_of_a_database_is_told_how_to_get_a_home(
    trimtab: Type, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_DATABASE", postgres_url)
    typed = trimtab("get", "models")
    assert (typed.code, "trimtab up, which makes the home of this machine" in typed.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_typed_is_meant_whatever_server_is_set(at_begun: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_SERVER", "http://127.0.0.1:9")
    assert at_begun("get", "models").code == 1
    assert at_begun("get", "models", "--home", ".trimtab").code == 0
