"""An approval for a time only: what is loaded answers on, nothing is loaded or routed anew, and it can be renewed."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from tests.loop.parcels import write_project

from trimtab.declare import load_project
from trimtab.kernel import Actor, VirtualClock
from trimtab.loop import apply_project, approve_version, renew_version, serve_version
from trimtab.monitoring import alerts, check
from trimtab.registry import AuthorApproves, WrongStatus, get_version, list_approvals, list_releases
from trimtab.server import Rooms
from trimtab.serving import Ask, NotReady, NotServable, get_endpoint, remove_endpoint
from trimtab.store import ReasonMissing, Store, verify

ANN, BEN = Actor("ann"), Actor("ben")
RULE = '\nslow.retrain_when(tt.every("300d"), approve=tt.by("risk", expires="180d").other_than_author())\n'
ROW = Ask(columns={"parcel_id": ["p2800"]})


@pytest.fixture
def approved(store: Store, tmp_path: Path) -> Store:
    """A version that answers everything, approved for 180 days."""
    file = write_project(tmp_path / "parcels.py")
    file.write_text(file.read_text() + RULE)
    apply_project(store, load_project(file), actor=ANN, because="the parcels of early 2013")
    approve_version(store, "slow@1", actor=BEN, because="first model")
    return store


def signs(store: Store) -> list[tuple[str, str]]:
    check(store, "slow", store.clock.now(), kinds=["release"])
    return [(one.severity, one.title) for one in alerts(store, states=["open"])]


def test_a_release_says_until_when_it_holds_and_is_renewed(approved: Store, clock: VirtualClock) -> None:
    version = get_version(approved, "slow@1")
    assert (version.expires_s, version.covers().expires_s) == (180 * 86400.0, 180 * 86400.0)
    (release,) = list_releases(approved, version)
    assert release.statement.expires_at == release.statement.issued_at + timedelta(days=180)
    assert signs(approved) == []

    clock.sleep(151 * 86400)
    title = "the approval of slow@1 holds until 2013-08-28 00:00 UTC"
    assert signs(approved) == [("note", title)]
    clock.sleep(23 * 86400)
    assert signs(approved) == [("page", title)]
    clock.sleep(10 * 86400)
    assert signs(approved) == [("page", title)], "from then on, too"

    with pytest.raises(AuthorApproves):
        renew_version(approved, "slow@1", actor=ANN, because="mine")
    with pytest.raises(ReasonMissing):
        renew_version(approved, "slow@1", actor=BEN, because="")
    renewed = renew_version(approved, "slow@1", actor=BEN, because="validated again")
    assert renewed.statement.expires_at == approved.clock.now() + timedelta(days=180)
    assert signs(approved) == []
    assert len(list_approvals(approved, version)) == 2
    assert get_endpoint(approved, "slow").revision == 1, "it stays where it is"
    with pytest.raises(WrongStatus, match="has its rollout"):
        approve_version(approved, "slow@1", actor=BEN, because="again")
    assert verify(approved).kind == "intact"


def test_an_expired_version_is_not_routed_anew(approved: Store, clock: VirtualClock) -> None:
    clock.sleep(181 * 86400)
    serve_version(approved, "slow@1", actor=BEN, because="it stands there")
    with approved.change(BEN, "away") as change:
        remove_endpoint(change, "slow")
    with pytest.raises(NotServable, match="the approval of slow@1 has expired") as caught:
        serve_version(approved, "slow@1", actor=BEN, because="back")
    assert caught.value.next == "trimtab approve slow@1 --because '...'"
    renew_version(approved, "slow@1", actor=BEN, because="validated again")
    serve_version(approved, "slow@1", actor=BEN, because="back")
    assert get_endpoint(approved, "slow").routing.champion == 1


def test_what_is_loaded_answers_on_and_is_not_loaded_anew(approved: Store, clock: VirtualClock) -> None:
    async def lived() -> None:
        rooms = Rooms(approved)
        await rooms.gateway.start()
        await rooms.gateway.infer("slow", ROW)
        clock.sleep(181 * 86400)
        answer = await rooms.gateway.infer("slow", ROW)
        assert answer.version == 1
        await rooms.gateway.stop()

    async def began_again() -> None:
        rooms = Rooms(approved)
        await rooms.gateway.start()
        try:
            await rooms.gateway.infer("slow", ROW)
        finally:
            await rooms.gateway.stop()

    asyncio.run(lived())
    with pytest.raises(NotReady) as caught:
        asyncio.run(began_again())
    assert "has expired" in str(caught.value)
    renew_version(approved, "slow@1", actor=BEN, because="validated again")
    asyncio.run(began_again())


def test_only_what_is_approved_for_a_time_is_renewed(store: Store, tmp_path: Path) -> None:
    file = write_project(tmp_path / "parcels.py")
    apply_project(store, load_project(file), actor=ANN, because="the parcels of early 2013")
    with pytest.raises(WrongStatus, match="is candidate, and has no approval to renew"):
        renew_version(store, "slow@1", actor=BEN, because="x")
    approve_version(store, "slow@1", actor=BEN, because="first model")
    with pytest.raises(WrongStatus, match="is approved, and has no approval to renew"):
        renew_version(store, "slow@1", actor=BEN, because="x")
