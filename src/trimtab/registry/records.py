"""The nouns of the registry: models, versions with what they are bound to, approvals and aliases."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import msgspec

from trimtab.kernel import Actor, digest_of
from trimtab.registry.errors import GateFailed, InUse, NameNotUsable, NotApproved, WrongStatus

CHAMPION = "champion"
CHALLENGER = "challenger"
LATEST = "latest"
"""The newest version: always there, never set by hand."""

_MODEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class Status(StrEnum):
    CANDIDATE = "candidate"
    APPROVED = "approved"
    REJECTED = "rejected"
    RETIRED = "retired"


class VersionRef(msgspec.Struct, frozen=True):
    """Names one version: by number, or by an alias (a bare model name means its champion)."""

    model: str
    version: int | None = None
    alias: str = CHAMPION

    @classmethod
    def parse(cls, text: str) -> "VersionRef":
        """Read ``late@3``, ``late@champion`` or ``late``. Raises ``NameNotUsable``."""
        model, at, rest = text.strip().partition("@")
        check_model_name(model, where=f"reference {text[:80]!r}")
        if not at:
            return cls(model)
        if rest.isascii() and rest.isdigit() and rest[0] != "0" and len(rest) <= 9:
            return cls(model, int(rest), "")
        if not _ALIAS.fullmatch(rest):
            raise NameNotUsable(f"{text[:80]!r} names no version", where=f"reference {text[:80]!r}")
        return cls(model, None, rest)

    @classmethod
    def of(cls, ref: "VersionRef | Version | str") -> "VersionRef":
        """Return the reference itself, that of a version, or the one that a text writes."""
        if isinstance(ref, Version):
            return cls(ref.model, ref.number, "")
        return cls.parse(ref) if isinstance(ref, str) else ref

    def __str__(self) -> str:
        return f"{self.model}@{self.version or self.alias}"


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes in the blob store, and the format in which they hold a model: ``skops``, ``onnx``, ..."""

    format: str
    digest: str


class ModelArtifacts(msgspec.Struct, frozen=True, kw_only=True):
    """What training left, each as the digest of its blob.

    ``model`` are the model's bytes in ``format``; ``also`` the same model in other formats; ``signature`` names the
    inputs and outputs; ``sample`` holds a few input rows.
    """

    model: str
    format: str
    signature: str
    sample: str | None = None
    also: tuple[Artifact, ...] = ()


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a version was made from. Digests are covered by its approval; ids lead to the records.

    ``data``: digests of the snapshots' blobs, and ``snapshots`` their ids; ``features``: digest of the view ``view``;
    ``policy``: digest of the declaration that was in force (model, acceptance, rollout); ``trained_by``: id of the
    actor whose training this was, when another one registers it.
    """

    data: tuple[str, ...]
    code: str
    environment: str
    features: str | None = None
    policy: str | None = None
    view: str | None = None
    snapshots: tuple[str, ...] = ()
    run_id: str | None = None
    pipeline_run_id: str | None = None
    trained_by: str | None = None


class Covered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that an approval vouches for. Its canonical JSON is what is signed for: one byte changed voids it.

    ``other_than_author`` and ``expires_s`` came later than the rest, and are left out where they are not asked for.
    """

    model: str
    task: str | None
    artifact: str
    format: str
    also: tuple[Artifact, ...]
    signature: str
    sample: str | None
    params: str
    data: tuple[str, ...]
    view: str | None
    features: str | None
    code: str
    environment: str
    policy: str | None
    evaluation: str | None
    verdict: str | None
    verdict_passed: bool | None
    other_than_author: bool = False
    expires_s: float | None = None

    @property
    def digest(self) -> str:
        return digest_of(self)

    @property
    def blobs(self) -> tuple[tuple[str, str], ...]:
        """What must lie in the blob store, as (what, digest)."""
        found = [("model", self.artifact), ("signature", self.signature)]
        found += [(f"{one.format} form of the model", one.digest) for one in self.also]
        found += [("sample", self.sample)] if self.sample else []
        found += [("evaluation", self.evaluation)] if self.evaluation else []
        return (*found, *(("data snapshot", digest) for digest in self.data))


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One trained model, bound to what it was made from. ``covered`` is the digest of its ``Covered`` record.

    ``verdict_passed`` is None when it was registered without an evaluation or the evaluation without a gate.
    ``approve_by`` is the role that the policy names for its approval; with ``other_than_author`` it also asks for two
    persons, and an approval holds for ``expires_s`` seconds (None: for good).
    """

    model: str
    number: int
    status: Status
    artifacts: ModelArtifacts
    lineage: Lineage
    params: dict[str, Any]
    task: Literal["classification", "regression"] | None
    evaluation_id: str | None
    evaluation: str | None
    verdict: str | None
    verdict_passed: bool | None
    covered: str
    approve_by: str | None
    description: str
    registered_at: datetime
    registered_by: Actor
    event_id: str
    other_than_author: bool = False
    expires_s: float | None = None

    @property
    def ref(self) -> str:
        return f"{self.model}@{self.number}"

    def covers(self) -> Covered:
        """Return what an approval of this version vouches for, from the version's own fields."""
        return Covered(
            model=self.model, task=self.task, artifact=self.artifacts.model, format=self.artifacts.format,
            also=self.artifacts.also, signature=self.artifacts.signature, sample=self.artifacts.sample,
            params=digest_of(self.params), data=self.lineage.data, view=self.lineage.view,
            features=self.lineage.features, code=self.lineage.code, environment=self.lineage.environment,
            policy=self.lineage.policy, evaluation=self.evaluation, verdict=self.verdict,
            verdict_passed=self.verdict_passed, other_than_author=self.other_than_author, expires_s=self.expires_s,
        )  # fmt: skip

    def waits_for_approval(self, *, champion: int) -> bool:
        """Say whether a person is asked for a yes or a no: a candidate that passed its gate, newer than the champion.

        ``champion`` is the number of the version that answers, 0 without one.
        """
        return self.status is Status.CANDIDATE and self.verdict_passed is True and self.number > champion

    def may_be_approved(self, *, override: str = "") -> None:
        """Raise ``WrongStatus`` unless a candidate, and ``GateFailed`` unless its gate passed or is overridden.

        What is approved for a time only may be approved again, before or after that time is over.
        """
        if not (self.status is Status.APPROVED and self.expires_s):
            self._must_be(Status.CANDIDATE, to="approved")
        if not self.verdict_passed and not override.strip():
            raise GateFailed(
                f"{self.ref} {self._verdict()}",
                where=f"version {self.ref}",
                reason="Approving it needs a reason of its own, which its record then shows.",
                version=self.ref,
            )

    def may_be_rejected(self, *, aliases: tuple[str, ...]) -> None:
        """Raise ``WrongStatus`` for what is over already, and ``InUse`` for the champion."""
        if self.status not in (Status.CANDIDATE, Status.APPROVED):
            self._must_be(Status.CANDIDATE, to="rejected")
        self._not_champion(aliases, to="rejected")

    def may_be_retired(self, *, aliases: tuple[str, ...]) -> None:
        """Raise ``WrongStatus`` for what is retired already, and ``InUse`` for the champion."""
        if self.status is Status.RETIRED:
            self._must_be(Status.APPROVED, to="retired")
        self._not_champion(aliases, to="retired")

    def may_be_champion(self) -> None:
        """Raise ``NotApproved`` unless it is approved."""
        if self.status is not Status.APPROVED:
            raise NotApproved(
                f"{self.ref} cannot become the champion",
                where=f"version {self.ref}",
                reason=f"It is {self.status.value}, and only an approved version answers people.",
                version=self.ref,
            )

    def _verdict(self) -> str:
        if self.verdict_passed is False:
            return "did not pass its gate"
        return "was never judged by a gate" if self.evaluation else "was never evaluated"

    def _must_be(self, status: Status, *, to: str) -> None:
        if self.status is not status:
            raise WrongStatus(
                f"{self.ref} is {self.status.value} and cannot be {to}",
                where=f"version {self.ref}",
                model=self.model,
            )

    def _not_champion(self, aliases: tuple[str, ...], *, to: str) -> None:
        if CHAMPION in aliases:
            raise InUse(f"{self.ref} is the champion and cannot be {to}", where=f"version {self.ref}", model=self.model)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A name under which versions are numbered from 1, with its aliases."""

    name: str
    owner: str
    description: str
    added_at: datetime
    added_by: str
    versions: int
    aliases: dict[str, int]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How far an approval goes: the stages that it allows, and the largest share of traffic in percent.

    ``endpoint`` is the only one at which it holds (unset: the one that is named like the model).
    """

    stages: tuple[Literal["shadow", "canary", "full"], ...] = ("shadow", "canary", "full")
    percent: float = 100.0
    endpoint: str | msgspec.UnsetType = msgspec.UNSET


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A person's yes or no to a version, bound to the digest of everything that it covers.

    ``self_approved``: the approver registered or trained it, or nobody else takes part in this registry.
    ``override`` is the reason for approving although the gate did not pass. ``role`` is the one that the policy asks
    for; it is recorded here and enforced where callers are authorised.
    """

    id: str
    model: str
    version: int
    outcome: Literal["approved", "rejected"]
    by: Actor
    because: str
    role: str | None
    meaning: str
    self_approved: bool
    override: str | None
    limits: Limits
    bound_to: str
    covered: Covered
    at: datetime
    event_id: str

    @property
    def endpoint(self) -> str:
        """Return the endpoint at which it holds."""
        return self.limits.endpoint or self.model

    @property
    def expires_at(self) -> datetime | None:
        """Return when it is over; None: it holds for good."""
        return self.at + timedelta(seconds=self.covered.expires_s) if self.covered.expires_s else None


class ApprovalState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a version's approval holds now, and every reason why not."""

    ref: str
    valid: bool
    reasons: tuple[str, ...] = ()
    approval: Approval | None = None


def check_model_name(name: str, *, where: str) -> None:
    """Raise ``NameNotUsable`` for what cannot name a model."""
    if not _MODEL.fullmatch(name):
        raise NameNotUsable(
            f"{name[:80]!r} cannot name a model",
            where=where,
            why="A name begins with a letter and has at most 100 letters, digits, '_', '.' and '-'.",
            next="write for example late, late@3 or late@champion",
        )


def check_alias(alias: str, *, where: str) -> None:
    """Raise ``NameNotUsable`` for what cannot be an alias."""
    if not _ALIAS.fullmatch(alias) or alias == LATEST:
        raise NameNotUsable(
            f"{alias[:80]!r} cannot be an alias",
            where=where,
            why=f"An alias is a small letter, then at most 62 small letters, digits, '_' and '-'; {LATEST} is always "
            "the newest version.",
            next="write for example champion, challenger or nightly",
        )
