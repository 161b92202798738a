"""What the store's tests share: a table and an event of their own, and ways to fill a ledger."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from tests.store.softhsm import softhsm

from trimtab.kernel import Actor
from trimtab.store import Event, Receipt, Store, Subject

__all__ = ["softhsm"]  # a fixture

tables = MetaData()
thing_table = Table("test_things", tables, Column("id", String(26), primary_key=True), Column("n", Integer))


class ThingMade(Event):
    type: ClassVar[str] = "test.thing-made"
    thing: str
    n: int

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("thing", self.thing), Subject("kind", "all"))


@pytest.fixture
def thing_made() -> type[ThingMade]:
    return ThingMade


@pytest.fixture
def things(store: Store) -> Iterator[Table]:
    """A table of state in the store."""
    with store.database.write() as connection:
        tables.create_all(connection)
    yield thing_table
    with store.database.write() as connection:
        tables.drop_all(connection)


Fill = Callable[..., Receipt]


@pytest.fixture
def fill(actor: Actor) -> Fill:
    """``fill(store, count)`` records events in one change, or in changes of ``each``; returns the last receipt."""

    def run(store: Store, count: int, *, each: int = 0, durable: bool = True) -> Receipt:
        receipt = None
        while count:
            part = min(each or count, count)
            with store.change(actor, "filling", durable=durable) as change:
                for n in range(part):
                    change.record(ThingMade(thing=f"thing-{n}", n=n))
            count -= part
            receipt = change.receipt
        assert receipt is not None
        return receipt

    return run


@pytest.fixture
def make(actor: Actor) -> Callable[..., None]:
    """``make(change, id)`` writes a row and records its event."""

    def run(change: object, id_: str, n: int = 0) -> None:
        change.execute(insert(thing_table), {"id": id_, "n": n})
        change.record(ThingMade(thing=id_, n=n))

    return run
