"""On PostgreSQL a change commits to the outbox, and gets its position from whoever sequences next."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from tests.waiting import wait_until

from trimtab.kernel import Actor, Settings, Unavailable, VirtualClock
from trimtab.store import AlreadyDone, Checkpoint, Database, Store, events, export_log, open_store, verify


@pytest.fixture
def opened(postgres_url: str, tmp_path: Path, clock: VirtualClock) -> Iterator[Callable[..., Store]]:
    """Opens stores on one database, each in a home of its own, as processes on several machines would."""
    stores: list[Store] = []

    def run() -> Store:
        home = tmp_path / f"home-{len(stores)}"
        if stores:  # several hosts of one ledger share its key
            shutil.copytree(tmp_path / "home-0" / "keys", home / "keys")
        stores.append(open_store(Settings(home=str(home), database=postgres_url), clock=clock))
        return stores[-1]

    yield run
    for store in stores:
        store.close()


def die_before_sequencing(store: Store, actor: Actor, thing_made: type, thing: str, *, key: str | None = None) -> None:
    """Commit a change as a process does that is killed before it asks for its position."""

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    original = store._ledger._receipt_of
    store._ledger._receipt_of = killed
    try:
        with pytest.raises(Killed), store.change(actor, key=key) as change:
            change.record(thing_made(thing=thing, n=1))
    finally:
        store._ledger._receipt_of = original


def waiting(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(text("SELECT count(*) FROM ledger_outbox")).scalar_one()


def test_what_a_dead_process_left_is_sequenced_by_the_next_change(
    opened: Callable, actor: Actor, thing_made: type, fill: Callable
) -> None:
    one, other = opened(), opened()
    die_before_sequencing(one, actor, thing_made, "orphan")
    assert waiting(one) == 1
    receipt = fill(other, 1)
    assert receipt.position == 1
    assert waiting(one) == 0
    assert [recorded.data["thing"] for recorded in events(one)] == ["orphan", "thing-0"]
    assert verify(other).exit_code == 0


@pytest.mark.parametrize("read", [events, verify, lambda store: export_log(store, store.settings.home_path / "x")])
def test_readers_of_events_sequence_first(opened: Callable, actor: Actor, thing_made: type, read: Callable) -> None:
    one, other = opened(), opened()
    die_before_sequencing(one, actor, thing_made, "orphan")
    read(other)
    assert waiting(one) == 0
    assert len(events(one)) == 1


def test_a_key_in_the_outbox_counts(opened: Callable, actor: Actor, thing_made: type) -> None:
    one, other = opened(), opened()
    die_before_sequencing(one, actor, thing_made, "orphan", key="once")
    with pytest.raises(AlreadyDone) as caught, other.change(actor, key="once"):
        pytest.fail("the block must not begin")
    assert caught.value.data == {"position": 0}


def test_an_open_transaction_does_not_hold_up_the_others(opened: Callable, actor: Actor, fill: Callable) -> None:
    one, other = opened(), opened()
    with one.change(actor) as change:
        assert fill(other, 2).position == 1
        with ThreadPoolExecutor(1) as pool:
            pool.submit(fill, one, 1).result()
        change.record_done = True
    assert len(events(one)) == 3


def test_the_order_is_that_of_the_commits(opened: Callable, actor: Actor, thing_made: type, fill: Callable) -> None:
    one, other = opened(), opened()
    with one.change(actor) as change:
        change.record(thing_made(thing="began first", n=0))
        fill(other, 1)
    assert [recorded.data["thing"] for recorded in events(one)] == ["thing-0", "began first"]
    assert change.receipt is not None
    assert change.receipt.position == 1


def test_stores_that_write_at_once_make_one_ledger(opened: Callable, fill: Callable) -> None:
    stores = [opened() for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        receipts = list(pool.map(lambda n: [fill(stores[n % 3], 2) for _ in range(15)], range(6)))
    flat = [receipt for part in receipts for receipt in part]
    assert sorted(receipt.position for receipt in flat) == list(range(1, 180, 2))
    for receipt in flat:
        assert Checkpoint.parse(receipt.checkpoint).size > receipt.position
    for store in stores:
        found = verify(store)
        assert found.kind == "intact", found


def test_a_sequencer_that_hangs_is_not_waited_for_for_ever(
    opened: Callable, postgres_url: str, actor: Actor, thing_made: type
) -> None:
    store = opened()
    store.database.dispose()
    store.database = store._ledger._database = Database(postgres_url, wait_s=0.2)
    with psycopg.connect(postgres_url) as stuck:
        stuck.execute("SELECT pg_advisory_xact_lock(hashtextextended('trimtab.ledger.' || current_schema(), 0))")
        with pytest.raises(Unavailable) as caught, store.change(actor) as change:
            change.record(thing_made(thing="late", n=1))
    assert "was committed" in caught.value.what
    assert "do not repeat" in caught.value.next
    assert [recorded.data["thing"] for recorded in events(store)] == ["late"]


def test_a_connection_that_the_server_closed_is_replaced(
    opened: Callable, fill: Callable, postgres_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    fill(store, 1)
    with psycopg.connect(store.settings.database.split("&application_name")[0], autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [postgres_schema]
        )
    monkeypatch.setattr("trimtab.store.database.IDLE_S", -1.0)
    fill(store, 1)
    assert len(events(store)) == 2


def test_one_thread_serves_those_that_wait(opened: Callable, actor: Actor, thing_made: type) -> None:
    store = opened()
    batches = []
    original = store._ledger._append

    def counted(*given_: object) -> object:
        given, signed = original(*given_)
        batches.append(len(given))
        return given, signed

    store._ledger._append = counted

    def write(n: int) -> int:
        with store.change(actor) as change:
            change.record(thing_made(thing=str(n), n=n))
        assert change.receipt is not None
        return change.receipt.position

    with ThreadPoolExecutor(6) as pool:
        with store._ledger._lead:
            positions = pool.map(write, range(6))
            wait_until(lambda: len(store._ledger._waiting) == 6, "all have committed and wait")
        assert sorted(positions) == list(range(6))
    assert batches == [6]
