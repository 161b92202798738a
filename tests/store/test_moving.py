"""A store moves to another database and other blobs, and back: all of it, verified, and never two of it at once."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text
from tests.store.kept_homes import open_kept, rows_of

from trimtab.kernel import Actor, Conflict, Settings, Unavailable
from trimtab.store import (
    Closed,
    Damaged,
    HoldsSomething,
    Store,
    VerificationKind,
    event_at,
    events,
    ledger_root,
    move,
    open_store,
    reopen_here,
    verify,
)
from trimtab.store.opened import url_of

BECAUSE = "we grow"


def silent(step: str, done: int, total: int) -> None:
    del step, done, total


@pytest.fixture
def empty_postgres(postgres_url: str, emptied: Callable[[str], None]) -> str:
    emptied(postgres_url)
    return postgres_url


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Store]:
    """A store on SQLite with files, in whose tables something of everything stands."""
    store = open_kept("0001_first_schema", tmp_path)
    yield store
    store.close()


@pytest.fixture
def beyond(filled: Store, empty_postgres: str, s3: str, tmp_path: Path) -> Settings:
    """The settings of the same home with its database on PostgreSQL and its blobs in a bucket."""
    place = {"database": empty_postgres, "blobs": f"s3://models/{tmp_path.name}", "blobs_endpoint": s3}
    return msgspec.structs.replace(filled.settings, **place)


def contents(settings: Settings) -> dict[str, object]:
    """Everything that a store holds but what a move itself adds: rows, and blobs with their sizes."""
    store = open_store(settings)
    found = {blob.digest: blob.size_bytes for blob in store.blobs.listed()}
    store.close()
    rows = rows_of(url_of(settings))
    keep = {name: rows[name] for name in rows if not name.startswith(("ledger_", "store_", "alembic"))}
    first = [row["body"] for row in rows["ledger_events"] if '"type":"store.' not in str(row["body"])]
    return {"rows": keep, "events": sorted(map(str, first)), "blobs": found}


def test_a_store_moves_to_postgresql_and_s3_and_back(filled: Store, beyond: Settings, actor: Actor) -> None:
    home = filled.settings
    before, size, root = contents(home), verify(filled).events, ledger_root(filled)
    found = move(filled, beyond, actor=actor, because=BECAUSE, told=silent)
    assert (found.kind, found.events) == (VerificationKind.INTACT, size + 1)
    assert contents(beyond) == before
    moved = open_store(beyond)
    assert ledger_root(moved, size=size) == root
    told = event_at(moved, size)
    assert (told.type, told.because, told.data["root"]) == ("store.moved", BECAUSE, root.hex())
    assert "postgresql" in told.data["target"]
    with pytest.raises(Closed, match="was moved"), filled.change(actor):
        raise AssertionError("let in")
    with pytest.raises(Closed, match="was moved"):
        move(filled, beyond, actor=actor, because=BECAUSE, told=silent)

    # Back into the home, in whose place the old database still stands.
    found = move(moved, home, actor=actor, because="we shrink", told=silent)
    moved.close()
    assert (found.kind, found.events) == (VerificationKind.INTACT, size + 2)
    assert contents(home) == before
    again = open_store(home)
    with again.change(actor, "it takes changes") as change:
        change.record(_event(size))
    assert verify(again).kind == VerificationKind.INTACT
    again.close()


def test_numbers_go_on_after_those_that_came(filled: Store, beyond: Settings, actor: Actor) -> None:
    with filled.read() as connection:
        highest = connection.execute(text("SELECT max(id) FROM tracking_metrics")).scalar_one()
    move(filled, beyond, actor=actor, because=BECAUSE, told=silent)
    new = "INSERT INTO tracking_metrics (run_id, key, points, step, at_us) SELECT id, 'new', 1, 1, 1 FROM tracking_runs"
    moved = open_store(beyond)
    with moved.database.write() as connection:
        assert connection.execute(text(f"{new} LIMIT 1 RETURNING id")).scalar_one() == highest + 1
    moved.close()


def test_what_holds_something_is_not_overwritten(
    filled: Store, beyond: Settings, tmp_path: Path, actor: Actor, fill: Callable
) -> None:
    other = open_store(msgspec.structs.replace(beyond, home=str(tmp_path / "other")))
    fill(other, 3)
    with pytest.raises(HoldsSomething, match="3 events"):
        move(filled, beyond, actor=actor, because=BECAUSE, told=silent)
    assert verify(other).events == 3
    other.close()
    with filled.change(actor, "the source was not closed") as change:
        change.record(_event(0))


def test_a_damaged_blob_stops_a_move_before_anything_is_closed(filled: Store, beyond: Settings, actor: Actor) -> None:
    blob = next(filled.blobs.listed())
    filled.blobs.local_path(blob.digest).write_bytes(b"x" * blob.size_bytes)
    with pytest.raises(Damaged):
        move(filled, beyond, actor=actor, because=BECAUSE, told=silent)
    with filled.change(actor, "the source was not closed") as change:
        change.record(_event(0))
    with pytest.raises(Closed, match="not complete"):
        open_store(beyond)


def test_a_store_that_was_moved_takes_changes_again_when_somebody_says_why(
    filled: Store, beyond: Settings, actor: Actor
) -> None:
    move(filled, beyond, actor=actor, because=BECAUSE, told=silent)
    assert "postgresql" in reopen_here(filled, actor=actor, because="the other one burnt")
    (told,) = events(filled, type="store.reopened")
    assert told.because == "the other one burnt"
    with filled.change(actor, "it takes changes") as change:
        change.record(_event(0))
    # Two ledgers go on from here under one name, and who has seen the other one says so.
    assert "the events" in verify(filled).what
    with pytest.raises(Conflict, match="is open"):
        reopen_here(filled, actor=actor, because="once more")


def test_a_move_that_cannot_be_finished_is_called_off(
    filled: Store, beyond: Settings, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("the target does not answer", where="here", why="It is away.", next="wait")

    monkeypatch.setattr("trimtab.store.moving.fill", away)
    with pytest.raises(Unavailable):
        move(filled, beyond, actor=actor, because=BECAUSE, told=silent)
    with pytest.raises(Closed, match="is being moved"), filled.change(actor):
        raise AssertionError("let in")
    elsewhere = msgspec.structs.replace(beyond, blobs="s3://elsewhere")
    with pytest.raises(Closed, match="is being moved"):
        move(filled, elsewhere, actor=actor, because=BECAUSE, told=silent)
    reopen_here(filled, actor=actor, because="not today")
    assert verify(filled).kind == VerificationKind.INTACT


KILLED = """
import os, signal, sys, msgspec
from trimtab.kernel import Actor, Conflict, Settings, Unavailable
from trimtab.store import carrying, move, moving, open_store

here, there = (msgspec.json.decode(text, type=Settings) for text in sys.argv[1:3])
at, left = sys.argv[3], int(sys.argv[4])

def counted(function):
    def run(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)
    return run

match at:
    case "blobs":
        carrying._carried = counted(carrying._carried)
    case "tables":
        carrying._copy = counted(carrying._copy)
    case "steps":
        for name in STEPS:
            setattr(moving, name, counted(getattr(moving, name)))
move(open_store(here), there, actor=Actor("tester"), because="we grow", told=lambda *_: None)
"""
STEPS = ("make_ready", "copy_blobs", "_close", "fill", "_opened_there", "verify")
KILLS = [
    *(("blobs", 0), ("blobs", 9)),
    *(("steps", n) for n in range(4)),  # until the source is closed
    *(("tables", 0), ("tables", 30)),
    *(("steps", n) for n in (4, 0, 1, 2)),  # when everything has arrived
]
"""Each goes on where the one before was killed."""


def test_a_killed_move_goes_on_and_is_never_half_taken_for_whole(filled: Store, beyond: Settings, actor: Actor) -> None:
    home = filled.settings
    before, size = contents(home), verify(filled).events
    given = [msgspec.json.encode(settings).decode() for settings in (home, beyond)]
    for at, left in KILLS:
        program = KILLED.replace("STEPS", repr(STEPS))
        done = subprocess.run(
            [sys.executable, "-c", program, *given, at, str(left)], capture_output=True, text=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, (at, left, done.stderr)
        assert not (takes_changes(home) and takes_changes(beyond)), (at, left)
    assert not takes_changes(home)
    assert takes_changes(beyond)
    found = move(filled, beyond, actor=actor, because=BECAUSE, told=silent)
    assert (found.kind, found.events) == (VerificationKind.INTACT, size + 1)
    assert contents(beyond) == before
    with pytest.raises(Closed, match="was moved"):
        move(filled, beyond, actor=actor, because=BECAUSE, told=silent)


def takes_changes(settings: Settings) -> bool:
    try:
        store = open_store(settings)
    except Closed:
        return False
    try:
        with store.journal():
            return True
    except Closed:
        return False
    finally:
        store.close()


def _event(n: int) -> object:
    from tests.store.conftest import ThingMade

    return ThingMade(thing=f"after-{n}", n=n)
