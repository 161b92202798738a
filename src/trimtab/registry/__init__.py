"""Phase 5: which models there are, who said yes to which, and the signed word that lets one be served.

In: a trained model's digests with its evaluation. Out: numbered versions bound to data, code, environment, features
and evaluation; approvals that are void as soon as one covered byte changes; aliases; and releases, signed statements
that the loader and the router demand.
"""

from trimtab.registry.alias import drop_alias, set_alias
from trimtab.registry.api import SampleRows, VersionAnswer, routes
from trimtab.registry.approve import MEANING, approval_state, approve, reject, reject_version, retire
from trimtab.registry.errors import (
    ApprovalVoid,
    AuthorApproves,
    GateFailed,
    InUse,
    ModelMissing,
    NameNotUsable,
    NotApproved,
    NotRegistrable,
    ReleaseMissing,
    ReleaseRefused,
    VersionMissing,
    WrongStatus,
)
from trimtab.registry.events import (
    AliasMoved,
    ModelAdded,
    ReleaseIssued,
    ReleaseRevoked,
    VersionApproved,
    VersionRegistered,
    VersionRejected,
    VersionRetired,
)
from trimtab.registry.find import (
    ModelPage,
    VersionPage,
    aliases,
    all_models,
    all_versions,
    approved_until,
    get_model,
    get_version,
    list_approvals,
    list_models,
    list_releases,
    list_versions,
    waiting_versions,
)
from trimtab.registry.keys import ReleaseKeys, key_id, public_pem, read_public_key
from trimtab.registry.records import (
    CHALLENGER,
    CHAMPION,
    LATEST,
    Approval,
    ApprovalState,
    Artifact,
    Covered,
    Limits,
    Lineage,
    Model,
    ModelArtifacts,
    Status,
    Version,
    VersionRef,
)
from trimtab.registry.refused import refused_approvals
from trimtab.registry.register import register_version
from trimtab.registry.release import check_release, check_signature, get_release, release_for
from trimtab.registry.retention import asks_for_approval, needed_by_versions
from trimtab.registry.revoke import revoke_release
from trimtab.registry.rows import check_model, has_model
from trimtab.registry.sample import sample_rows
from trimtab.registry.statement import Release, Statement

__all__ = [
    "CHALLENGER", "CHAMPION", "LATEST", "MEANING", "AliasMoved", "Approval", "ApprovalState", "ApprovalVoid",
    "Artifact", "AuthorApproves", "Covered", "GateFailed", "InUse", "Limits", "Lineage", "Model", "ModelAdded",
    "ModelArtifacts", "ModelMissing", "ModelPage", "NameNotUsable", "NotApproved", "NotRegistrable",
    "Release", "ReleaseIssued", "ReleaseKeys", "ReleaseMissing", "ReleaseRefused", "ReleaseRevoked", "SampleRows",
    "Statement", "Status", "Version", "VersionAnswer", "VersionApproved", "VersionMissing", "VersionPage",
    "VersionRef", "VersionRegistered", "VersionRejected", "VersionRetired", "WrongStatus", "aliases", "all_models",
    "all_versions", "approval_state", "approve", "approved_until", "asks_for_approval", "check_model", "check_release",
    "check_signature", "drop_alias", "get_model", "get_release", "get_version", "has_model", "key_id",
    "list_approvals", "list_models", "list_releases", "list_versions", "needed_by_versions", "public_pem",
    "read_public_key", "refused_approvals", "register_version", "reject", "reject_version", "release_for", "retire",
    "revoke_release", "routes", "sample_rows", "set_alias", "waiting_versions",
]  # fmt: skip
