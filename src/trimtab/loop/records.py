"""The nouns of the loop: what a plan would change, and what an apply did."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

from trimtab.declare import Condition, RetrainingSpec, ServingSpec
from trimtab.kernel import Actor, digest_of

Sign = Literal["+", "~", "-", "="]
"""To add, to change, to remove, unchanged."""


class PlanItem(msgspec.Struct, frozen=True, kw_only=True):
    """One declared thing and what applying would do to it, in words."""

    sign: Sign
    kind: str
    name: str
    lines: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What `trimtab apply` would do. An item that stays as it is carries the sign ``=``."""

    project: str
    as_of: datetime
    items: tuple[PlanItem, ...]

    def count(self, sign: Sign) -> int:
        return sum(item.sign == sign for item in self.items)

    @property
    def has_changes(self) -> bool:
        return any(item.sign != "=" for item in self.items)

    def item(self, kind: str, name: str) -> PlanItem:
        return next(item for item in self.items if (item.kind, item.name) == (kind, name))

    def __str__(self) -> str:
        head = f"{self.project}  .  {self.count('+')} to add, {self.count('~')} to change, {self.count('-')} to remove"
        lines = [head]
        for item in self.items:
            if item.sign == "=" and self.has_changes:
                continue
            first, *more = item.lines or ("",)
            more = [] if item.sign == "=" else more
            lines.append(f"  {item.sign} {item.kind:<8} {item.name:<12} {first}".rstrip())
            lines += [" " * 26 + line for line in more]
        lines.append(
            "Nothing has changed. Run `trimtab apply` to do this."
            if self.has_changes
            else "Everything is as declared; there is nothing to do."
        )
        return "\n".join(lines)


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """A declared thing as it was last applied: its digest decides whether a file changes it."""

    project: str
    kind: str
    name: str
    digest: str
    spec: dict[str, Any]
    applied_at: datetime


class ModelPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Who approves a model's versions, which gate judges them, how they reach people, and when it is learnt again.

    ``removed``: the model is no longer declared, and with it goes all of this.
    """

    model: str
    accept: tuple[Condition, ...] = ()
    serving: ServingSpec | None = None
    retraining: RetrainingSpec | None = None
    removed: bool = False

    @property
    def digest(self) -> str:
        return digest_of(self)

    @property
    def is_governed(self) -> bool:
        """Whether it asks for somebody's approval, and so changes only with that approval."""
        return self.retraining is not None and self.retraining.approve_by is not None


class ProposalState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    """The file was applied again, and declares something else by now."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Another policy for a governed model, as somebody applied it. The one in force stays until it is approved.

    ``replaces`` is the policy in force when it was proposed, which says who is asked: the role ``approve_by``, and with
    ``other_than_author`` not whoever proposed it (``by``). An approval is bound to ``policy``'s digest.
    """

    id: str
    project: str
    policy: ModelPolicy
    replaces: ModelPolicy
    by: Actor
    because: str
    at: datetime
    file: str
    state: ProposalState = ProposalState.OPEN

    @property
    def model(self) -> str:
        return self.policy.model

    @property
    def approve_by(self) -> str:
        assert self.replaces.retraining is not None
        return self.replaces.retraining.approve_by or ""

    @property
    def other_than_author(self) -> bool:
        return self.replaces.retraining is not None and self.replaces.retraining.other_than_author


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn of the training path came to, for one model."""

    model: str
    version: int
    passed: bool
    evaluation: str
    verdict: tuple[str, ...]
    already_registered: bool = False

    @property
    def ref(self) -> str:
        return f"{self.model}@{self.version}"


# --- turns of the loop -----------------------------------------------------------------------------------------------


class TriggerKind(StrEnum):
    SCHEDULE = "schedule"
    DATA = "data"
    DRIFT = "drift"
    PERFORMANCE = "performance"
    HAND = "hand"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """Why a turn began: in one sentence, with one line of evidence for each condition that was looked at."""

    kind: TriggerKind
    text: str
    evidence: tuple[str, ...] = ()


class TurnState(StrEnum):
    """Where a turn of the loop stands. The last six are its ends."""

    TRAINING = "training"
    WAITING = "waiting"
    """Trained, judged and good enough; a person has to say yes."""
    SHADOW = "shadow"
    CANARY = "canary"
    FULL = "full"
    """It answers all traffic; late labels still have to confirm it."""
    KEPT = "kept"
    ROLLED_BACK = "rolled back"
    REFUSED = "refused"
    """Its gate did not pass."""
    REJECTED = "rejected"
    """A person said no."""
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        return self in _OPEN

    @property
    def rolls_out(self) -> bool:
        return self in (TurnState.SHADOW, TurnState.CANARY, TurnState.FULL)


_OPEN = (TurnState.TRAINING, TurnState.WAITING, TurnState.SHADOW, TurnState.CANARY, TurnState.FULL)


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a turn: when it entered which state, and why, with the lines of evidence that were looked at."""

    at: datetime
    state: TurnState
    text: str
    evidence: tuple[str, ...] = ()


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of the loop, from its trigger to its verdict. One id, one state machine.

    ``run`` is the pipeline run that trains, ``version`` what it registered, ``champion`` the version that answered
    when the rollout began (None: it is the first). ``stage`` counts the declared stages of the rollout from 0, and
    ``since`` is when the present state or stage was entered.
    """

    id: str
    model: str
    trigger: Trigger
    state: TurnState
    opened_at: datetime
    since: datetime
    run: str | None = None
    version: int | None = None
    champion: int | None = None
    stage: int = 0
    moves: tuple[Move, ...] = ()
    ended_at: datetime | None = None

    @property
    def ref(self) -> str | None:
        """The version that it is about, as ``model@n``."""
        return None if self.version is None else f"{self.model}@{self.version}"
