"""What the loop tells the ledger."""

from typing import ClassVar

from trimtab.loop.records import Trigger, TurnState
from trimtab.store import Event, Subject


class DeclarationApplied(Event, frozen=True, kw_only=True):
    """A declared thing is in force from here on (or, with no digest, is no longer declared)."""

    type: ClassVar[str] = "loop.declaration-applied"
    project: str
    kind: str
    name: str
    digest: str | None
    replaced: str | None = None

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject(self.kind, self.name, self.digest), Subject("project", self.project))

    def before(self) -> str | None:
        return self.replaced

    def after(self) -> str | None:
        return self.digest


class _PolicyEvent(Event, frozen=True, kw_only=True):
    """Something about a proposed policy of a governed model; ``digest`` is that of the policy as it was proposed."""

    project: str
    model: str
    proposal: str
    digest: str

    def subjects(self) -> tuple[Subject, ...]:
        return (
            Subject("policy", self.model, self.digest), Subject("proposal", self.proposal), Subject("model", self.model)
        )  # fmt: skip


class PolicyProposed(_PolicyEvent, frozen=True, kw_only=True):
    """Somebody applied another policy for a governed model; ``replaced`` is the one that stays in force until a yes."""

    type: ClassVar[str] = "loop.policy-proposed"
    replaced: str
    approve_by: str
    other_than_author: bool
    changes: tuple[str, ...]

    def before(self) -> str | None:
        return self.replaced


class PolicyApproved(_PolicyEvent, frozen=True, kw_only=True):
    """Somebody said yes to a proposed policy: it is in force from here on."""

    type: ClassVar[str] = "loop.policy-approved"
    replaced: str
    role: str
    reason: str
    self_approved: bool

    def before(self) -> str | None:
        return self.replaced

    def after(self) -> str | None:
        return self.digest


class PolicyRejected(_PolicyEvent, frozen=True, kw_only=True):
    """Somebody said no to a proposed policy: the one in force stays."""

    type: ClassVar[str] = "loop.policy-rejected"
    reason: str


class PolicyWithdrawn(_PolicyEvent, frozen=True, kw_only=True):
    """A proposed policy gave way, undecided, to what the file declares by now."""

    type: ClassVar[str] = "loop.policy-withdrawn"


class TurnOpened(Event, frozen=True, kw_only=True):
    """A turn of the loop began."""

    type: ClassVar[str] = "loop.turn-opened"
    turn: str
    model: str
    trigger: Trigger
    state: TurnState
    digest: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("turn", self.turn, self.digest), Subject("model", self.model))

    def after(self) -> str | None:
        return self.digest


class TurnMoved(Event, frozen=True, kw_only=True):
    """A turn entered its next state, or the next stage of its rollout."""

    type: ClassVar[str] = "loop.turn-moved"
    turn: str
    model: str
    ref: str | None
    was: TurnState
    now: TurnState
    stage: int
    text: str
    evidence: tuple[str, ...] = ()
    replaced: str
    digest: str

    def subjects(self) -> tuple[Subject, ...]:
        found = (Subject("turn", self.turn, self.digest), Subject("model", self.model))
        return found if self.ref is None else (*found, Subject("version", self.ref))

    def before(self) -> str | None:
        return self.replaced

    def after(self) -> str | None:
        return self.digest


class RolledBack(Event, frozen=True, kw_only=True):
    """A version left its endpoint for the one before it: model, features, preprocessing and thresholds in one move."""

    type: ClassVar[str] = "loop.rolled-back"
    endpoint: str
    ref: str
    to: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("version", self.ref), Subject("version", self.to), Subject("endpoint", self.endpoint))
