"""What nobody waits for is signed later: until then the head lags behind, and nothing is lost or taken for the end."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select
from tests.store.conftest import ThingMade

from trimtab.kernel import Actor, Settings, VirtualClock
from trimtab.store import (
    RowsDamaged,
    Store,
    VerificationKind,
    back_up,
    events,
    ledger_counts,
    ledger_root,
    ledger_size,
    move,
    open_store,
    restore,
    verify,
)
from trimtab.store.tables import ledger_head

KILLED = """
import os, sys
import msgspec
from tests.store.conftest import ThingMade
from trimtab.kernel import Actor, Settings
from trimtab.store import open_store
store = open_store(msgspec.json.decode(sys.argv[1], type=Settings))
for n in range(int(sys.argv[2])):
    with store.change(Actor("killed"), durable=False) as change:
        change.record(ThingMade(thing=str(n), n=n))
os.kill(os.getpid(), 9)
"""


def silent(step: str, done: int, total: int) -> None:
    del step, done, total


def head_size(store: Store) -> int:
    with store.read() as connection:
        return int(connection.execute(select(ledger_head.c.size)).scalar_one())


def left_by_killed(settings: Settings, count: int) -> None:
    command = [sys.executable, "-c", KILLED, msgspec.json.encode(settings).decode(), str(count)]
    killed = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()


@pytest.mark.parametrize("count", [1, 255, 256, 300])
def test_what_a_killed_process_had_not_signed_is_there_and_goes_on(
    store: Store, count: int, fill: Callable, clock: VirtualClock
) -> None:
    store.close()
    left_by_killed(store.settings, count)
    again = open_store(store.settings, clock=clock)
    if again.database.is_sqlite:
        assert head_size(again) == count // 256 * 256, "each 256th event is signed, and the head moves with that"
        assert ledger_counts(again) == (count, count // 256 * 256)
    assert ledger_size(again) == len(events(again, limit=1000)) == count
    root = ledger_root(again)
    assert verify(again).kind is not VerificationKind.TAMPERED
    fill(again, 1, durable=False)
    assert ledger_root(again, size=count) == root
    fill(again, 1)
    assert head_size(again) == count + 2
    assert verify(again).kind is VerificationKind.INTACT
    again.close()


def test_two_processes_that_write_by_turns_count_on_from_each_other(
    sqlite_store: Store, fill: Callable, clock: VirtualClock
) -> None:
    other = open_store(sqlite_store.settings, clock=clock)
    for _ in range(3):
        for one in (sqlite_store, other):
            fill(one, 2, each=1, durable=False)
    assert [event.position for event in events(other, limit=1000)] == list(range(12))
    assert head_size(sqlite_store) == 0
    other.close()
    assert head_size(sqlite_store) == 12
    assert verify(sqlite_store).kind is VerificationKind.INTACT


def test_what_another_one_wrote_is_seen_after_whatever_this_one_did_since(
    sqlite_store: Store, fill: Callable, actor: Actor, clock: VirtualClock
) -> None:
    """The end that a process remembers is older than what others write, also if it writes no event in between."""

    def nothing() -> None:
        with sqlite_store.change(actor):
            pass

    def journal() -> None:
        with sqlite_store.journal():
            pass

    other = open_store(sqlite_store.settings, clock=clock)
    for number, between in enumerate((journal, sqlite_store.checkpoint, nothing)):
        fill(sqlite_store, 1, durable=False)
        fill(other, 1, durable=False)
        between()
        assert fill(sqlite_store, 1, durable=False).position == number * 3 + 2
    other.close()
    assert verify(sqlite_store).kind is not VerificationKind.TAMPERED


def test_a_change_that_failed_at_its_end_leaves_no_place(sqlite_store: Store, fill: Callable, actor: Actor) -> None:
    fill(sqlite_store, 3, each=1, durable=False)
    ledger = sqlite_store._ledger
    original = ledger.enter

    def entered(*given: object, **named: object) -> object:
        original(*given, **named)
        raise OSError("the disk is full")

    ledger.enter = entered
    with pytest.raises(OSError, match="full"):
        fill(sqlite_store, 1, durable=False)
    ledger.enter = original
    fill(sqlite_store, 1, durable=False)
    fill(sqlite_store, 1)
    assert [event.position for event in events(sqlite_store, limit=1000)] == [0, 1, 2, 3, 4]
    assert verify(sqlite_store).kind is VerificationKind.INTACT


def test_an_event_that_is_missing_among_those_is_noticed(sqlite_store: Store, clock: VirtualClock) -> None:
    sqlite_store.close()
    left_by_killed(sqlite_store.settings, 5)
    again = open_store(sqlite_store.settings, clock=clock)
    with again.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM ledger_events WHERE position = 3")
    found = verify(again)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, 3)
    with pytest.raises(RowsDamaged, match="event 3 is missing"), again.change(Actor("somebody")) as change:
        change.record(ThingMade(thing="x", n=1))
    again.database.dispose()


def test_events_that_nobody_has_signed_go_along_to_postgresql(
    sqlite_store: Store, actor: Actor, postgres_url: str, emptied: Callable[[str], None], tmp_path: Path, fill: Callable
) -> None:
    sqlite_store.close()
    left_by_killed(sqlite_store.settings, 7)
    emptied(postgres_url)
    here = open_store(sqlite_store.settings)
    assert head_size(here) == 0
    backup = back_up(here, tmp_path / "backup", told=silent, with_keys=True)
    assert backup.events >= 7
    elsewhere = Settings(home=str(tmp_path / "restored"), database=postgres_url)
    restore(tmp_path / "backup", elsewhere, actor=actor, because="to see", told=silent)
    restored = open_store(elsewhere)
    fill(restored, 2)
    assert verify(restored).kind is VerificationKind.INTACT
    restored.close()
    emptied(postgres_url)
    move(here, msgspec.structs.replace(here.settings, database=postgres_url), actor=actor, because="grow", told=silent)
    here.close()
    moved = open_store(msgspec.structs.replace(sqlite_store.settings, database=postgres_url))
    fill(moved, 2)
    assert verify(moved).kind is VerificationKind.INTACT
    moved.close()
