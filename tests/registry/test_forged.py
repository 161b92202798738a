"""Whoever can write the database gives himself nothing: rows that no event made are refused at every door."""

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import insert
from tests.forging import MALLORY, by_sql, put_event
from tests.registry.cases import BOB, approved, registered

from trimtab.registry import (
    ApprovalVoid,
    NotApproved,
    approval_state,
    approve,
    check_release,
    get_version,
    list_approvals,
    reject,
    release_for,
    retire,
    revoke_release,
    set_alias,
)
from trimtab.registry.events import VersionApproved
from trimtab.registry.tables import registry_approvals
from trimtab.server import issue_token, recognise
from trimtab.store import EventForged, RowForged, Store, VerificationKind, verify
from trimtab.store.events import RowDigest
from trimtab.store.governed import every_row


def assert_found(store: Store, what: str) -> None:
    found = verify(store)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, None)
    assert what in found.what


def forged_approval(store: Store) -> VersionApproved:
    """Write the rows of somebody else's true approval again for the version that waits; return the event it lacks."""
    approved(store)
    version = registered(store, model=b"second")
    true = list_approvals(store, "late@1")[0]
    covered = version.covers()
    forged = msgspec.structs.replace(
        true, id="0" * 26, version=2, by=MALLORY, bound_to=covered.digest, covered=covered, event_id=true.event_id
    )
    with store.database.write() as connection:
        connection.execute(
            insert(registry_approvals).values(
                id=forged.id, model="late", version=2, outcome="approved", by="mallory", self_approved=False,
                bound_to=forged.bound_to, at=forged.at.isoformat(), record=msgspec.json.encode(forged).decode(),
            )
        )  # fmt: skip
    by_sql(store, "UPDATE registry_versions SET status = 'approved' WHERE number = 2")
    return VersionApproved(
        model="late", number=2, covered=forged.bound_to, approval=forged.id, role=forged.role, meaning=forged.meaning,
        reason=forged.because, self_approved=False, override=None, stages=forged.limits.stages,
        percent=forged.limits.percent, endpoint=forged.endpoint, expires_at=None,
    )  # fmt: skip


def test_a_forged_approval_approves_nothing(store: Store) -> None:
    forged_approval(store)
    assert "a row of registry_versions is not what the ledger says" in approval_state(store, "late@2").reasons
    with pytest.raises(ApprovalVoid):
        release_for(store, "late@2")
    with pytest.raises(RowForged), store.change(BOB, "promote") as change:
        set_alias(change, "late@2", "champion")
    assert_found(store, "of registry_approvals is not known to the ledger")


@pytest.mark.parametrize("code", [None, bytes(32)])
def test_an_event_that_rules_over_forged_rows_makes_them_no_truer(store: Store, code: bytes | None) -> None:
    """Everything is as a true approval leaves it, up to the ledger's head; only the code is not the key's."""
    with store.change(BOB, "for the nights") as change:
        secret = issue_token(change, "nightly", may=["read"]).secret
    event = forged_approval(store)
    by_sql(store, """UPDATE server_tokens SET may = '["admin","read"]'""")
    with store.read() as connection:
        rows = [RowDigest(*row) for row in every_row(connection)]
    assert {row.table for row in rows} >= {"registry_approvals", "registry_versions", "server_tokens"}
    position = put_event(store, event, code=code, rows=rows)

    assert f"event {position} was not recorded by Trimtab" in approval_state(store, "late@2").reasons
    for ref in ("late@1", "late@2"):
        with pytest.raises((ApprovalVoid, EventForged)):
            release_for(store, ref)
        with pytest.raises(EventForged), store.change(BOB, "promote") as change:
            set_alias(change, ref, "champion")
    with pytest.raises(EventForged):
        recognise(store, secret, now=store.clock.now())
    with pytest.raises(EventForged):
        store.checkpoint()
    found = verify(store)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, position)
    assert "its code is not the key's" in found.what or "carries no code" in found.what


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE registry_versions SET status = 'approved'",
        "UPDATE registry_releases SET revoked_at = NULL, revoked_by = NULL, revoked_because = NULL",
        "DELETE FROM registry_approvals WHERE outcome = 'rejected'",
        "UPDATE registry_approvals SET outcome = 'approved', record = replace(record, 'rejected', 'approved')",
    ],
)
def test_what_was_rejected_and_revoked_is_not_brought_back(store: Store, statement: str) -> None:
    approved(store)
    release = release_for(store, "late@1")
    with store.change(BOB, "it leaks") as change:
        reject(change, "late@1")
    by_sql(store, statement)
    if not statement.startswith("DELETE"):
        by_sql(store, "UPDATE registry_versions SET status = 'approved'")
        by_sql(store, "UPDATE registry_releases SET revoked_at = NULL, revoked_by = NULL, revoked_because = NULL")
        with pytest.raises(RowForged):
            check_release(store, release)
    with pytest.raises((ApprovalVoid, NotApproved)):
        release_for(store, "late@1")
    assert verify(store).kind is VerificationKind.TAMPERED


def test_a_release_whose_row_was_taken_out_is_not_issued_again(store: Store) -> None:
    approved(store)
    release = release_for(store, "late@1")
    with store.change(BOB, "it leaks") as change:
        revoke_release(change, release.statement.id)
    by_sql(store, "DELETE FROM registry_releases")
    with pytest.raises(ApprovalVoid, match="was taken out"):
        release_for(store, "late@1")
    assert_found(store, f"row {release.statement.id} of registry_releases was taken out")


@pytest.mark.parametrize("table", ["registry_releases", "registry_approvals"])
def test_nothing_takes_the_place_of_what_was_taken_out(store: Store, table: str) -> None:
    """An older approval, or an older release, may say more than the newest one."""
    approved(store)
    release = release_for(store, "late@1")
    if table == "registry_approvals":
        by_sql(store, "DELETE FROM registry_releases")
    by_sql(store, f"DELETE FROM {table}")
    assert not approval_state(store, "late@1").valid
    with pytest.raises(RowForged):
        check_release(store, release)
    with pytest.raises((RowForged, ApprovalVoid)):
        release_for(store, "late@1")
    with pytest.raises(RowForged), store.change(BOB, "promote") as change:
        set_alias(change, "late@1", "champion")


def test_what_is_released_is_what_was_checked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version's row is another one for a moment: while its bytes are read, which takes long."""
    version, _ = approved(store)
    other = registered(store, model=b"nobody approved this")
    right, wrong = version.artifacts.model, other.artifacts.model
    checked = store.blobs.check

    def check(digest: str) -> None:
        checked(digest)
        by_sql(store, f"UPDATE registry_versions SET record = replace(record, '{right}', '{wrong}') WHERE number = 1")

    with monkeypatch.context() as patched:
        patched.setattr(store.blobs, "check", check)
        with pytest.raises(RowForged):
            release_for(store, "late@1")
    by_sql(store, f"UPDATE registry_versions SET record = replace(record, '{wrong}', '{right}') WHERE number = 1")
    assert release_for(store, "late@1").statement.artifact == right


DOORS: dict[str, Callable] = {
    "approve": lambda change: approve(change, "late@2"),
    "reject": lambda change: reject(change, "late@2"),
    "retire": lambda change: retire(change, "late@2"),
    "alias": lambda change: set_alias(change, "late@1", "nightly"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE registry_versions SET record = replace(record, 'ann', 'zoe')",
        "DELETE FROM registry_aliases",
        "UPDATE registry_aliases SET version = 2",
    ],
)
def test_no_door_acts_on_rows_that_somebody_wrote(store: Store, door: str, statement: str) -> None:
    """Also on those that are only read to decide: who made the versions of before, and which one is the champion."""
    approved(store)
    with store.change(BOB, "promote") as change:
        set_alias(change, "late@1", "champion")
    registered(store, model=b"second")
    by_sql(store, statement)
    with pytest.raises(RowForged), store.change(BOB, "because") as change:
        DOORS[door](change)
    assert get_version(store, "late@2").status == "candidate"


def test_changes_of_one_transaction_see_their_own_rows(store: Store) -> None:
    version = registered(store)
    with store.change(BOB, "in one go") as change:
        approve(change, version)
        set_alias(change, "late@1", "champion")
        set_alias(change, "late@1", "nightly")
    assert verify(store).kind is VerificationKind.INTACT
    assert release_for(store, "late@1").statement.version == 1
