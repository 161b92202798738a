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
