"""A database file that is moved, removed or replaced under an open store."""

import shutil
from pathlib import Path
from typing import ClassVar

import pytest

from trimtab.kernel import Actor, Unavailable
from trimtab.store import Event, Store, Subject, events


class Noted(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "test.place-noted"
    text: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("note", self.text),)


FILES = ("trimtab.db", "trimtab.db-wal", "trimtab.db-shm")


def note(store: Store, text: str) -> None:
    with store.change(Actor("ann"), "so") as change:
        change.record(Noted(text=text))


def move(from_: Path, to: Path) -> None:
    to.mkdir(exist_ok=True)
    for name in FILES:
        if (from_ / name).exists():
            (from_ / name).rename(to / name)


def test_nothing_is_written_to_a_file_that_was_moved(sqlite_store: Store, home: Path, tmp_path: Path) -> None:
    note(sqlite_store, "before")
    move(home, tmp_path / "aside")
    for _ in range(2):
        with pytest.raises(Unavailable, match="is not where it was"):
            note(sqlite_store, "lost")
        with pytest.raises(Unavailable, match="moved or removed"):
            events(sqlite_store)
    assert not (home / "trimtab.db").exists()
    move(tmp_path / "aside", home)
    note(sqlite_store, "after")
    assert [event.data["text"] for event in events(sqlite_store)] == ["before", "after"]


def test_another_file_in_its_place_is_not_taken_for_it(sqlite_store: Store, home: Path, tmp_path: Path) -> None:
    note(sqlite_store, "before")
    move(home, tmp_path / "aside")
    (home / "trimtab.db").write_bytes((tmp_path / "aside" / "trimtab.db").read_bytes())
    with pytest.raises(Unavailable, match="Another file stands in its place"):
        note(sqlite_store, "lost")
    (home / "trimtab.db").unlink()
    move(tmp_path / "aside", home)
    note(sqlite_store, "after")


def test_a_checkpoint_that_cannot_be_remembered_does_not_undo_its_change(
    sqlite_store: Store, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(home / "witness")
    (home / "witness").write_text("a file where the folder should be", "utf-8")
    note(sqlite_store, "made")
    sqlite_store.checkpoint()
    assert [event.data["text"] for event in events(sqlite_store)] == ["made"]
    assert "is not kept" in caplog.text
    (home / "witness").unlink()
    note(sqlite_store, "later")
    sqlite_store.checkpoint()
    assert [checkpoint.size for checkpoint in sqlite_store.witness.checkpoints(sqlite_store.origin)] == [2]
