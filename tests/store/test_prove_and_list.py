"""Proofs about a store's ledger, and lists of what it holds."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import event as sqlalchemy_event

from trimtab.kernel import Actor, Invalid, NotFound, VirtualClock
from trimtab.store import (
    Checkpoint,
    InclusionProof,
    Store,
    Subject,
    consistency_proof,
    event_at,
    events,
    inclusion_proof,
    ledger_root,
)

START = datetime(2013, 3, 1, tzinfo=UTC)


def test_every_event_is_proved_by_its_receipt(store: Store, fill: Callable) -> None:
    receipts = [fill(store, 70) for _ in range(5)]
    key = receipts[-1].key
    newest = Checkpoint.parse(receipts[-1].checkpoint)
    for position in (0, 69, 70, 255, 256, 349):
        proof = inclusion_proof(store, position)
        assert proof.size == newest.size == 350
        assert proof.holds(key=key)
        assert proof.leads_to(newest.root)
        assert f'"position":{position}' in proof.entry
        again = msgspec.json.decode(msgspec.json.encode(proof), type=InclusionProof)
        assert again == proof
        forged = msgspec.structs.replace(proof, entry=proof.entry.replace("filling", "cheating"))
        assert not forged.holds(key=key)
    for receipt in receipts:
        old = Checkpoint.parse(receipt.checkpoint)
        assert ledger_root(store, size=old.size) == old.root
        proof = consistency_proof(store, old.size)
        assert proof.links(old_root=old.root, root=newest.root)
        assert not proof.links(old_root=newest.root, root=newest.root) or old.size == 350


def test_an_event_that_is_not_signed_yet_is_proved_to_the_root(sqlite_store: Store, fill: Callable) -> None:
    receipt = fill(sqlite_store, 3)
    fill(sqlite_store, 2, durable=False)
    proof = inclusion_proof(sqlite_store, 4)
    assert (proof.size, proof.checkpoint) == (5, "")
    assert proof.leads_to(ledger_root(sqlite_store))
    assert not proof.holds(key=receipt.key)
    assert inclusion_proof(sqlite_store, 2).holds(key=receipt.key)
    assert inclusion_proof(sqlite_store, 2, size=5).leads_to(ledger_root(sqlite_store))


def test_a_proof_reads_little(sqlite_store: Store, fill: Callable) -> None:
    fill(sqlite_store, 5000, durable=False)
    sqlite_store.checkpoint()
    queries = []
    engine = sqlite_store.database._reader
    sqlalchemy_event.listen(engine, "before_cursor_execute", lambda *arguments: queries.append(arguments[2]))
    assert inclusion_proof(sqlite_store, 3333).leads_to(ledger_root(sqlite_store))
    assert sum("ledger_events" in query for query in queries) <= 30
    assert len(queries) <= 60


def test_what_does_not_exist_cannot_be_proved(store: Store, fill: Callable) -> None:
    for position in (0, -1):
        with pytest.raises(NotFound):
            inclusion_proof(store, position)
    fill(store, 5)
    with pytest.raises(NotFound):
        inclusion_proof(store, 5)
    for size in (2, 6, -1):
        with pytest.raises(Invalid):
            inclusion_proof(store, 2, size=size)
    with pytest.raises(Invalid):
        consistency_proof(store, 6)
    with pytest.raises(Invalid):
        ledger_root(store, size=6)


@pytest.fixture
def told(store: Store, clock: VirtualClock, thing_made: type) -> Store:
    """A store with ten changes of two events, an hour apart, by two people."""
    for n in range(10):
        with store.change(Actor(f"person-{n % 2}"), f"reason {n}", key=f"key-{n}") as change:
            change.record(thing_made(thing=f"thing-{n % 3}", n=n))
            change.record(thing_made(thing="each", n=n))
        clock.sleep(3600)
    return store


def positions(found: list) -> list[int]:
    return [recorded.position for recorded in found]


def test_events_are_listed_in_order(told: Store) -> None:
    assert positions(events(told)) == list(range(20))
    assert positions(events(told, order="newest", limit=3)) == [19, 18, 17]
    assert positions(events(told, limit=3)) == [0, 1, 2]
    assert positions(events(told, after=2, limit=3)) == [3, 4, 5]
    assert positions(events(told, after=17, order="newest", limit=3)) == [16, 15, 14]
    assert events(told, after=19) == []


def test_events_are_found_by_what_they_say(told: Store) -> None:
    assert positions(events(told, actor="person-1")) == [2, 3, 6, 7, 10, 11, 14, 15, 18, 19]
    assert positions(events(told, subject=("thing", "thing-0"))) == [0, 6, 12, 18]
    assert positions(events(told, subject=Subject("thing", "thing-2"), actor="person-0")) == [4, 16]
    assert len(events(told, type="test.thing-made")) == len(events(told, type="test.")) == 20
    assert len(events(told, type=["other.thing", "test.thing-made"])) == 20
    assert events(told, type="tes.") == events(told, type="test") == events(told, type="te%.") == []


def test_events_are_found_by_time(told: Store) -> None:
    since, until = START + timedelta(hours=2), START + timedelta(hours=4)
    assert positions(events(told, since=since)) == list(range(4, 20))
    assert positions(events(told, until=until)) == list(range(8))
    assert positions(events(told, since=since, until=until)) == [4, 5, 6, 7]
    assert positions(events(told, since=since + timedelta(microseconds=1), until=until)) == [6, 7]


def test_one_event_is_read_by_its_position(told: Store) -> None:
    recorded = event_at(told, 6)
    assert recorded == events(told, after=5, limit=1)[0]
    assert (recorded.because, recorded.idempotency_key, recorded.before) == ("reason 3", "key-3", None)
    with pytest.raises(NotFound):
        event_at(told, 20)


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 10_001}, {"since": datetime(2013, 3, 1)}])
def test_a_wrong_question_is_refused(told: Store, wrong: dict) -> None:
    with pytest.raises(Invalid):
        events(told, **wrong)
