"""``kill -9`` of a process that writes: what was acknowledged is there, nothing is half there, the ledger verifies."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
from sqlalchemy import Column, Integer, MetaData, String, Table, select, text

from trimtab.kernel import Settings
from trimtab.store import Store, events, open_store, verify

ROUNDS = 12
SEED = "1"
PROGRAM = Path(__file__).with_name("killed_writers.py")
things = Table("test_things", MetaData(), Column("id", String(40), primary_key=True), Column("n", Integer))


def test_nothing_acknowledged_is_lost(store: Store) -> None:
    with store.database.write() as connection:
        things.create(connection)
    settings = store.settings
    store.close()
    try:
        acknowledged = run(settings)
        check(open_store(settings), acknowledged)
    finally:
        again = open_store(settings)
        with again.database.write() as connection:
            things.drop(connection)
        again.close()


def run(settings: Settings) -> dict[str, int]:
    command = [sys.executable, str(PROGRAM), msgspec.json.encode(settings).decode(), str(ROUNDS), SEED]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [line.split() for line in found.stdout.splitlines()]
    assert len({thing.split("-")[0] for thing, _ in told}) == ROUNDS
    return {thing: int(position) for thing, position in told}


def check(store: Store, acknowledged: dict[str, int]) -> None:
    recorded = {}
    after = -1
    while page := events(store, after=after, limit=5000):
        recorded |= {event.position: event.data["thing"] for event in page}
        after = page[-1].position
    # Every acknowledged change stands where its receipt said.
    assert {thing: recorded.get(position) for thing, position in acknowledged.items()} == {t: t for t in acknowledged}
    # Rows and events were committed together, and both halves of each change.
    with store.read() as connection:
        rows = set(connection.execute(select(things.c.id)).scalars())
    assert rows == set(recorded.values())
    assert len(recorded) == len(rows)
    assert set(Counter(thing[:-2] for thing in rows).values()) == {2}
    # The ledger agrees with itself and with all that was signed; what the killed process had not signed is signed next.
    assert verify(store).kind != "tampered", verify(store)
    store.checkpoint()
    assert verify(store).kind == "intact"
    if not store.database.is_sqlite:
        with store.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM ledger_outbox")).scalar() == 0
    store.close()
