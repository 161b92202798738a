"""``trimtab gc`` and ``trimtab hold``, typed here and to a server; who may not, may not."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.cli.conftest import Type
from tests.client.conftest import far, served, token_of  # noqa: F401  # far is a fixture
from tests.mistakes.standing import unchanged
from tests.seeded import Seeded

from trimtab.kernel import Permission
from trimtab.store import Store, events, open_store


@pytest.fixture
def mine(seeded: Seeded, tmp_path: Path) -> Iterator[Store]:
    """A copy of the home in which much has happened; runs are kept for a second."""
    home = shutil.copytree(seeded.home, tmp_path / "mine")
    settings = msgspec.structs.replace(seeded.settings, home=str(home), keep_runs="1s", keep_logs="1s")
    store = open_store(settings)
    yield store
    store.close()


@pytest.fixture
def here(mine: Store, trimtab: Type, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("TRIMTAB_CLOCK", mine.settings.clock)
    monkeypatch.setenv("TRIMTAB_KEEP_RUNS", "1s")
    monkeypatch.setenv("TRIMTAB_KEEP_LOGS", "1s")
    return lambda *words: trimtab(*words, "--home", mine.settings.home)


def test_a_dry_run_changes_nothing_and_a_real_one_says_what_it_did(mine: Store, here: Callable[..., Any]) -> None:
    with unchanged(mine):
        said = here("gc", "--dry-run")
    assert said.code == 0, said
    assert "tracked runs" in said.out
    assert "Nothing has changed" in said.out
    refused = here("gc")
    assert (refused.code, "no reason was given" in refused.err) == (1, True)
    done = here("gc", "--because", "spring cleaning")
    assert done.code == 0, done
    assert "Removed: 1 logs of steps, 2 tracked runs, 1 pipeline runs" in done.out
    assert {event.because for event in events(mine, type="store.removed")} == {"spring cleaning"}
    assert here("gc", "--because", "again").out.splitlines()[-1] == "There was nothing to remove."


def test_classes_and_forms(here: Callable[..., Any]) -> None:
    found = msgspec.json.decode(here("gc", "--dry-run", "--class", "runs", "-o", "json").out)
    assert [one["what"] for one in found["items"]] == ["tracked runs", "pipeline runs"]
    assert here("gc", "--dry-run", "-o", "csv").out.startswith("class,what,kept,count")
    assert here("gc", "--class", "everything", "--dry-run").code == 2


def test_a_hold_is_made_shown_and_ended(mine: Store, here: Callable[..., Any]) -> None:
    with unchanged(mine):
        assert "would hold model:slow" in here("hold", "create", "model:slow", "--dry-run").out
    assert here("hold", "create", "model:slow").code == 1
    made = here("hold", "create", "all", "--because", "case 12")
    assert made.code == 0, made
    assert "On hold: all" in here("gc", "--because", "x").out
    newest, _ = msgspec.json.decode(here("get", "holds", "-o", "json").out)  # the other one stood there before
    assert (newest["subject"], newest["because"], newest["ended_at"]) == ("all", "case 12", None)
    ended = here("hold", "end", "all", "--because", "over")
    assert (ended.code, "is over: over" in ended.out) == (0, True), ended
    assert "ended" in here("get", "holds").out
    assert here("hold", "end", "all", "--because", "over").code == 1


def test_a_server_does_the_same_for_who_may(mine: Store, far: Callable[..., Any]) -> None:  # noqa: F811
    read, admin = (token_of(mine, one) for one in (Permission.READ, Permission.ADMIN))
    asked = (("gc", "--dry-run"), ("gc", "--because", "x"), ("hold", "create", "all", "--because", "x"))
    with served(mine, local=None) as url:
        for words in asked:
            refused = far(url, *words, token=read)
            assert (refused.code, "may not do this" in refused.err) == (1, True), (words, refused)
            assert far(url, *words, token=admin).code == 0, words
        assert far(url, "get", "holds", token=read).code == 0


def test_a_server_is_asked_in_the_words_of_its_store(mine: Store, far: Callable[..., Any]) -> None:  # noqa: F811
    with served(mine) as url:
        assert far(url, "hold", "create", "model:slow", "--because", "Fall 12, tröge").code == 0
        assert "On hold: model:slow" in far(url, "gc", "--dry-run").out
        done = far(url, "gc", "--because", "from afar", "-o", "json")
        assert done.code == 0, done
        assert {event.because for event in events(mine, type="store.removed")} == {"from afar"}
        assert far(url, "hold", "end", "model:slow", "--because", "over").code == 0
