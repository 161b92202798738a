"""From one answer back to its rows, its model and who said yes, on both databases."""

import asyncio

import pytest

from trimtab.declare import Project
from trimtab.features import open_online
from trimtab.governance import Why, why
from trimtab.kernel import Actor, NotFound
from trimtab.loop import apply_project, approve_version
from trimtab.serving import Answer, Ask, Gateway, RegisteredReleases
from trimtab.store import Store
from trimtab.tracking import ALLOWED_TYPES


@pytest.fixture
def answer(store: Store, project: Project, actor: Actor) -> Answer:
    apply_project(store, project, actor=actor, because="the parcels of early 2013")
    approve_version(store, "slow@1", actor=actor, because="first model")
    return asyncio.run(_ask(store, Ask(columns={"parcel_id": ["p2830", "p2831"]})))


async def _ask(store: Store, ask: Ask) -> Answer:
    online = open_online(store)
    gateway = Gateway(store, releases=RegisteredReleases(store), allowed=sorted(ALLOWED_TYPES), online=online)
    await gateway.start()
    try:
        return await gateway.infer("slow", ask)
    finally:
        await gateway.stop()
        online.close()


def test_the_whole_chain_is_there(store: Store, answer: Answer) -> None:
    found = why(store, answer.decision_ids[1])
    assert found.missing == ()
    assert found.decision.key == {"parcel_id": "p2831"}
    assert found.result["probability"] == answer.outputs["probability"][1]
    assert [used.name for used in found.features] == ["weight", "depot", "sent_hour", "depot_delay_mean_24h"]
    by_name = {used.name: used for used in found.features}
    assert by_name["weight"].age_s is None
    assert by_name["depot_delay_mean_24h"].value is not None
    assert found.version is not None
    assert found.version.ref == "slow@1"
    assert [snapshot.set_aside_rows for snapshot in found.snapshots] == [1]
    assert found.evaluation is not None
    assert found.evaluation.report.model_digest == found.version.artifacts.model
    assert found.approval is not None
    assert (found.approval.because, found.approval.self_approved) == ("first model", True)


def test_what_cannot_be_verified_is_named(store: Store, answer: Answer) -> None:
    version = _version(why(store, answer.decision_ids[0]))
    folder = store.settings.home_path / "blobs"
    digest = version.artifacts.model.removeprefix("sha256:")
    blob = next(path for path in folder.rglob("*") if "".join(path.parts[-2:]).endswith(digest[2:]))
    blob.chmod(0o600)
    blob.write_bytes(b"other bytes")
    found = why(store, answer.decision_ids[0])
    assert found.decision.id == answer.decision_ids[0]
    assert any("approval of slow@1 does not hold" in line and "model" in line for line in found.missing)


def test_an_unknown_decision(sqlite_store: Store) -> None:
    with pytest.raises(NotFound):
        why(sqlite_store, sqlite_store.ids.new())


def _version(found: Why):
    assert found.version is not None
    return found.version
