"""The one door for state: no event, no commit."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import BigInteger, Column, Double, MetaData, String, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from trimtab.data.tables import data_sources
from trimtab.kernel import Actor, Invalid, VirtualClock
from trimtab.store import (
    JOURNAL,
    AlreadyDone,
    Change,
    Checkpoint,
    NestedChange,
    NoEvent,
    Store,
    Subject,
    events,
    metadata,
    verify,
)


def rows(store: Store, table: Table) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(select(table.c.id).order_by(table.c.id)).scalars())


def spoil(change: Change, make: Callable) -> None:
    make(change, "a")
    raise ZeroDivisionError


def nest(store: Store, actor: Actor, make: Callable) -> None:
    with store.change(actor) as change:
        make(change, "a")
        with store.change(actor):
            pass


def test_rows_and_event_are_committed_together(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    with store.change(actor, "because I say so") as change:
        make(change, "a")
        assert rows(store, things) == []
    assert rows(store, things) == ["a"]
    (event,) = events(store)
    assert (event.position, event.actor, event.because) == (0, actor, "because I say so")
    assert (event.type, event.version, event.data) == ("test.thing-made", 1, {"thing": "a", "n": 0})
    assert event.subjects[0] == Subject("thing", "a")
    assert event.at == datetime(2013, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("statement", [insert, update, delete])
def test_a_change_without_an_event_leaves_nothing(
    store: Store, actor: Actor, things: Table, make: Callable, statement: Callable
) -> None:
    with store.change(actor) as change:
        make(change, "kept")
    values = {"id": "other"} if statement is not delete else {}
    with pytest.raises(NoEvent) as caught, store.change(actor) as change:
        change.execute(statement(things).values(values) if values else statement(things))
    assert caught.value.where == "table test_things"
    assert rows(store, things) == ["kept"]
    assert len(events(store)) == 1


def test_an_error_in_the_block_leaves_nothing(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    with pytest.raises(ZeroDivisionError), store.change(actor) as change:
        spoil(change, make)
    assert rows(store, things) == []
    assert events(store) == []
    assert verify(store).exit_code == 0


def test_a_change_whose_commit_fails_leaves_nothing_and_the_next_one_succeeds(
    store: Store, actor: Actor, things: Table, make: Callable
) -> None:
    """As on a full disk: all is written, and then the database refuses to keep it."""
    (constraint,) = data_sources.foreign_key_constraints
    later = (
        "PRAGMA defer_foreign_keys = ON"
        if store.database.is_sqlite
        else f"ALTER TABLE data_sources ALTER CONSTRAINT {constraint.name} DEFERRABLE INITIALLY DEFERRED"
    )

    def fail() -> None:
        with store.change(actor) as change:
            make(change, "b")
            change.connection.exec_driver_sql(later)
            change.execute(insert(data_sources), {"source": "s", "snapshot_id": "none", "taken_at": "2013-03-01"})

    with store.change(actor) as change:
        make(change, "a")
    with pytest.raises((psycopg.IntegrityError, sqlite3.IntegrityError)):
        fail()
    with store.change(actor) as change:
        make(change, "c")
    assert rows(store, things) == ["a", "c"]
    assert [event.position for event in events(store)] == [0, 1]
    assert verify(store).kind == "intact"


def test_a_change_that_does_nothing_is_nothing(store: Store, actor: Actor) -> None:
    with store.change(actor) as change:
        pass
    assert change.receipt is None


def test_the_receipt_tells_position_and_checkpoint(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    with store.change(actor) as change:
        make(change, "a")
        make(change, "b")
    assert change.receipt is not None
    assert change.receipt.position == 1
    assert Checkpoint.parse(change.receipt.checkpoint).size == 2
    assert [event.data["thing"] for event in events(store)] == ["a", "b"]


def test_events_may_be_recorded_without_rows(store: Store, actor: Actor, thing_made: type) -> None:
    with store.change(actor) as change:
        change.record(thing_made(thing="a", n=1))
    assert change.receipt is not None


def test_a_key_makes_a_change_happen_once(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    for id_ in ("a", "b"):
        with store.change(actor, key=f"import-{id_}") as change:
            make(change, id_)
            make(change, id_ + "2")
    with pytest.raises(AlreadyDone) as caught, store.change(actor, key="import-b") as change:
        pytest.fail("the block must not begin")
    assert caught.value.data == {"position": 2}
    assert "2" in caught.value.why
    assert rows(store, things) == ["a", "a2", "b", "b2"]
    assert [event.idempotency_key for event in events(store)] == ["import-a", None, "import-b", None]


def test_a_key_of_a_failed_change_is_free(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    with pytest.raises(ZeroDivisionError), store.change(actor, key="k") as change:
        spoil(change, make)
    with store.change(actor, key="k") as change:
        make(change, "b")
    assert rows(store, things) == ["b"]


def test_of_many_with_one_key_one_wins(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    positions: list[object] = []

    def attempt(n: int) -> bool:
        try:
            with store.change(actor, key="the only one") as change:
                make(change, f"{n}")
        except AlreadyDone as error:
            positions.append(error.data["position"])
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(attempt, range(12)))
    assert won.count(True) == 1
    assert positions == [0] * 11
    assert rows(store, things) == [str(won.index(True))]


def test_changes_of_many_threads_all_arrive(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    def write(writer: int) -> list[int]:
        positions = []
        for n in range(20):
            with store.change(actor, durable=bool(n % 2)) as change:
                make(change, f"{writer}-{n}")
                make(change, f"{writer}-{n}b")
            assert change.receipt is not None
            positions.append(change.receipt.position)
        return positions

    with ThreadPoolExecutor(4) as pool:
        positions = list(pool.map(write, range(4)))
    assert all(part == sorted(part) for part in positions)
    # Every change has two events, side by side, and its receipt names the second one.
    assert sorted(position for part in positions for position in part) == list(range(1, 160, 2))
    recorded = events(store, limit=1000)
    assert [event.data["thing"] + "b" for event in recorded[::2]] == [event.data["thing"] for event in recorded[1::2]]
    for writer, part in enumerate(positions):
        assert [recorded[position].data["thing"] for position in part] == [f"{writer}-{n}b" for n in range(20)]
    store.checkpoint()
    assert verify(store).exit_code == 0


def test_a_change_inside_a_change_is_refused(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    with pytest.raises(NestedChange):
        nest(store, actor, make)
    with pytest.raises(NestedChange), store.change(actor), store.journal():
        pass
    with store.change(actor) as change:
        make(change, "b")
    assert rows(store, things) == ["b"]


def test_a_journal_writes_journal_tables_only(store: Store, actor: Actor, things: Table) -> None:
    with pytest.raises(NoEvent), store.journal() as journal:
        journal.execute(insert(things), {"id": "a"})
    assert rows(store, things) == []
    with pytest.raises(NoEvent), store.journal() as journal:
        journal.insert_many(things, [("a",)])
    assert rows(store, things) == []
    journals = [table for table in metadata.tables.values() if table.info.get("journal")]
    for table in journals:
        with store.journal() as journal:
            journal.execute(delete(table))


def test_many_rows_of_a_journal_table_are_written_as_they_are(store: Store) -> None:
    columns = (Column("key", String(8), primary_key=True), Column("number", Double), Column("count", BigInteger))
    table = Table("test_many", MetaData(), *columns, info=JOURNAL)
    with store.database.write() as connection:
        table.create(connection)
    try:
        given = [("b", 0.1, 1 << 40), ("a%s", None, -1), ("c:x", float("inf"), 0)]
        with store.journal() as journal:
            journal.insert_many(table, given)
            journal.insert_many(table, [])
        with store.read() as connection:
            assert sorted(tuple(row) for row in connection.execute(select(table))) == sorted(given)
        with pytest.raises(IntegrityError), store.journal() as journal:
            journal.insert_many(table, [("d", 1.0, 1), ("b", 1.0, 1)])
        with store.read() as connection:
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 3
    finally:
        with store.database.write() as connection:
            table.drop(connection)


@pytest.mark.parametrize("name", ["actor", "key", "subject", "zero"])
def test_what_does_not_fit_is_refused(store: Store, actor: Actor, thing_made: type, name: str) -> None:
    who = Actor("x" * 201) if name == "actor" else actor
    key = "x" * 201 if name == "key" else None
    thing = {"subject": "x" * 201, "zero": "a\x00b"}.get(name, "a")
    with pytest.raises(Invalid) as caught, store.change(who, key=key) as change:
        change.record(thing_made(thing=thing, n=1))
    assert "characters" in caught.value.why
    assert events(store) == []


def test_text_comes_back_as_it_was(store: Store, actor: Actor, thing_made: type) -> None:
    because = 'naïve “quotes” \\ " \n\t\x00 \x7f \U0001f6eb ü'
    with store.change(actor, because) as change:
        change.record(thing_made(thing="ttügge", n=-(2**53) + 1))
    (event,) = events(store)
    assert event.because == because
    assert event.data == {"thing": "ttügge", "n": -(2**53) + 1}
    assert verify(store).exit_code == 0


def test_time_comes_from_the_stores_clock(store: Store, actor: Actor, clock: VirtualClock, thing_made: type) -> None:
    clock.sleep(3600.25)
    with store.change(actor) as change:
        assert change.at == clock.now()
        change.record(thing_made(thing="a", n=1))
    assert events(store)[0].at == clock.now()
