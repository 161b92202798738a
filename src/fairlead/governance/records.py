"""The answer to: why was this decided so?"""

from datetime import datetime
from typing import Any

import msgspec

from fairlead.data import Snapshot
from fairlead.evaluation import SavedEvaluation
from fairlead.registry import Approval, ApprovalState, Version
from fairlead.serving import Decision


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A feature value of a decision: how old it was (None: given with the request), and what declared it."""

    name: str
    value: float | int | str | bool | None
    age_s: float | None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, from the answer back to its rows, model, data, code, evaluation, and who approved it.

    ``missing`` names in words every part of the chain that could not be found; nothing is invented in its place.
    """

    decision: Decision
    features: tuple[Used, ...]
    version: Version | None
    snapshots: tuple[Snapshot, ...]
    evaluation: SavedEvaluation | None
    approval: Approval | None
    approval_state: ApprovalState | None
    explained_at: datetime
    missing: tuple[str, ...] = ()

    @property
    def result(self) -> dict[str, Any]:
        return dict(self.decision.result)
