"""Verification finds every change, names the first bad position, and says what it cannot prove."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from trimtab.kernel import Actor, Settings, VirtualClock
from trimtab.store import Event, HistoryMissing, Store, Subject, VerificationKind, Witness, open_store, verify
from trimtab.store.ledger.authentic import Authenticity
from trimtab.store.ledger.notes import SigningKey
from trimtab.store.ledger.records import pending_of
from trimtab.store.opened import url_of
from trimtab.store.tables import ledger_checkpoints, ledger_events, ledger_head

SIZE = 600


def tamper(store: Store, *statements: str) -> None:
    with store.database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def forget(store: Store) -> None:
    """Do what an attacker does who can write everything but has no key: remove the traces in the home."""
    for file in (store.settings.home_path / "witness").glob("*"):
        file.unlink()


def test_an_empty_ledger_is_intact(store: Store) -> None:
    found = verify(store)
    assert (found.kind, found.exit_code, found.events, found.first_bad) == (VerificationKind.INTACT, 0, 0, None)


def test_an_untouched_ledger_is_intact(store: Store, fill: Callable) -> None:
    fill(store, SIZE, each=200)
    fill(store, 3, each=1)
    seen: list[int] = []
    found = verify(store, progress=seen.append)
    assert found.kind is VerificationKind.INTACT
    assert found.what == f"the ledger is intact: {SIZE + 3} events"
    assert found.unproved == ()
    assert (found.events, found.origin, seen[-1]) == (SIZE + 3, store.origin, SIZE + 3)


# What is done to the ledger, and the first position that verify must name.
ATTACKS = {
    "body": ("UPDATE ledger_events SET body = replace(body, 'filling', 'cheating') WHERE position = 300", 300),
    "leaf": (
        "UPDATE ledger_events SET leaf = (SELECT leaf FROM ledger_events WHERE position = 1) WHERE position = 7",
        7,
    ),
    "actor": ("UPDATE ledger_events SET actor = 'somebody' WHERE position = 599", 599),
    "time": ("UPDATE ledger_events SET at = '2013-03-02T00:00:00+00:00' WHERE position = 0", 0),
    "type": ("UPDATE ledger_events SET type = 'test.other' WHERE position = 44", 44),
    "id": ("UPDATE ledger_events SET id = '00000000000000000000000000' WHERE position = 5", 5),
    "key": ("UPDATE ledger_events SET idempotency_key = 'k' WHERE position = 6", 6),
    "removed": ("DELETE FROM ledger_events WHERE position = 256", 256),
    "moved": ("UPDATE ledger_events SET position = 5000 WHERE position = 599", 599),
    "subject": ("UPDATE ledger_subjects SET id = 'nothing' WHERE position = 12 AND kind = 'thing'", 12),
    "subject removed": ("DELETE FROM ledger_subjects WHERE position = 13", 13),
    "subject added": ("INSERT INTO ledger_subjects (position, kind, id) VALUES (14, 'thing', 'x')", 14),
    "subject of nothing": ("INSERT INTO ledger_subjects (position, kind, id) VALUES (9999, 'thing', 'x')", 9999),
    "size": ("UPDATE ledger_head SET size = 599", None),
    "frontier": ("UPDATE ledger_head SET frontier = (SELECT leaf FROM ledger_events WHERE position = 1)", None),
    "tile": (
        "UPDATE ledger_tiles SET root = (SELECT leaf FROM ledger_events WHERE position = 1) WHERE number = 1",
        None,
    ),
    "tile removed": ("DELETE FROM ledger_tiles WHERE number = 0", None),
    "checkpoint": ("UPDATE ledger_checkpoints SET note = replace(note, 'A', 'B')", None),
    "checkpoint's size": ("UPDATE ledger_checkpoints SET size = size - 1", None),
    "checkpoint's key": ("UPDATE ledger_checkpoints SET key = 'none'", None),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_changed_row_is_found(store: Store, fill: Callable, attack: str) -> None:
    statement, position = ATTACKS[attack]
    fill(store, SIZE, each=300)
    tamper(store, statement)
    found = verify(store)
    assert (found.kind, found.exit_code) == (VerificationKind.TAMPERED, 1)
    assert found.first_bad == position
    assert found.what


# Rows of a kind that Trimtab never writes, which SQLite takes all the same.
ODD = {
    "bytes for a body": ("UPDATE ledger_events SET body = x'ff00' WHERE position = 5", 5),
    "a body that is no UTF-8": ("UPDATE ledger_events SET body = CAST(x'ff41' AS TEXT) WHERE position = 300", 300),
    "an id that is no UTF-8": ("UPDATE ledger_subjects SET id = CAST(x'ff' AS TEXT) WHERE position = 12", 12),
    "a size that is no number": ("UPDATE ledger_head SET size = 'many'", None),
    "two heads": ("INSERT INTO ledger_head SELECT 2, origin, size, frontier FROM ledger_head", None),
    "bytes for a checkpoint": ("UPDATE ledger_checkpoints SET note = x'ff'", None),
    "no tiles": ("DROP TABLE ledger_tiles", None),
    "no subjects": ("DROP TABLE ledger_subjects", None),
}


@pytest.mark.parametrize("attack", ODD)
def test_rows_that_are_never_written_are_found(sqlite_store: Store, fill: Callable, attack: str) -> None:
    statement, position = ODD[attack]
    fill(sqlite_store, SIZE, each=300)
    tamper(sqlite_store, statement)
    found = verify(sqlite_store)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, position)


def test_the_last_bits_of_a_signature_count(store: Store, fill: Callable) -> None:
    """Base64 of 68 bytes leaves two bits over; another spelling of the same bytes is a changed byte all the same."""
    fill(store, 5)
    with store.read() as connection:
        note = connection.execute(select(ledger_checkpoints.c.note)).scalar_one()
    assert note.endswith("=\n")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = note[:-3] + letters[letters.index(note[-3]) ^ 1] + note[-2:]
    with store.database.write() as connection:
        connection.execute(ledger_checkpoints.update().values(note=other))
    assert verify(store).kind is VerificationKind.TAMPERED


def test_on_postgresql_the_head_is_where_the_events_end(postgres_url: str, home: Path, fill: Callable) -> None:
    """There each batch is signed, so that nothing follows the head: whoever sets it back is found."""
    store = open_store(Settings(home=str(home), database=postgres_url))
    fill(store, 5)
    with store.read() as connection:
        size, frontier = connection.execute(select(ledger_head.c.size, ledger_head.c.frontier)).one()
    fill(store, 5)
    with store.database.write() as connection:
        connection.execute(ledger_head.update().values(size=size, frontier=frontier))
        connection.execute(ledger_checkpoints.delete().where(ledger_checkpoints.c.size > size))
    found = verify(store)
    assert found.kind is VerificationKind.TAMPERED
    assert found.what.startswith(("there are 10 events where there should be 5", "the ledger ends after"))
    store.database.dispose()


EVERYTHING = ("ledger_events", "ledger_subjects", "ledger_tiles", "ledger_checkpoints", "ledger_head")


def test_another_ledger_in_its_place_is_not_taken_for_it(
    store: Store, fill: Callable, clock: VirtualClock, tmp_path: Path
) -> None:
    """A ledger names itself: with its rows the name is gone that the home's memory goes by."""
    fill(store, 40)
    tamper(store, *(f"DELETE FROM {table}" for table in EVERYTHING))
    with pytest.raises(HistoryMissing, match="had a history"):
        open_store(store.settings, clock=clock)
    stranger = open_store(Settings(home=str(tmp_path / "stranger"), database=url_of(store.settings)), clock=clock)
    assert stranger.origin != store.origin
    fill(stranger, 5)
    stranger.close()
    shutil.copytree(tmp_path / "stranger" / "keys", store.settings.home_path / "keys", dirs_exist_ok=True)
    other = open_store(store.settings, clock=clock)
    fill(other, 5)
    found = verify(other)
    assert (found.kind, found.events) == (VerificationKind.NOT_PROVABLE, 10)
    assert f"that {store.origin}, which had 40 events, was not taken away" in found.unproved[0]
    (store.settings.home_path / "witness" / other.witness.place_name(other.place)).unlink()
    other.close()
    again = open_store(store.settings, clock=clock)
    assert verify(again).kind is VerificationKind.INTACT
    again.close()


def test_a_damaged_memory_is_no_reason_to_refuse(sqlite_store: Store, fill: Callable) -> None:
    fill(sqlite_store, 5)
    for file in (sqlite_store.settings.home_path / "witness").glob("trimtab*"):
        file.write_bytes(b'\xff{\n{"note": 5}\n{"note": "x"}\n{"key": "x"}\n[]\n{"no')
    found = verify(sqlite_store)
    assert found.kind is VerificationKind.INTACT
    assert "that no events at all were cut off" in found.unproved[0]
    assert fill(sqlite_store, 1).position == 5
    assert verify(sqlite_store).unproved == ()


def cheat(_position: int, body: str) -> str:
    return body.replace('"filling"', '"cheating"')


def rebuild(
    store: Store, write: Callable[[int, str], str] = cheat, *, until: int | None = None, sign: bool = False
) -> None:
    """Write a whole other history, right in itself: new bodies, leaves, tiles, head and, with the key, checkpoints."""
    with store.read() as connection:
        bodies = list(connection.execute(select(ledger_events.c.body).order_by(ledger_events.c.position)).scalars())
    emptied = ("ledger_events", "ledger_subjects", "ledger_tiles", "ledger_checkpoints")
    nothing = "X''" if store.database.is_sqlite else "''"
    tamper(
        store, *(f"DELETE FROM {table}" for table in emptied), f"UPDATE ledger_head SET size = 0, frontier = {nothing}"
    )
    events = [pending_of(write(position, body).encode()) for position, body in enumerate(bodies[:until])]
    elsewhere = Authenticity(store.origin, store.keys, Witness(store.settings.home_path / "elsewhere"))
    ledger = type(store._ledger)(store.database, elsewhere)
    with store.database.write() as connection:
        acknowledge = ledger.enter(connection, events, durable=sign)
    acknowledge()
    if not sign:
        tamper(store, "DELETE FROM ledger_checkpoints", "UPDATE ledger_events SET code = NULL, ruled_before = NULL")


def test_another_history_is_found_by_who_remembers(store: Store, fill: Callable) -> None:
    fill(store, 100, each=50)
    rebuild(store)
    found = verify(store)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, 0)
    assert "this client's memory" in found.what


def test_another_history_without_a_key_is_not_believed(store: Store, fill: Callable) -> None:
    fill(store, 100)
    rebuild(store)
    forget(store)
    found = verify(store)
    assert (found.kind, found.exit_code) == (VerificationKind.NOT_PROVABLE, 2)
    assert "100 of them are under no known signature" in found.what
    assert any("were cut off" in line for line in found.unproved)


def test_a_history_signed_with_a_stolen_key_is_found_by_who_remembers(store: Store, fill: Callable) -> None:
    receipt = fill(store, 100, each=50)
    rebuild(store, sign=True)
    assert verify(store).kind is VerificationKind.TAMPERED
    forget(store)
    fooled = verify(store)
    assert fooled.kind is VerificationKind.INTACT
    # ... but not the one who kept a receipt.
    found = verify(store, checkpoints=[receipt.checkpoint])
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, 0)
    assert "a checkpoint that you gave" in found.what


def test_a_cut_ledger_is_found_by_who_remembers(store: Store, fill: Callable) -> None:
    fill(store, 300, each=100)
    rebuild(store, lambda _, body: body, until=200, sign=True)
    found = verify(store)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, 200)
    assert "the last 100 were cut off" in found.what
    forget(store)
    found = verify(store)
    assert found.kind is VerificationKind.INTACT
    assert "that no events at all were cut off its end" in found.unproved[0]


def test_a_change_between_two_known_sizes_is_narrowed_down(store: Store, fill: Callable) -> None:
    fill(store, 150, each=50)
    rebuild(store, lambda position, body: cheat(position, body) if position == 120 else body)
    found = verify(store)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, 100)
    assert "events 100 to 149" in found.what


def test_what_is_not_signed_yet_is_not_proved(sqlite_store: Store, fill: Callable) -> None:
    fill(sqlite_store, 5)
    fill(sqlite_store, 3, durable=False)
    found = verify(sqlite_store)
    assert found.kind is VerificationKind.NOT_PROVABLE
    assert "events 5 to 7" in found.unproved[0]
    assert sqlite_store.checkpoint().size == 8
    assert verify(sqlite_store).kind is VerificationKind.INTACT


def test_every_256_events_are_signed(sqlite_store: Store, fill: Callable) -> None:
    receipt = fill(sqlite_store, 600, each=100, durable=False)
    with sqlite_store.read() as connection:
        sizes = connection.execute(select(ledger_checkpoints.c.size).order_by(ledger_checkpoints.c.size)).scalars()
        assert list(sizes) == [300, 600]
    assert receipt.position == 599


def test_closing_signs_what_was_recorded(sqlite_store: Store, fill: Callable, clock: VirtualClock) -> None:
    fill(sqlite_store, 3, durable=False)
    sqlite_store.close()
    again = open_store(sqlite_store.settings, clock=clock)
    assert verify(again).kind is VerificationKind.INTACT
    again.close()


def test_without_the_homes_memory_and_key_nothing_is_proved(store: Store, fill: Callable, tmp_path: Path) -> None:
    fill(store, 5)
    for file in (store.settings.home_path / "keys").iterdir():
        file.unlink()
    forget(store)
    found = verify(store, witness=Witness(tmp_path / "elsewhere"))
    assert found.kind is VerificationKind.NOT_PROVABLE
    assert any("nothing outside of the ledger vouches" in line for line in found.unproved)


def test_a_checkpoint_of_another_ledger_does_not_fit(store: Store, fill: Callable) -> None:
    fill(store, 5)
    other = SigningKey.make("trimtab.ledger/OTHER").checkpoint(2, b"x" * 32)
    found = verify(store, checkpoints=[other])
    assert found.kind is VerificationKind.TAMPERED
    assert "another ledger" in found.what


@pytest.mark.parametrize("wrong", [{"keys": ["none"]}, {"checkpoints": ["none"]}])
def test_what_cannot_be_used_is_a_usage_error(store: Store, fill: Callable, wrong: dict) -> None:
    fill(store, 5)
    found = verify(store, **wrong)
    assert (found.kind, found.exit_code) == (VerificationKind.USAGE, 3)


# --- any flipped bit


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small ledger, closed."""

    class Small(Event):
        type: ClassVar[str] = "test.small"
        n: int

        def subjects(self) -> tuple[Subject, ...]:
            return (Subject("small", str(self.n)),)

    home = tmp_path_factory.mktemp("filled")
    store = open_store(Settings(home=str(home)))
    for start in (0, 150, 290):
        with store.change(Actor("tester"), "filling", key=f"k{start}") as change:
            for n in range(start, start + 10 if start == 290 else start + 140):
                change.record(Small(n=n))
    store.close()
    return home


CELLS = {
    "ledger_events": ["position", "id", "at", "actor", "type", "idempotency_key", "body", "leaf"],
    "ledger_subjects": ["position", "kind", "id"],
    "ledger_head": ["origin", "size", "frontier"],
    "ledger_tiles": ["level", "number", "root"],
    "ledger_checkpoints": ["size", "note"],
}


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_of_the_database_is_found(filled: Path, tmp_path: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(list(CELLS)))
    column = data.draw(st.sampled_from(CELLS[table]))
    settings_ = Settings(home=str(filled), database=f"sqlite:///{tmp_path / 'flipped.db'}")
    (tmp_path / "flipped.db").write_bytes((filled / "trimtab.db").read_bytes())
    with closing(sqlite3.connect(tmp_path / "flipped.db", isolation_level=None)) as driver:
        rows = driver.execute(f"SELECT {', '.join(CELLS[table])} FROM {table} WHERE {column} IS NOT NULL").fetchall()
        row = data.draw(st.sampled_from(rows))
        changed = flipped(data, row[CELLS[table].index(column)])
        same_row = " AND ".join(f"{name} IS ?" for name in CELLS[table])
        driver.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {same_row}", (changed, *row))
    store = open_store(settings_)
    try:
        assert verify(store).kind is VerificationKind.TAMPERED
    finally:
        store.close()


def flipped(data: st.DataObject, value: int | str | bytes) -> int | str | bytes:
    if isinstance(value, int):
        return value ^ (1 << data.draw(st.integers(0, 40)))
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 6))
    try:
        return raw.decode() if isinstance(value, str) else bytes(raw)
    except UnicodeDecodeError:
        return bytes(raw)  # half a character: no text any more
