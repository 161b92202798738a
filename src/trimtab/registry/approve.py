"""Say yes or no to a version, and tell whether a yes still holds."""

from typing import Literal

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from trimtab.evaluation import read_report
from trimtab.kernel import SYSTEM, Actor, TrimtabError, digest_of
from trimtab.registry.errors import AuthorApproves
from trimtab.registry.events import VersionApproved, VersionRejected, VersionRetired
from trimtab.registry.records import Approval, ApprovalState, Limits, Status, Version, VersionRef
from trimtab.registry.revoke import revoke_releases_of
from trimtab.registry.rows import check_model, find_version, locate, lock_version, names_of, text_of, version_of, yes_to
from trimtab.registry.tables import registry_approvals, registry_versions
from trimtab.store import Blobs, Change, NotAuthentic, Store, StoreAway, check_reason, events

MEANING = "approves release"


def approve(
    change: Change,
    ref: VersionRef | Version | str,
    *,
    because: str = "",
    override: str = "",
    role: str | None = None,
    meaning: str = MEANING,
    limits: Limits | None = None,
) -> Approval:
    """Approve a candidate, or again what is approved for a time: bind the yes to the digest of all that it covers.

    ``because`` (by default the change's) says why. A version whose gate did not pass needs ``override``, a reason of
    its own that every record of the approval shows. ``role`` is by default the one that the policy asks for. Raises
    ``GateFailed``, ``WrongStatus``, ``ReasonMissing``, or ``AuthorApproves`` where the policy asks for two persons.
    """
    version = lock_version(change.connection, VersionRef.of(ref))
    reason = check_reason(because or change.because, f"approve {version.ref}")
    version.may_be_approved(override=override)
    _refuse_author(change, version)
    approval = _approval(
        change, version, outcome="approved", because=reason, role=role or version.approve_by, meaning=meaning,
        override=override.strip() or None if not version.verdict_passed else None, limits=limits or Limits(),
    )  # fmt: skip
    event = VersionApproved(
        model=version.model, number=version.number, covered=approval.bound_to, approval=approval.id, role=approval.role,
        meaning=meaning, reason=reason, self_approved=approval.self_approved, override=approval.override,
        stages=approval.limits.stages, percent=approval.limits.percent, endpoint=approval.endpoint,
        expires_at=approval.expires_at,
    )  # fmt: skip
    return _keep(change, version, approval, Status.APPROVED, event)


def reject(change: Change, ref: VersionRef | Version | str, *, because: str = "") -> Approval:
    """Reject a candidate, or take back the approval of a version that is not the champion; its releases end.

    Raises ``WrongStatus``, ``InUse`` or ``ReasonMissing``.
    """
    version = lock_version(change.connection, VersionRef.of(ref))
    reason = check_reason(because or change.because, f"reject {version.ref}")
    version.may_be_rejected(aliases=names_of(change.connection, version))
    approval = _approval(
        change, version, outcome="rejected", because=reason, role=version.approve_by, meaning="refuses release",
        override=None, limits=Limits(stages=(), percent=0.0),
    )  # fmt: skip
    event = VersionRejected(
        model=version.model, number=version.number, covered=approval.bound_to, approval=approval.id, reason=reason,
        was=version.status.value,
    )  # fmt: skip
    kept = _keep(change, version, approval, Status.REJECTED, event)
    revoke_releases_of(change, version, because=reason)
    return kept


def reject_version(store: Store, ref: VersionRef | Version | str, *, actor: Actor, because: str) -> Approval:
    """Say no to a version, in a change of its own. Raises what ``reject`` raises."""
    with store.change(actor, because) as change:
        return reject(change, ref)


def retire(change: Change, ref: VersionRef | Version | str, *, because: str = "") -> Version:
    """Put a version out of use for good; its releases end. Raises ``WrongStatus``, ``InUse`` or ``ReasonMissing``."""
    version = lock_version(change.connection, VersionRef.of(ref))
    reason = check_reason(because or change.because, f"retire {version.ref}")
    version.may_be_retired(aliases=names_of(change.connection, version))
    _set_status(change, version, Status.RETIRED)
    change.record(
        VersionRetired(
            model=version.model, number=version.number, covered=version.covered, was=version.status.value, reason=reason
        )
    )
    revoke_releases_of(change, version, because=reason)
    return find_version(change.connection, VersionRef.of(version))


def approval_state(store: Store, ref: VersionRef | Version | str, *, id: str = "") -> ApprovalState:
    """Say whether a version's approval holds now: the newest, or that with an ``id``.

    Computes anew what the approval covers, from the version's record, reads every covered blob and verifies it, and
    compares with the approval's record and with the event in the ledger. Each difference is a reason.
    """
    return version_and_approval(store, ref, id=id)[1]


def version_and_approval(
    store: Store, ref: VersionRef | Version | str, *, id: str = ""
) -> tuple[Version, ApprovalState]:
    """Return what ``approval_state`` says, and the very record of the version that it is about.

    Who acts on an approval takes this one: read again, the row may be another by then.
    """
    with store.read() as connection:
        forged = _forged(connection, VersionRef.of(ref).model)
        place = locate(connection, VersionRef.of(ref))
        version = find_version(connection, place)
        approval = yes_to(connection, place, id=id)
    return version, _state_of(store, place, version, approval, forged)


def _state_of(
    store: Store, place: VersionRef, version: Version, approval: Approval | None, forged: tuple[str, ...]
) -> ApprovalState:
    if version.status is not Status.APPROVED or approval is None:
        why = f"no approval of {place} is recorded"
        if version.status is not Status.APPROVED:
            why = f"{place} is {version.status.value}, not approved"
        return ApprovalState(ref=str(place), valid=False, reasons=(why,), approval=approval)
    reasons = (
        *forged,
        *((f"the record of {place} is that of {version.ref}",) if version.ref != str(place) else ()),
        *_differences(version, approval),
        *_own_work(version, approval),
        *_ledger_differences(store, version, approval),
        *_blob_differences(store.blobs, approval),
        *_evaluation_differences(store.blobs, approval),
    )
    return ApprovalState(ref=str(place), valid=not reasons, reasons=reasons, approval=approval)


def _forged(connection: Connection, model: str) -> tuple[str, ...]:
    """Say whether rows of a model are others than the ledger says, or that this home cannot tell."""
    try:
        check_model(connection, model)
    except NotAuthentic as error:
        return (error.what,)
    return ()


def approval_event_position(store: Store, approval: Approval) -> int | None:
    """Return the ledger position of an approval's event, None when the ledger does not hold it."""
    found = events(store, subject=("approval", approval.id), type=VersionApproved.type)
    return next((event.position for event in found if event.id == approval.event_id), None)


def _differences(version: Version, approval: Approval) -> tuple[str, ...]:
    """Compare the version's record with the approval's."""
    now, then = version.covers(), approval.covered
    reasons = [
        f"{name.replace('_', ' ')} of {version.ref} is not the approved one"
        for name in now.__struct_fields__
        if getattr(now, name) != getattr(then, name)
    ]
    if (approval.model, approval.version) != (version.model, version.number):
        reasons.append(f"the approval is of {approval.model}@{approval.version}")
    if then.digest != approval.bound_to or version.covered != approval.bound_to:
        reasons.append(f"the approval is bound to {approval.bound_to[:19]}…, and the records have another digest")
    return tuple(reasons)


def _own_work(version: Version, approval: Approval) -> tuple[str, ...]:
    """Say whether an author approved where the policy asks for two persons: no door lets that happen."""
    if version.other_than_author and any(approval.by.is_same_person(author) for author in _makers(version)):
        return (f"{approval.by} approved their own work, and the policy asks for two persons",)
    return ()


def _ledger_differences(store: Store, version: Version, approval: Approval) -> tuple[str, ...]:
    """Compare the approval's record with the event that it was made with."""
    found = events(store, subject=("approval", approval.id), type=VersionApproved.type)
    event = next((one for one in found if one.id == approval.event_id), None)
    if event is None:
        return ("the ledger holds no event of this approval",)
    expected = {
        "model": version.model, "number": version.number, "covered": approval.bound_to, "role": approval.role,
        "meaning": approval.meaning, "reason": approval.because, "self_approved": approval.self_approved,
        "override": approval.override, "stages": list(approval.limits.stages), "percent": approval.limits.percent,
    }  # fmt: skip
    reasons = [f"{name} of the approval is not what the ledger says" for name, value in expected.items()
               if event.data.get(name) != value]  # fmt: skip
    if "endpoint" in event.data and event.data["endpoint"] != approval.endpoint:  # older events name none
        reasons.append("endpoint of the approval is not what the ledger says")
    if event.actor != approval.by or event.at != approval.at:
        reasons.append("the ledger names another approver or another time")
    return tuple(reasons)


def _blob_differences(blobs: Blobs, approval: Approval) -> tuple[str, ...]:
    """Verify every blob that the approval covers."""
    reasons = []
    for what, digest in approval.covered.blobs:
        try:
            blobs.check(digest)
        except StoreAway:
            raise  # that passes, and says nothing about the approval
        except TrimtabError as error:
            reasons.append(f"the {what} ({digest[:19]}…) cannot be read as it was approved: {error.what}")
    return tuple(reasons)


def _evaluation_differences(blobs: Blobs, approval: Approval) -> tuple[str, ...]:
    """Compare what the approval says of the verdict with the report that it covers."""
    covered = approval.covered
    if covered.evaluation is None:
        return () if covered.verdict_passed is None else ("a verdict is claimed, and there is no evaluation",)
    try:
        report = read_report(blobs, covered.evaluation)
    except StoreAway:
        raise
    except TrimtabError:
        return ()  # a blob that cannot be read was named already
    except msgspec.DecodeError:
        return ("the evaluation is not a report",)
    passed = report.verdict.passed if report.verdict else None
    digest = digest_of(report.verdict) if report.verdict else None
    measured = {covered.artifact, *(one.digest for one in covered.also)}
    reasons = []
    if (passed, digest) != (covered.verdict_passed, covered.verdict):
        reasons.append("the verdict is not the one in the evaluation")
    if report.model_digest not in measured:
        reasons.append("the evaluation is of other bytes than the model")
    return tuple(reasons)


def _approval(
    change: Change,
    version: Version,
    *,
    outcome: Literal["approved", "rejected"],
    because: str,
    role: str | None,
    meaning: str,
    override: str | None,
    limits: Limits,
) -> Approval:
    covered = version.covers()
    return Approval(
        id=change.new_id(), model=version.model, version=version.number, outcome=outcome, by=change.actor,
        because=because, role=role, meaning=meaning, self_approved=_is_own(change.connection, change.actor, version),
        override=override, limits=limits, bound_to=covered.digest, covered=covered, at=change.at, event_id="",
    )  # fmt: skip


def _keep(
    change: Change, version: Version, approval: Approval, status: Status, event: VersionApproved | VersionRejected
) -> Approval:
    approval = msgspec.structs.replace(approval, event_id=change.record(event))
    change.execute(
        insert(registry_approvals).values(
            id=approval.id, model=approval.model, version=approval.version, outcome=approval.outcome,
            by=approval.by.id, self_approved=approval.self_approved, bound_to=approval.bound_to,
            at=approval.at.isoformat(), record=text_of(approval),
        )
    )  # fmt: skip
    _set_status(change, version, status)
    return approval


def _set_status(change: Change, version: Version, status: Status) -> None:
    table = registry_versions
    query = update(table).where(table.c.model == version.model, table.c.number == version.number)
    change.execute(query.values(status=status.value))


def _refuse_author(change: Change, version: Version) -> None:
    """Raise ``AuthorApproves`` when the policy asks for two persons and the change is made by an author."""
    if not version.other_than_author:
        return
    for author, did in _authors(change.connection, version):
        if change.actor.is_same_person(author):
            same = change.actor.id == author.id
            raise AuthorApproves(
                f"{change.actor} cannot approve {version.ref}",
                where=f"version {version.ref}",
                who=str(author) if same else f"{change.actor} is no other person than {author}, who",
                did=did,
                version=version.ref,
            )


def _authors(connection: Connection, version: Version) -> list[tuple[Actor, str]]:
    """Return who made a version, and how: trained it, registered it, or registered another one of the same code.

    What the loop trains by itself has the code of a version that a person had trained.
    """
    query = select(registry_versions.c.status, registry_versions.c.record).where(
        registry_versions.c.model == version.model
    )
    found: list[tuple[Actor, str]] = []
    for other in (version_of(row.status, row.record) for row in connection.execute(query)):
        if other.lineage.code == version.lineage.code:
            how = "it" if other.number == version.number else f"{other.ref}, which has the same code"
            found.append((other.registered_by, f"registered {how}"))
            if other.lineage.trained_by is not None:
                found.append((Actor(other.lineage.trained_by), f"trained {how}"))
    return found


def _makers(version: Version) -> tuple[Actor, ...]:
    """Return who registered a version, and who trained it when that was another."""
    trained = version.lineage.trained_by
    return (version.registered_by, *(() if trained is None else (Actor(trained),)))


def _is_own(connection: Connection, actor: Actor, version: Version) -> bool:
    """Say whether an approver judges their own work: they made it, or nobody else ever took part here."""
    if any(actor.is_same_person(maker) for maker in _makers(version)):
        return True
    trained = connection.execute(select(registry_versions.c.person).distinct()).scalars()
    newest = select(func.max(registry_approvals.c.record)).group_by(registry_approvals.c.by)
    people = [Actor(person) for person in trained if person is not None]
    people += [msgspec.json.decode(record, type=Approval).by for record in connection.execute(newest).scalars()]
    return all(person.id == SYSTEM.id or actor.is_same_person(person) for person in people)
