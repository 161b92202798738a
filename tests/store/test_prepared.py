"""Statements that PostgreSQL knows by name: values arrive as they were, and what was forgotten is learnt again."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, select, text
from tests.store.conftest import ThingMade, tables, thing_table

from trimtab.kernel import Actor, Settings, VirtualClock
from trimtab.store import Change, Database, NoEvent, SchemaChanged, Store, events, open_store
from trimtab.store.prepared import Prepared, cells, send

ECHO = Prepared("test_echo", "SELECT $1, $2, encode($3, 'hex'), $4", "text, bigint, bytea, double precision")


@pytest.fixture
def things(postgres_store: Store) -> Table:
    with postgres_store.database.write() as connection:
        tables.create_all(connection)
    return thing_table


@pytest.fixture
def postgres_store(postgres_url: str, tmp_path: Any, clock: VirtualClock) -> Iterator[Store]:
    store = open_store(Settings(home=str(tmp_path / "home"), database=postgres_url), clock=clock)
    yield store
    store.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",))) | st.none(),
    st.integers(-(2**63), 2**63 - 1) | st.none(), st.binary() | st.none(), st.floats() | st.none(),
)  # fmt: skip
def test_values_arrive_as_they_were(
    postgres_store: Store, words: str | None, number: int | None, data: bytes | None, share: float | None
) -> None:
    with postgres_store.database.by_hand() as connection:
        driver: Any = connection.connection.driver_connection
        answer = cells(send(driver, ECHO(words, number, data, share))[0])[0]
    said = [value and value.decode() for value in answer]
    assert (said[0] or words, said[1]) == (words, None if number is None else str(number))
    assert (said[0] is None) == (words is None)
    assert said[2] == (None if data is None else data.hex()) or (not data and not said[2])
    came = None if said[3] is None else float(said[3])
    assert came == share or (share is not None and came is not None and math.isnan(share) and math.isnan(came))


@pytest.mark.parametrize(
    ("value", "error"), [("a\0b", psycopg.DataError), (["a"], TypeError), (bytearray(b"x"), TypeError)]
)
def test_what_would_arrive_as_something_else_is_refused(postgres_store: Store, value: Any, error: type) -> None:
    with postgres_store.database.by_hand() as connection:
        driver: Any = connection.connection.driver_connection
        with pytest.raises(error):
            send(driver, ECHO(value, None, None, None))


@pytest.mark.parametrize("row", [{"id": "there", "n": 1}, {"id": "a\0b", "n": 1}])
def test_who_catches_the_error_of_a_row_records_nothing_without_it(
    postgres_store: Store, things: Table, actor: Actor, row: dict[str, Any]
) -> None:
    with postgres_store.change(actor) as change:
        change.insert(things, {"id": "there", "n": 1})
        change.record(thing_made(1))
    with pytest.raises(psycopg.Error), postgres_store.change(actor) as change:
        insert_and_catch(change, things, row)
    assert len(events(postgres_store)) == 1


def insert_and_catch(change: Change, things: Table, row: dict[str, Any]) -> None:
    change.insert(things, row)
    with suppress(psycopg.Error):
        change.connection.execute(select(things)).all()
    change.record(thing_made(2))


def test_the_first_statement_that_fails_is_told_and_none_after_it_is_done(postgres_store: Store) -> None:
    with postgres_store.database.by_hand() as connection:
        driver: Any = connection.connection.driver_connection
        with pytest.raises(psycopg.errors.DivisionByZero):
            send(
                driver,
                "CREATE TEMPORARY TABLE left_over (n int)",
                "SELECT 1 / 0",
                "CREATE TEMPORARY TABLE more (n int)",
            )
        assert cells(send(driver, "SELECT to_regclass('left_over'), to_regclass('more')")[0]) == [(None, None)]


def test_a_connection_that_forgot_its_statements_learns_them_again(
    postgres_store: Store, things: Table, fill: Callable, actor: Actor
) -> None:
    """The driver lets the server forget everything that was prepared, after a transaction in which it had prepared."""
    for n in range(4):
        fill(postgres_store, 1)
        with pytest.raises(NoEvent), postgres_store.change(actor) as change:
            ask_and_insert(change, things, str(n))
        with postgres_store.change(actor) as change:
            ask_and_insert(change, things, f"kept {n}")
            change.record(thing_made(n))
    with postgres_store.read() as connection:
        assert sorted(connection.execute(select(things.c.id)).scalars()) == [f"kept {n}" for n in range(4)]


def ask_and_insert(change: Change, things: Table, id_: str) -> None:
    for _ in range(8):  # so often that the driver prepares it
        change.connection.execute(select(things)).all()
    change.insert(things, {"id": id_, "n": 1})


def thing_made(n: int) -> Any:
    return ThingMade(thing=str(n), n=n)


def test_an_insert_into_another_schema_says_that_it_is_another(
    postgres_store: Store, things: Table, actor: Actor
) -> None:
    outside = Database(postgres_store.settings.database)
    with outside.write() as connection:
        known = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("UPDATE alembic_version SET version_num = '9000_next'"))
        connection.execute(text("ALTER TABLE test_things RENAME COLUMN n TO m"))
    caught = None
    try:
        with postgres_store.change(actor) as change:
            change.insert(things, {"id": "a", "n": 1})
            change.record(thing_made(1))
    except SchemaChanged as error:
        caught = error
    with outside.write() as connection:
        connection.execute(text("ALTER TABLE test_things RENAME COLUMN m TO n"))
        connection.execute(text("UPDATE alembic_version SET version_num = :known"), {"known": known})
    outside.dispose()
    assert caught is not None
    with postgres_store.change(actor) as change:
        change.insert(things, {"id": "a", "n": 1})
        change.record(thing_made(1))


def test_an_insert_is_there_for_the_next_statement_and_its_error_comes_with_it(
    postgres_store: Store, things: Table, actor: Actor
) -> None:
    with postgres_store.change(actor) as change:
        change.insert(things, {"id": "a", "n": 1})
        assert change.connection.execute(select(things)).all() == [("a", 1)]
        change.insert(things, {"id": "b", "n": 2})
        change.record(thing_made(1))
    for asked in (True, False):
        with pytest.raises(psycopg.errors.UniqueViolation), postgres_store.change(actor) as change:
            insert_twice(change, things, asked=asked)
    with postgres_store.read() as connection:
        assert connection.execute(select(things).order_by(things.c.id)).all() == [("a", 1), ("b", 2)]
    assert len(events(postgres_store)) == 1


def insert_twice(change: Change, things: Table, *, asked: bool) -> None:
    change.insert(things, {"id": "c", "n": 3})
    change.insert(things, {"id": "a", "n": 3})
    if asked:
        change.connection.execute(select(things)).all()
    change.record(thing_made(3))


def test_who_waits_is_served_when_the_one_who_leads_fails(postgres_store: Store, actor: Actor) -> None:
    """The lead goes on to whoever waits, whatever becomes of the one who had it."""
    ledger = postgres_store._ledger
    original, failed = ledger._serve, []

    def failing(ticket: Any) -> None:
        if not failed:
            failed.append(True)
            raise KeyboardInterrupt
        original(ticket)

    def write(n: int) -> int:
        with postgres_store.change(actor) as change:
            change.record(thing_made(n))
        assert change.receipt is not None
        return change.receipt.position

    ledger._serve = failing
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(write, n) for n in range(4)]
        found = [one.exception(30) or one.result() for one in done]
    assert sum(isinstance(one, KeyboardInterrupt) for one in found) == 1
    places = [one for one in found if isinstance(one, int)]
    assert len(places) == 3
    assert set(places) <= set(range(4)), "the events of the one who failed have their place too"
    assert write(5) == 4
