"""What the registry tells the ledger."""

from datetime import datetime

from trimtab.store import Event, Subject


class ModelAdded(Event, frozen=True, kw_only=True):
    """A model came into being with its first version."""

    type = "registry.model-added"

    model: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("model", self.model),)


class _VersionEvent(Event, frozen=True, kw_only=True):
    """Something about one version; ``covered`` is the digest of everything that it is bound to."""

    model: str
    number: int
    covered: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("version", f"{self.model}@{self.number}", self.covered), Subject("model", self.model))


class VersionRegistered(_VersionEvent, frozen=True, kw_only=True):
    """A trained model was registered, bound to digests."""

    type = "registry.version-registered"

    artifact: str
    format: str
    evaluation_id: str | None
    evaluation: str | None
    verdict_passed: bool | None
    run_id: str | None
    pipeline_run_id: str | None

    def subjects(self) -> tuple[Subject, ...]:
        linked = (("evaluation", self.evaluation_id), ("run", self.run_id), ("pipeline_run", self.pipeline_run_id))
        return (*super().subjects(), *(Subject(kind, id_) for kind, id_ in linked if id_))

    def after(self) -> str | None:
        return self.covered


class VersionApproved(_VersionEvent, frozen=True, kw_only=True):
    """Somebody said yes. ``covered`` is what the approval is bound to."""

    type = "registry.version-approved"

    approval: str
    role: str | None
    meaning: str
    reason: str
    self_approved: bool
    override: str | None
    stages: tuple[str, ...]
    percent: float
    endpoint: str
    expires_at: datetime | None

    def subjects(self) -> tuple[Subject, ...]:
        return (*super().subjects(), Subject("approval", self.approval))


class ApprovalRefused(_VersionEvent, frozen=True, kw_only=True):
    """Somebody wanted to approve a version and was refused: by the rule of two persons, or by the gate."""

    type = "registry.approval-refused"

    code: str
    what: str


class VersionRejected(_VersionEvent, frozen=True, kw_only=True):
    """Somebody said no, or took back a yes."""

    type = "registry.version-rejected"

    approval: str
    reason: str
    was: str

    def subjects(self) -> tuple[Subject, ...]:
        return (*super().subjects(), Subject("approval", self.approval))


class VersionRetired(_VersionEvent, frozen=True, kw_only=True):
    """A version is no longer to be used."""

    type = "registry.version-retired"

    was: str
    reason: str


class AliasMoved(Event, frozen=True, kw_only=True):
    """An alias names another version now, or none."""

    type = "registry.alias-moved"

    model: str
    alias: str
    was: int | None
    now: int | None
    was_covered: str | None
    now_covered: str | None

    def subjects(self) -> tuple[Subject, ...]:
        moved = [Subject("version", f"{self.model}@{number}") for number in (self.now, self.was) if number]
        return (Subject("model", self.model), *moved)

    def before(self) -> str | None:
        return self.was_covered

    def after(self) -> str | None:
        return self.now_covered


class ReleaseIssued(_VersionEvent, frozen=True, kw_only=True):
    """A signed statement lets the loader and the router use a version."""

    type = "registry.release-issued"

    release: str
    release_digest: str
    approval: str
    key: str
    endpoint: str
    environment: str
    expires_at: datetime | None

    def subjects(self) -> tuple[Subject, ...]:
        return (*super().subjects(), Subject("release", self.release, self.release_digest))

    def after(self) -> str | None:
        return self.release_digest


class ReleaseRevoked(_VersionEvent, frozen=True, kw_only=True):
    """A release does not hold any more."""

    type = "registry.release-revoked"

    release: str
    release_digest: str
    reason: str

    def subjects(self) -> tuple[Subject, ...]:
        return (*super().subjects(), Subject("release", self.release, self.release_digest))

    def before(self) -> str | None:
        return self.release_digest
