"""From contract to decision, then years pass: after a gc with short ages all that was approved works as before."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.seeded import BEN, LATER, Seeded
from tests.server.test_retention import gc
from tests.store.aged import ANN

from trimtab.data import latest_snapshot, load_snapshot
from trimtab.governance import evidence_pack, lineage, why
from trimtab.governance.verify_offline import verify_bytes
from trimtab.kernel import Settings, VirtualClock
from trimtab.loop import approve_version, roll_back, serve_version
from trimtab.monitoring import Outcome, mind, record_outcomes
from trimtab.pipelines import get_pipeline_run
from trimtab.registry import get_version
from trimtab.server import Rooms
from trimtab.serving import Ask, DecisionRemoved, find_decision, get_endpoint
from trimtab.store import Store, VerificationKind, back_up, move, open_store, rehearse, verify
from trimtab.tracking import check_seal, list_artifacts, read_artifact

AGES = {
    "keep_attempts": "1h", "keep_logs": "1h", "keep_snapshots": "1h", "keep_runs": "1h", "keep_decisions": "1h",
}  # fmt: skip


@pytest.fixture
def lived(
    seeded: Seeded, tmp_path: Path, database_url: str, emptied: Callable[[str], None]
) -> Iterator[tuple[Store, VirtualClock]]:
    """The home in which much has happened, once moved to PostgreSQL; short ages."""
    home = shutil.copytree(seeded.home, tmp_path / "home")
    settings = msgspec.structs.replace(seeded.settings, home=str(home), **AGES)
    clock = VirtualClock(LATER)
    if database_url:
        emptied(database_url)
        store = open_store(settings, clock=clock)
        settings = msgspec.structs.replace(settings, database=database_url)
        move(store, settings, actor=ANN, because="it grows", told=lambda *_: None)
        store.close()
    store = open_store(settings, clock=clock)
    try:
        yield store, clock
    finally:
        store.close()


def test_what_was_approved_works_after_any_gc(
    lived: tuple[Store, VirtualClock], seeded: Seeded, tmp_path: Path
) -> None:
    store, clock = lived
    record_outcomes(
        store, "slow", [Outcome(decision=id_, value=1.0) for id_ in seeded.decisions[:5]], actor=ANN, because="known"
    )
    before = {ref: evidence_pack(store, ref).members for ref in ("slow@1", "slow@2", "slow@3")}
    clock.sleep(timedelta(days=800).total_seconds())
    for _ in range(2):
        found = gc(store)
    assert sum(one.count for one in found.values()) == 0

    for ref, members in before.items():
        pack = evidence_pack(store, ref)
        assert set(members) <= set(pack.members), ref
        assert not any("removed" in line or "no blob" in line for line in pack.missing), pack.missing
        assert verify_bytes(pack.data, [pack.key], []).code == 0
        version = get_version(store, ref)
        assert check_seal(store, version.lineage.run_id or "") == ()
        assert all(read_artifact(store, one) for one in list_artifacts(store, version.lineage.run_id or ""))
        assert get_pipeline_run(store, version.lineage.pipeline_run_id or "").steps
        assert all(load_snapshot(store, id_).num_rows for id_ in version.lineage.snapshots)
    approve_version(store, "slow@3", actor=BEN, because="late, and still whole")
    assert latest_snapshot(store, "parcels") is not None
    decided = asyncio.run(decide(store))
    assert why(store, decided).missing == ()
    serve_version(store, "slow@2", stage="full", actor=BEN, because="good after all")
    assert why(store, asyncio.run(decide(store))).version.number == 2
    roll_back(store, "slow", actor=ANN, because="back to the first")
    assert get_endpoint(store, "slow").routing.champion == 1
    assert why(store, asyncio.run(decide(store))).version.number == 1

    with pytest.raises(DecisionRemoved, match="is not kept any more"):
        why(store, seeded.decisions[0])
    assert lineage(store, "slow@1").nodes
    assert lineage(store, "row:parcels/parcel_id=p2800").missing
    mind(store)
    store.checkpoint()
    assert verify(store).kind is VerificationKind.INTACT
    back_up(store, tmp_path / "backups", told=lambda *_: None, with_keys=True)
    assert rehearse(tmp_path / "backups", told=lambda *_: None).kind is VerificationKind.INTACT


def test_a_rollout_in_progress_keeps_what_it_is_judged_by(lived: tuple[Store, VirtualClock], seeded: Seeded) -> None:
    store, clock = lived
    approve_version(store, "slow@3", actor=BEN, because="it goes into shadow")
    clock.sleep(timedelta(days=800).total_seconds())
    gc(store)
    assert find_decision(store, seeded.decisions[0]).id == seeded.decisions[0]


async def decide(store: Store) -> str:
    rooms = Rooms(store)
    await rooms.gateway.start()
    try:
        answer = await rooms.gateway.infer("slow", Ask(columns={"parcel_id": ["p2801"]}))
    finally:
        await rooms.gateway.stop()
    return answer.decision_ids[0]


def test_a_move_takes_what_gc_has_left(lived: tuple[Store, VirtualClock], tmp_path: Path) -> None:
    store, clock = lived
    clock.sleep(timedelta(days=800).total_seconds())
    gc(store)
    target = Settings(home=str(tmp_path / "there"))
    shutil.copytree(store.settings.home_path / "keys", tmp_path / "there" / "keys")
    found = move(store, target, actor=ANN, because="another place", told=lambda *_: None)
    assert found.kind is VerificationKind.INTACT
