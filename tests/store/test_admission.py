"""A running program stops writing when its database is migrated or closed under it, and says why."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Table, text
from tests.waiting import wait_until

from trimtab.kernel import Actor
from trimtab.store import Closed, Database, SchemaChanged, Store, open_store
from trimtab.store.admission import Closing, alone, close, reopen
from trimtab.store.opened import url_of

ELSEWHERE = Closing("moved", "postgresql://far/away", "trimtab.ledger/x", "2013-03-01T00:00:00+00:00")


@pytest.fixture
def outside(store: Store) -> Database:
    """The same database, as another program that looks at no mark has it open."""
    database = Database(url_of(store.settings))
    yield database
    database.dispose()


def migrate(database: Database) -> None:
    with database.write() as connection:
        alone(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '9000_next'"))


def put_back(database: Database, store: Store) -> None:
    with database.write() as connection:
        known = {"known": store.database.admission.revision}
        connection.execute(text("UPDATE alembic_version SET version_num = :known"), known)


def test_an_older_program_stops_writing_and_says_why(
    store: Store, outside: Database, things: Table, make: Callable[..., None], actor: Actor
) -> None:
    with store.change(actor) as change:
        make(change, "before")
    migrate(outside)
    for writing in (lambda: store.change(actor), store.journal):
        with pytest.raises(SchemaChanged) as caught, writing() as begun:
            begun.connection.execute(things.select())  # with the first statement at the latest
        assert "9000_next" in caught.value.why
        assert "start it with the version that migrated" in caught.value.next
    with store.read() as connection:
        assert connection.execute(things.select()).all() == [("before", 0)], "reading goes on"
    put_back(outside, store)
    with store.change(actor) as change:
        make(change, "after")


@pytest.mark.parametrize("state", ["moved", "leaving"])
def test_a_closed_database_takes_no_changes_and_says_where_it_went(
    state: str, store: Store, outside: Database, things: Table, make: Callable[..., None], actor: Actor
) -> None:
    with outside.write() as connection:
        close(connection, Closing(state, ELSEWHERE.other, store.origin, ELSEWHERE.at))
    for writing in (lambda: store.change(actor), store.journal):
        with pytest.raises(Closed) as caught, writing() as begun:
            begun.connection.execute(things.select())
        assert "postgresql://far/away" in caught.value.why
        assert "--reopen" in caught.value.next
    again = open_store(store.settings)  # to look at it
    with pytest.raises(Closed), again.change(actor) as change:
        make(change, "let in")
    again.close()
    with outside.write() as connection:
        reopen(connection)
    with store.change(actor) as change:
        make(change, "after")


def test_a_program_whose_database_was_closed_ends_without_a_complaint(
    store: Store, outside: Database, fill: Callable
) -> None:
    other = open_store(store.settings)
    fill(other, 3, durable=False)
    migrate(outside)
    other.close()
    put_back(outside, store)


def test_a_database_that_is_not_complete_is_not_opened(store: Store, outside: Database) -> None:
    with outside.write() as connection:
        close(connection, Closing("arriving", "sqlite at home", "trimtab.ledger/x", ELSEWHERE.at))
    with pytest.raises(Closed, match="not complete") as caught:
        open_store(store.settings)
    assert "sqlite at home" in caught.value.why


def test_who_closes_a_database_waits_for_who_writes(
    store: Store, outside: Database, things: Table, make: Callable[..., None], actor: Actor
) -> None:
    def closing() -> None:
        with outside.write() as connection:
            close(connection, ELSEWHERE)

    with ThreadPoolExecutor(1) as pool:
        with store.change(actor) as change:
            make(change, "first")
            done = pool.submit(closing)
            wait_until(done.running, "it has begun")
            with pytest.raises(TimeoutError):
                done.result(0.2)
        done.result()
    with store.read() as connection:
        assert connection.execute(things.select()).all() == [("first", 0)]
    with pytest.raises(Closed), store.change(actor) as change:
        make(change, "let in")
    with outside.write() as connection:
        reopen(connection)
