"""Who may say yes to what, what the record shows of it, and that no covered byte can change unseen."""

from typing import Any

import msgspec
import pytest
from tests.forging import with_key
from tests.registry.cases import ANN, BOB, approved, artifacts, lineage, registered

from trimtab.kernel import SYSTEM, Actor, ActorKind, VirtualClock, canonical, digest_of_bytes
from trimtab.registry import (
    ApprovalVoid,
    AuthorApproves,
    Covered,
    GateFailed,
    InUse,
    Limits,
    NotApproved,
    NotRegistrable,
    Status,
    Version,
    VersionMissing,
    WrongStatus,
    approval_state,
    approve,
    get_version,
    list_approvals,
    refused_approvals,
    register_version,
    reject,
    release_for,
    retire,
    set_alias,
)
from trimtab.store import Blobs, LocalBlobs, ReasonMissing, RowsDamaged, Store, events

ROOT = Actor("root")


def test_an_approval_is_bound_to_everything_it_covers(store: Store) -> None:
    version, approval = approved(store, approve_by="ops-lead")
    assert get_version(store, "late@1").status is Status.APPROVED
    assert approval.bound_to == version.covered == approval.covered.digest
    assert (approval.by, approval.because, approval.role) == (BOB, "it is better", "ops-lead")
    assert (approval.meaning, approval.self_approved, approval.override) == ("approves release", False, None)
    assert list_approvals(store, version) == (approval,)
    state = approval_state(store, "late@1")
    assert (state.valid, state.reasons, state.approval) == (True, (), approval)
    event = events(store, type="registry.version-approved")[0]
    assert (event.id, event.actor.id, event.because) == (approval.event_id, "bob", "it is better")
    assert event.data["covered"] == approval.bound_to


@pytest.mark.parametrize(
    ("trained", "registered_by", "approver", "own"),
    [
        (None, ANN, ANN, True),
        (None, ANN, BOB, False),
        ("bob", SYSTEM, BOB, True),  # a pipeline registered what bob trained
        ("ann", SYSTEM, BOB, False),
        (None, SYSTEM, BOB, True),  # nobody else ever took part
        (None, SYSTEM, SYSTEM, True),
    ],
)
def test_judging_ones_own_work_shows(
    sqlite_store: Store, trained: str | None, registered_by: Actor, approver: Actor, own: bool
) -> None:
    version = registered(sqlite_store, registered_by, lineage=lineage(sqlite_store, trained_by=trained))
    with sqlite_store.change(approver, "good") as change:
        assert approve(change, version).self_approved is own
    assert events(sqlite_store, type="registry.version-approved")[0].data["self_approved"] is own
    assert release_for(sqlite_store, version).statement.self_approved is own


@pytest.mark.parametrize(
    ("trained", "registered_by", "approver", "did"),
    [
        (None, ANN, ANN, "ann registered it"),
        ("ann", BOB, BOB, "bob registered it"),
        ("bob", SYSTEM, BOB, "bob trained it"),
        (None, SYSTEM, SYSTEM, "registered it"),
        (None, ANN, BOB, None),
        ("ann", SYSTEM, BOB, None),
    ],
)
def test_an_author_cannot_approve_where_the_policy_asks_for_two_persons(
    store: Store, trained: str | None, registered_by: Actor, approver: Actor, did: str | None
) -> None:
    version = registered(store, registered_by, lineage=lineage(store, trained_by=trained), other_than_author=True)
    if did is None:
        with store.change(approver, "good") as change:
            approve(change, version)
        assert approval_state(store, version).valid
        return
    for override in ("", "it is urgent"):
        with pytest.raises(AuthorApproves, match=did), store.change(approver, "good") as change:
            approve(change, version, override=override)
    assert get_version(store, version).status is Status.CANDIDATE
    assert events(store, type="registry.version-approved") == []


@pytest.mark.parametrize(
    ("author", "approver", "same"),
    [
        (ANN, ANN.holding("bob", ActorKind.PERSON), True),
        (ANN, ANN.holding("ops", ActorKind.SERVICE).holding("bob", ActorKind.PERSON), True),
        (ANN.holding("ci", ActorKind.SERVICE), ANN, True),
        (ANN.holding("ci", ActorKind.SERVICE), ANN.holding("web", ActorKind.SERVICE), True),
        (ROOT.holding("ann", ActorKind.PERSON), ROOT.holding("bob", ActorKind.PERSON), False),
    ],
)
def test_a_token_of_the_author_is_the_author(store: Store, author: Actor, approver: Actor, same: bool) -> None:
    """However it is called: nobody makes themselves a second person, and where one suffices it shows."""
    asked = registered(store, author, other_than_author=True)
    if same:
        with pytest.raises(AuthorApproves), store.change(approver, "good") as change:
            approve(change, asked)
    else:
        with store.change(approver, "good") as change:
            assert approve(change, asked).by.issuers == approver.issuers
        assert approval_state(store, asked).valid
    free = registered(store, author, model=b"no rule")
    with store.change(approver, "good") as change:
        assert approve(change, free).self_approved is same
    told = events(store, type="registry.version-approved")[-1]
    assert (told.actor, told.data["self_approved"]) == (approver, same)


def test_an_approval_does_not_hold_when_its_record_hides_who_issued_the_token(store: Store) -> None:
    version = registered(store, ANN, other_than_author=True)
    with store.change(ROOT.holding("bob", ActorKind.PERSON), "good") as change:
        approval = approve(change, version)
    with_key(
        store, "registry_approvals", record=msgspec.json.encode(msgspec.structs.replace(approval, by=BOB)).decode()
    )
    assert "the ledger names another approver or another time" in approval_state(store, version).reasons


def test_a_refused_approval_is_an_event_once_an_hour(store: Store, clock: VirtualClock) -> None:
    version = registered(store, ANN, other_than_author=True)
    mine = ANN.holding("bob", ActorKind.PERSON)

    def attempt(actor: Actor) -> None:
        with (
            pytest.raises(AuthorApproves),
            refused_approvals(store, version, actor=actor, because="good"),
            store.change(actor, "good") as change,
        ):
            approve(change, version)

    for actor in (ANN, ANN, mine, ANN):
        attempt(actor)
    clock.sleep(3601)
    attempt(ANN)
    found = events(store, type="registry.approval-refused", subject=("version", version.ref))
    assert [event.actor for event in found] == [ANN, mine, ANN]
    assert found[1].data["code"] == "registry.author-approves"
    assert "bob (issued by ann) cannot approve late@1" in found[1].data["what"]


def test_who_wrote_the_code_is_an_author_of_what_is_trained_with_it_later(store: Store) -> None:
    """The loop trains by itself; the code that it trains is somebody's all the same."""
    registered(store, ANN, other_than_author=True)
    retrained = registered(store, SYSTEM, model=b"retrained", other_than_author=True)
    others = lineage(store, code=digest_of_bytes(b"bob's"))
    of_other_code = registered(store, SYSTEM, model=b"other", lineage=others, other_than_author=True)
    said = "ann registered late@1, which has the same code"
    with pytest.raises(AuthorApproves, match=said), store.change(ANN, "good") as change:
        approve(change, retrained)
    with store.change(ANN, "good") as change:
        approve(change, of_other_code)
    with store.change(BOB, "good") as change:
        approve(change, retrained)
    assert approval_state(store, retrained).valid
    assert approval_state(store, of_other_code).valid


def test_an_approval_by_an_author_does_not_hold_however_it_came_about(store: Store) -> None:
    version = registered(store, ANN, other_than_author=True)
    with store.change(BOB, "good") as change:
        approve(change, version)
    by_bob = msgspec.structs.replace(version, registered_by=BOB)
    with_key(store, "registry_versions", record=msgspec.json.encode(by_bob).decode())
    assert "bob approved their own work, and the policy asks for two persons" in approval_state(store, version).reasons


def test_a_version_from_before_the_rule_keeps_its_digest(sqlite_store: Store) -> None:
    """Approvals that were given before Trimtab knew this rule are bound to a record without it."""
    covered = registered(sqlite_store, ANN).covers()
    assert b"other_than_author" not in canonical(covered)
    assert b"other_than_author" in canonical(msgspec.structs.replace(covered, other_than_author=True))


def test_an_automatic_version_is_judged_by_one_of_several_people(sqlite_store: Store) -> None:
    registered(sqlite_store, ANN)
    automatic = registered(sqlite_store, SYSTEM, model=b"retrained")
    with sqlite_store.change(BOB, "good") as change:
        assert not approve(change, automatic).self_approved


@pytest.mark.parametrize("gate", ["failed", "none"])
def test_a_failed_gate_needs_a_reason_of_its_own(store: Store, gate: str) -> None:
    version = registered(store, passes=False) if gate == "failed" else registered(store, evaluation_id=None)
    with pytest.raises(GateFailed) as raised, store.change(BOB, "we need it") as change:
        approve(change, version)
    assert ("did not pass its gate" if gate == "failed" else "was never evaluated") in raised.value.what
    assert "--override" in raised.value.next
    assert get_version(store, version).status is Status.CANDIDATE
    with pytest.raises(GateFailed), store.change(BOB, "we need it") as change:
        approve(change, version, override="  ")
    with store.change(BOB, "we need it") as change:
        approval = approve(change, version, override="the champion is broken")
    assert approval.override == "the champion is broken"
    assert events(store, type="registry.version-approved")[0].data["override"] == "the champion is broken"
    assert approval_state(store, version).valid


def test_an_override_that_was_not_needed_is_not_recorded(sqlite_store: Store) -> None:
    version = registered(sqlite_store)
    with sqlite_store.change(BOB, "good") as change:
        assert approve(change, version, override="to be safe").override is None


@pytest.mark.parametrize("verb", [approve, reject, retire])
def test_every_decision_has_a_reason(sqlite_store: Store, verb: Any) -> None:
    version = registered(sqlite_store)
    with pytest.raises(ReasonMissing, match="no reason was given"), sqlite_store.change(BOB, "  ") as change:
        verb(change, version)
    assert get_version(sqlite_store, version).status is Status.CANDIDATE


def test_a_reason_of_the_verb_comes_before_that_of_the_change(sqlite_store: Store) -> None:
    version = registered(sqlite_store)
    with sqlite_store.change(BOB, "apply") as change:
        assert approve(change, version, because="better by 0.02").because == "better by 0.02"
    assert approval_state(sqlite_store, version).valid


def test_a_decision_is_taken_once(store: Store) -> None:
    version, _ = approved(store)
    with (
        pytest.raises(WrongStatus, match="late@1 is approved and cannot be approved"),
        store.change(BOB, "x") as change,
    ):
        approve(change, version)
    other = registered(store, model=b"other")
    with store.change(BOB, "worse on Sundays") as change:
        no = reject(change, other)
    assert (no.outcome, no.because) == ("rejected", "worse on Sundays")
    for verb in (approve, reject):
        with pytest.raises(WrongStatus, match="late@2 is rejected"), store.change(BOB, "x") as change:
            verb(change, other)
    assert approval_state(store, other).reasons == ("late@2 is rejected, not approved",)


def test_an_approval_can_be_taken_back_but_not_under_the_champion(store: Store) -> None:
    version, yes = approved(store)
    release = release_for(store, version)
    with store.change(BOB, "go") as change:
        set_alias(change, version, "champion")
    for verb in (reject, retire):
        with pytest.raises(InUse, match="late@1 is the champion"), store.change(BOB, "x") as change:
            verb(change, version)
    second = registered(store, model=b"second")
    with store.change(BOB, "go") as change:
        approve(change, second)
        set_alias(change, second, "champion")
    with store.change(BOB, "leaks the label") as change:
        no = reject(change, version)
    assert list_approvals(store, version) == (no, yes)
    assert not approval_state(store, version).valid
    revoked = events(store, type="registry.release-revoked")
    assert [event.data["release"] for event in revoked] == [release.statement.id]


def test_retired_is_over(store: Store) -> None:
    version, _ = approved(store)
    with store.change(BOB, "old") as change:
        assert retire(change, version).status is Status.RETIRED
    for verb in (approve, reject, retire):
        with pytest.raises(WrongStatus), store.change(BOB, "x") as change:
            verb(change, version)


def test_what_is_not_there_cannot_be_approved(sqlite_store: Store) -> None:
    registered(sqlite_store)
    with pytest.raises(VersionMissing), sqlite_store.change(BOB, "x") as change:
        approve(change, "late@7")


# --- nothing changes unseen ------------------------------------------------------------------------------------------


def _flip(blobs: Blobs, digest: str, *, at: int) -> None:
    path = blobs.local_path(digest)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("at", [0, -1, 3])
@pytest.mark.parametrize("number", range(7))
def test_one_flipped_bit_of_a_covered_blob_voids_the_approval(sqlite_store: Store, number: int, at: int) -> None:
    version, approval = approved(sqlite_store)
    blobs = approval.covered.blobs
    assert len(blobs) == 7, "model, signature, onnx form, sample, evaluation, two snapshots"
    what, digest = blobs[number]
    _flip(sqlite_store.blobs, digest, at=at)
    state = approval_state(sqlite_store, version)
    assert not state.valid
    assert [reason for reason in state.reasons if f"the {what} ({digest[:19]}…) cannot be read" in reason]


@pytest.mark.parametrize("number", range(7))
def test_a_covered_blob_that_is_gone_voids_the_approval(sqlite_store: Store, number: int) -> None:
    version, approval = approved(sqlite_store)
    what, digest = approval.covered.blobs[number]
    assert isinstance(sqlite_store.blobs, LocalBlobs)
    sqlite_store.blobs.local_path(digest).unlink()
    assert f"the {what}" in approval_state(sqlite_store, version).reasons[0]


OTHER = digest_of_bytes(b"other")


def _changed(version: Version, part: str) -> Version:
    """Return a version with one covered part changed."""
    replace = msgspec.structs.replace
    simple: dict[str, Any] = {
        "model": "early",
        "task": "regression",
        "evaluation": OTHER,
        "verdict": OTHER,
        "verdict_passed": None,
    }
    simple |= {"other_than_author": True, "expires_s": 1e9}
    renamed = {"artifact": "model", "format": "format", "signature": "signature", "sample": "sample", "also": "also"}
    if part in simple:
        return replace(version, **{part: simple[part]})
    if part == "params":
        return replace(version, params={"trees": 121})
    value: Any = {"data": (OTHER,), "also": (), "view": "other", "format": "onnx"}.get(part, OTHER)
    if part in renamed:
        return replace(version, artifacts=replace(version.artifacts, **{renamed[part]: value}))
    return replace(version, lineage=replace(version.lineage, **{part: value}))


@pytest.mark.parametrize("part", Covered.__struct_fields__)
def test_a_changed_record_voids_the_approval(store: Store, part: str) -> None:
    version, _ = approved(store)
    changed = _changed(version, part)
    assert changed.covers() != version.covers()
    with_key(store, "registry_versions", record=msgspec.json.encode(changed).decode())
    state = approval_state(store, "late@1")
    assert not state.valid
    assert any(part.replace("_", " ") in reason for reason in state.reasons)


@pytest.mark.parametrize("part", Covered.__struct_fields__)
def test_changing_record_and_approval_alike_is_seen_in_the_ledger(sqlite_store: Store, part: str) -> None:
    version, approval = approved(sqlite_store)
    changed = _changed(version, part)
    covered = changed.covers()
    changed = msgspec.structs.replace(changed, covered=covered.digest)
    forged = msgspec.structs.replace(approval, covered=covered, bound_to=covered.digest)
    with_key(sqlite_store, "registry_versions", record=msgspec.json.encode(changed).decode(), covered=covered.digest)
    with_key(sqlite_store, "registry_approvals", record=msgspec.json.encode(forged).decode(), bound_to=covered.digest)
    state = approval_state(sqlite_store, "late@1")
    assert not state.valid
    assert "covered of the approval is not what the ledger says" in state.reasons
    assert state.ref == "late@1"


@pytest.mark.parametrize(
    "changes",
    [
        {"by": ANN}, {"because": "other"}, {"role": "owner"}, {"meaning": "tests"}, {"self_approved": True},
        {"override": "x"}, {"limits": Limits(percent=5.0)}, {"event_id": "0" * 26}, {"id": "0" * 26},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_a_changed_approval_is_void(sqlite_store: Store, changes: dict[str, Any]) -> None:
    version, approval = approved(sqlite_store)
    forged = msgspec.structs.replace(approval, **changes)
    with_key(sqlite_store, "registry_approvals", record=msgspec.json.encode(forged).decode())
    assert not approval_state(sqlite_store, version).valid


def test_a_status_that_there_is_not_says_so(sqlite_store: Store) -> None:
    approved(sqlite_store)
    with_key(sqlite_store, "registry_versions", status="live")
    with pytest.raises(RowsDamaged, match="the status of late@1 is 'live'"):
        release_for(sqlite_store, "late@1")


def test_a_status_that_was_written_by_hand_approves_nothing(store: Store) -> None:
    version = registered(store)
    with_key(store, "registry_versions", status="approved")
    assert approval_state(store, version).reasons == ("no approval of late@1 is recorded",)
    with pytest.raises(ApprovalVoid, match="no approval of late@1 is recorded"):
        release_for(store, version)
    with pytest.raises(NotApproved), store.change(BOB, "x") as change:
        set_alias(change, version, "champion")


def test_a_verdict_that_the_evaluation_does_not_hold_is_seen(sqlite_store: Store) -> None:
    """Before the approval, someone writes into the database that the gate passed."""
    version = registered(sqlite_store, passes=False)
    forged = msgspec.structs.replace(version, verdict_passed=True)
    forged = msgspec.structs.replace(forged, covered=forged.covers().digest)
    with_key(sqlite_store, "registry_versions", record=msgspec.json.encode(forged).decode(), covered=forged.covered)
    with sqlite_store.change(BOB, "it passed") as change:
        approve(change, "late@1")
    assert approval_state(sqlite_store, "late@1").reasons == ("the verdict is not the one in the evaluation",)


def test_nothing_is_half_written_when_a_decision_fails(store: Store) -> None:
    version = registered(store)
    before = len(events(store))

    def approve_and_stumble() -> None:
        with store.change(BOB, "x") as change:
            approve(change, version)
            register_version(change, model="late", artifacts=artifacts(store), lineage=lineage(store, code="no digest"))

    with pytest.raises(NotRegistrable):
        approve_and_stumble()
    assert get_version(store, version) == version
    assert list_approvals(store, version) == ()
    assert len(events(store)) == before
