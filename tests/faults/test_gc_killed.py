"""``kill -9`` of a gc at any moment: nothing that a row names is lost, and the next gc finishes."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from tests.monitoring.served import START, Served, move
from tests.registry.cases import lineage, registered
from tests.server.test_retention import AGES, snapshot, tracked
from tests.store.aged import ANN, grow_old

from trimtab.data import load_snapshot
from trimtab.kernel import Settings, VirtualClock
from trimtab.server import collect_garbage
from trimtab.serving import decision_tables
from trimtab.store import Store, VerificationKind, events, open_store, verify
from trimtab.store.sweep import named_in
from trimtab.tracking import find_artifact, list_artifacts, read_artifact

ROUNDS = 15
PROGRAM = Path(__file__).with_name("killed_gcs.py")
LATER = START + timedelta(days=400)


def test_a_killed_gc_loses_nothing_and_the_next_one_finishes(store: Store) -> None:
    needed, young = fill(store)
    settings = msgspec.structs.replace(store.settings, clock=LATER.isoformat(), **AGES)
    store.close()
    told = run(settings)
    assert len([line for line in told if line.startswith("named")]) == ROUNDS
    assert {line.split()[-1] for line in told if line.startswith("named")} == {"0"}, told
    again = open_store(settings, clock=VirtualClock(LATER))
    try:
        collect_garbage(again, actor=ANN, because="the last one")
        last = collect_garbage(again, actor=ANN, because="nothing is left")
        assert [one for one in last.items if one.count] == []
        assert load_snapshot(again, needed["snapshot"]).num_rows == 1
        for id_ in (needed["run"], young):
            assert read_artifact(again, find_artifact(again, id_, "note.txt")) == f"of {id_}\n".encode()
        assert list(decision_tables(again, "late")) == []
        check_ledger(again)
    finally:
        again.close()


def fill(store: Store) -> tuple[dict[str, str], str]:
    """Let much grow old; return what a version needs of it, and a run that is young."""
    run_ = tracked(store)
    run_.finish()
    first = snapshot(store, 0.0)
    registered(store, lineage=lineage(store, run_id=run_.id, snapshots=(first.id,)))
    for n in range(30):
        tracked(store).finish()
        snapshot(store, 1.0 + n)
        store.blobs.put(b"nobody's %d" % n)
    for n in range(250):
        store.blobs.put(b"no one's %d" % n)
    served = Served(store)
    for n in range(9):
        served.hour(START + timedelta(hours=n), n=3)
        served.log.seal(also_open=None)
    move(store, LATER - timedelta(hours=1))
    young = tracked(store)
    young.finish()
    home = store.settings.home_path
    kept = [f"{path.parent.name}{path.name}" for path in (home / "blobs").glob("[0-9a-f][0-9a-f]/*")]
    (home / "kept").write_text("\n".join(kept))
    grow_old(home / "blobs")
    return {"snapshot": first.id, "run": run_.id}, young.id


def run(settings: Settings) -> list[str]:
    command: list[Any] = [sys.executable, str(PROGRAM), msgspec.json.encode(settings).decode(), str(ROUNDS), "1"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def check_ledger(store: Store) -> None:
    """Whatever is gone was said to go: rows and blobs alike."""
    removed = events(store, type="store.removed", limit=1000)
    snapshots = [name for event in removed for name in event.data["names"] if name.startswith("snapshot:")]
    segments = [name for event in removed for name in event.data["names"] if name.startswith("segment:")]
    assert (len(snapshots), len(set(snapshots)), len(segments), len(set(segments))) == (29, 29, 9, 9)
    swept = {one for event in events(store, type="store.blobs-removed", limit=1000) for one in event.data["digests"]}
    kept = {f"sha256:{line}" for line in (store.settings.home_path / "kept").read_text().split()}
    there = {blob.digest for blob in store.blobs.listed()}
    assert kept - there <= swept
    with store.read() as connection:
        named = named_in(connection)
    assert {one for one in kept if bytes.fromhex(one[7:]) in named} <= there
    assert list_artifacts(store, "01ARZ3NDEKTSV4RRFFQ69G5FAV") == []
    store.checkpoint()
    assert verify(store).kind is VerificationKind.INTACT
