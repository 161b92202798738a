"""Issue releases for approved versions, and check them before anything is loaded or served."""

import base64
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Row, insert, select

from trimtab.kernel import SYSTEM, Actor, Unavailable, canonical
from trimtab.registry.approve import approval_event_position, version_and_approval
from trimtab.registry.errors import ApprovalVoid, NotApproved, ReleaseMissing, ReleaseRefused
from trimtab.registry.events import ReleaseIssued
from trimtab.registry.keys import FILE, TRUSTED, ReleaseKeys, is_signed, key_id
from trimtab.registry.records import Approval, Status, Version, VersionRef
from trimtab.registry.rows import check_model, text_of
from trimtab.registry.statement import FIRST, Release, Statement
from trimtab.registry.tables import registry_releases
from trimtab.store import AlreadyDone, RowForged, RowsDamaged, Store

BECAUSE = "the version was approved"


def release_for(
    store: Store, ref: VersionRef | Version | str, *, actor: Actor = SYSTEM, because: str = BECAUSE
) -> Release:
    """Return the signed release of an approved version for this home's environment, issued now if there is none.

    Every covered byte is verified first. It may have expired: it is no longer loaded or routed anew then. Raises
    ``NotApproved``, ``ApprovalVoid`` with every reason, or ``ReleaseRefused`` when the release of this approval was
    revoked.
    """
    version, approval = _approved(store, ref)
    found = _release_of(store, approval)
    if found is None:
        return _issue(store, version, approval, actor=actor, because=because)
    release = release_in(found.release)
    _refuse_revoked(release, found)
    _refuse_other(store, release, version, approval)
    _check_signature(store, release)
    return release


def check_release(store: Store, release: Release) -> None:
    """Raise ``Refused`` unless a release holds now, in full: signature, record, approval and every covered byte.

    The signature is by this home's key or one that it trusts; the release is for this home's environment, is the one
    that was issued and was not revoked; the approval that it names holds. Whether it has expired is no part of this:
    what is loaded goes on answering.
    """
    _check_signature(store, release)
    table = registry_releases
    with store.read() as connection:
        check_model(connection, release.statement.model)
        row = connection.execute(select(table).where(table.c.id == release.statement.id)).one_or_none()
    if row is None or row.digest != release.digest:
        raise _refused(release, "was never issued here", "Its statement is not in the registry.")
    _refuse_revoked(release, row)
    _refuse_elsewhere(store, release)
    said = release.statement
    # Approved again meanwhile, what was released before still holds until its own approval is over.
    version, approval = _approved(store, VersionRef(said.model, said.version, ""), under=release)
    _refuse_other(store, release, version, approval)


def check_signature(key: Ed25519PublicKey, release: Release) -> None:
    """Raise ``ReleaseRefused`` unless ``key`` signed this release. Needs no store; says nothing about revocation."""
    if release.key != key_id(key) or not is_signed(key, release.signature, canonical(release.statement)):
        raise _refused(release, "is not signed by this key", "Its statement or its signature was changed.")


def get_release(store: Store, release_id: str) -> Release:
    """Return a release by its id, held or not. Raises ``ReleaseMissing``."""
    table = registry_releases
    with store.read() as connection:
        text = connection.execute(select(table.c.release).where(table.c.id == release_id)).scalar()
    if text is None:
        raise ReleaseMissing(f"there is no release {release_id[:40]!r}", where="releases")
    return release_in(text)


def release_in(text: str) -> Release:
    """Read a release from its row. Raises ``RowsDamaged``."""
    try:
        return msgspec.json.decode(text, type=Release)
    except msgspec.DecodeError:
        raise RowsDamaged("the record of a release cannot be read", where="releases") from None


def _approved(
    store: Store, ref: VersionRef | Version | str, *, under: Release | None = None
) -> tuple[Version, Approval]:
    version, state = version_and_approval(store, ref, id=under.statement.approval if under else "")
    if state.valid:
        assert state.approval is not None
        return version, state.approval
    where, reason = f"version {version.ref}", "; ".join(state.reasons) + "."
    if version.status is not Status.APPROVED:
        over = "" if version.status is Status.CANDIDATE else f"trimtab get models {version.model}"
        raise NotApproved(f"{version.ref} is not released", where=where, reason=reason, next=over, version=version.ref)
    if under is not None and state.approval is None:
        raise _refused(under, "names no approval of it", reason)
    raise ApprovalVoid(f"the approval of {version.ref} is void", where=where, reason=reason, version=version.ref)


def _issue(store: Store, version: Version, approval: Approval, *, actor: Actor, because: str) -> Release:
    position = approval_event_position(store, approval)
    if position is None:
        raise Unavailable(
            f"the approval of {version.ref} has no place in the ledger yet", where=f"version {version.ref}",
            why="Its event is still waiting to be sequenced.", next="try again in a moment",
        )  # fmt: skip
    key, here = ReleaseKeys.of(store).signing(), store.settings.environment
    try:
        # The key makes two processes that ask at once agree on one release.
        with store.change(actor, because, key=f"release-of-{approval.id}-for-{here}") as change:
            statement = Statement(
                id=change.new_id(), model=version.model, version=version.number, format=version.artifacts.format,
                artifact=version.artifacts.model, also=version.artifacts.also, signature=version.artifacts.signature,
                sample=version.artifacts.sample, task=version.task, view=version.lineage.view,
                features=version.lineage.features, evaluation=version.evaluation, covered=approval.bound_to,
                approval=approval.id, approved_by=approval.by.id, self_approved=approval.self_approved,
                position=position, limits=approval.limits, issued_at=change.at, endpoint=approval.endpoint,
                environment=here, expires_at=approval.expires_at or msgspec.UNSET,
            )  # fmt: skip
            signature = base64.b64encode(key.sign(canonical(statement))).decode()
            release = Release(statement=statement, key=key_id(key.public_key()), signature=signature)
            change.execute(
                insert(registry_releases).values(
                    id=statement.id, digest=release.digest, model=version.model, version=version.number,
                    approval_id=approval.id, key=release.key, release=text_of(release),
                    issued_at=change.at.isoformat(),
                )
            )  # fmt: skip
            change.record(
                ReleaseIssued(
                    model=version.model, number=version.number, covered=approval.bound_to, release=statement.id,
                    release_digest=release.digest, approval=approval.id, key=release.key, endpoint=approval.endpoint,
                    environment=here, expires_at=approval.expires_at,
                )
            )  # fmt: skip
            return release
    except AlreadyDone:
        if _release_of(store, approval) is None:
            raise RowForged(f"the release of {version.ref} was taken out", where=f"version {version.ref}") from None
        return release_for(store, version, actor=actor, because=because)


def _release_of(store: Store, approval: Approval) -> Row[Any] | None:
    table = registry_releases
    query = select(table).where(table.c.approval_id == approval.id).order_by(table.c.id)
    with store.read() as connection:
        check_model(connection, approval.model)
        rows = connection.execute(query).all()
    here = store.settings.environment
    return next((row for row in rows if release_in(row.release).statement.holds_in(here)), None)


def _refuse_revoked(release: Release, row: Row[Any]) -> None:
    if row.revoked_at is not None:
        raise _refused(release, "was revoked", f"By {row.revoked_by} at {row.revoked_at}: {row.revoked_because}.")


def _refuse_elsewhere(store: Store, release: Release) -> None:
    """Refuse the release of another environment than this home's."""
    said, here = release.statement, store.settings.environment
    if not said.holds_in(here):
        raise ReleaseRefused(
            f"the release of {release.ref} is for the environment {said.environment}", where=f"release {said.id}",
            why=f"This home is {here}, as its setting environment says, and a release holds in one environment.",
            next=f"trimtab serve {release.ref} --because '...', which releases it for {here}", model=said.model,
        )  # fmt: skip


def _refuse_other(store: Store, release: Release, version: Version, approval: Approval) -> None:
    """Refuse a release that says other things than the version and its approval, each checked on its own."""
    said = release.statement
    expected = {
        "model": version.model, "version": version.number, "format": version.artifacts.format,
        "artifact": version.artifacts.model, "also": version.artifacts.also, "signature": version.artifacts.signature,
        "sample": version.artifacts.sample, "task": version.task, "view": version.lineage.view,
        "features": version.lineage.features, "evaluation": version.evaluation, "covered": approval.bound_to,
        "approval": approval.id, "approved_by": approval.by.id, "self_approved": approval.self_approved,
        "position": approval_event_position(store, approval), "limits": approval.limits,
    }  # fmt: skip
    if said.type != FIRST:
        expected |= {"endpoint": approval.endpoint, "expires_at": approval.expires_at or msgspec.UNSET}
    for name, value in expected.items():
        if getattr(said, name) != value:
            raise _refused(release, "does not say what was approved", f"Its {name.replace('_', ' ')} differs.")


def _check_signature(store: Store, release: Release) -> None:
    key = ReleaseKeys.of(store).trusted().get(release.key)
    if key is None:
        raise ReleaseRefused(
            f"the release of {release.ref} is signed by {release.key[:40]}",
            where=f"release {release.statement.id}",
            why="That is neither this home's key nor one in keys/trusted.",
            next=f"copy keys/{FILE}.pub of the home where it was approved to keys/{TRUSTED}/approver.pub of this one",
        )
    check_signature(key, release)


def _refused(release: Release, what: str, why: str) -> ReleaseRefused:
    said = release.statement
    return ReleaseRefused(f"the release of {release.ref} {what}", where=f"release {said.id}", why=why, model=said.model)
