"""A release: the signed statement that the loader and the router demand."""

from datetime import datetime
from typing import Literal

import msgspec

from trimtab.kernel import digest_of, digest_of_bytes
from trimtab.registry.errors import ReleaseRefused
from trimtab.registry.records import Artifact, Limits

FIRST: Literal["trimtab.release/v1"] = "trimtab.release/v1"
TYPE: Literal["trimtab.release/v2"] = "trimtab.release/v2"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed: which bytes may be loaded and served, on whose word, and how far.

    ``covered`` is the digest that the approval is bound to, ``position`` the approval's place in the ledger.
    ``artifact`` and ``also`` are the digests of the model's bytes in their formats, ``signature`` that of the blob
    which names its inputs, ``view`` and ``features`` the feature view and its digest. ``endpoint`` and ``environment``
    say where it holds, ``expires_at`` until when it is loaded and routed anew (unset: for good). Statements of the
    first form, v1, name none of the three.
    """

    type: Literal["trimtab.release/v1", "trimtab.release/v2"] = TYPE
    id: str
    model: str
    version: int
    format: str
    artifact: str
    also: tuple[Artifact, ...]
    signature: str
    sample: str | None
    task: Literal["classification", "regression"] | None
    view: str | None
    features: str | None
    evaluation: str | None
    covered: str
    approval: str
    approved_by: str
    self_approved: bool
    position: int
    limits: Limits
    issued_at: datetime
    endpoint: str | msgspec.UnsetType = msgspec.UNSET
    environment: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET

    def holds_in(self, environment: str) -> bool:
        """Say whether it holds in an environment; a statement of the first form holds in any."""
        return self.environment in (msgspec.UNSET, environment)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, the id of the key that signed its canonical JSON, and the Ed25519 signature in base64."""

    statement: Statement
    key: str
    signature: str

    @property
    def ref(self) -> str:
        return f"{self.statement.model}@{self.statement.version}"

    @property
    def digest(self) -> str:
        """Return the digest of the signed statement: the name of this release everywhere else."""
        return digest_of(self.statement)

    def admit(self, data: bytes) -> Artifact:
        """Return what these bytes are in the release; raise ``ReleaseRefused`` when it covers other bytes."""
        said = self.statement
        digest = digest_of_bytes(data)
        for artifact in (Artifact(format=said.format, digest=said.artifact), *said.also):
            if artifact.digest == digest:
                return artifact
        raise ReleaseRefused(
            f"the release of {self.ref} covers other bytes",
            where=f"release {said.id}",
            why=f"These have the digest {digest[:19]}…, and {said.artifact[:19]}… was released.",
            model=said.model,
        )
