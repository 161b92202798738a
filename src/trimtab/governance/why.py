"""Follow one decision back to everything that it rests on."""

from collections.abc import Callable
from typing import TypeVar

from trimtab.data import get_snapshot
from trimtab.evaluation import get_evaluation
from trimtab.governance.records import Used, Why
from trimtab.kernel import TrimtabError
from trimtab.registry import approval_state, get_version
from trimtab.serving import Decision, find_decision
from trimtab.store import Store

T = TypeVar("T")


class _Trail:
    """Looks for the parts of a chain and remembers, in words, what it did not find."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def find(self, what: str, look: Callable[[], T]) -> T | None:
        try:
            return look()
        except TrimtabError as error:
            self.missing.append(f"{what}: {error.what}. {error.why}")
            return None


def why(store: Store, decision_id: str) -> Why:
    """Explain one served decision. Raises ``DecisionUnknown`` when the log does not hold it.

    A part of the chain that cannot be found, or that fails its verification, is named in ``missing`` with the reason.
    """
    decision = find_decision(store, decision_id)
    trail = _Trail()
    ref = f"{decision.model}@{decision.version}"
    version = trail.find(f"version {ref}", lambda: get_version(store, ref))
    state = trail.find(f"approval of {ref}", lambda: approval_state(store, ref))
    evaluation = None
    if version is not None and version.evaluation_id is not None:
        evaluation_id = version.evaluation_id
        evaluation = trail.find("evaluation", lambda: get_evaluation(store, evaluation_id))
    elif version is not None:
        trail.missing.append(f"evaluation: {ref} was registered without one")
    snapshots = [
        trail.find(f"snapshot {id_}", lambda id_=id_: get_snapshot(store, id_))  # type: ignore[misc]
        for id_ in (version.lineage.snapshots if version else ())
    ]
    if state is not None and not state.valid:
        trail.missing += [f"approval of {ref} does not hold: {reason}" for reason in state.reasons]
    return Why(
        decision=decision, features=_used(decision), version=version, evaluation=evaluation,
        snapshots=tuple(snapshot for snapshot in snapshots if snapshot is not None),
        approval=state.approval if state else None, approval_state=state, explained_at=store.clock.now(),
        missing=tuple(trail.missing),
    )  # fmt: skip


def _used(decision: Decision) -> tuple[Used, ...]:
    ages = decision.ages_s or (None,) * len(decision.columns)
    return tuple(
        Used(name=name, value=value, age_s=age)
        for name, value, age in zip(decision.columns, decision.values, ages, strict=True)
    )
