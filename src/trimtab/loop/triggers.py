"""Decide whether it is time to learn again: the declared policy, held back by its frequency, steadiness and budget."""

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import takewhile

from trimtab.declare import Condition, Every, Metric, ModelSpec, RetrainingSpec, Scaled
from trimtab.kernel import Actor, NotFound
from trimtab.loop.marks import get_mark, set_mark
from trimtab.loop.measures import in_service
from trimtab.loop.policy import Judged, judge_policy
from trimtab.loop.records import Trigger, TriggerKind, Turn, TurnState
from trimtab.loop.turns import each_turn, list_turns, open_turn
from trimtab.pipelines import get_pipeline_run
from trimtab.store import Store

YEAR = timedelta(days=365)
AFTER_TROUBLE = timedelta(hours=1)
"""How long after a turn that something outside has spoiled the next one begins at the earliest."""
STEADY = "steady-since"


def due(store: Store, model: ModelSpec, *, version: int, since: datetime) -> Trigger | None:
    """Return why a new turn should begin now, or None.

    ``since`` is when ``version`` began to answer. The policy must have held for its ``steady_s`` without a break; a
    turn began at least ``at_most_s`` ago; and fewer than ``budget`` turns began by themselves in the last 365 days.
    A turn that failed because a source, the database or the program was away counts as none of them.
    """
    policy, now = model.retraining, store.clock.now()
    if policy is None:
        return None
    newest = list_turns(store, model.name, limit=1)
    last = newest[0].opened_at if newest else since
    if newest and _was_spoiled(store, newest[0]):
        if now - last < AFTER_TROUBLE:
            return None
        counted = (turn.opened_at for turn in each_turn(store, model.name) if not _was_spoiled(store, turn))
        last = next(counted, since)
    if policy.at_most_s is not None and now - last < timedelta(seconds=policy.at_most_s):
        return None
    judged = judge_policy(policy.when, in_service(store, model.name, version, since=since, now=now), last=last, now=now)
    if not _is_steady(store, model.name, policy, judged, since=max(last, since), now=now):
        return None
    if policy.budget is not None and _begun_by_itself(store, model.name, since=now - YEAR) >= policy.budget:
        return None
    return Trigger(kind=_kind(judged), text="; ".join(judged.said), evidence=judged.lines)


def _begun_by_itself(store: Store, model: str, *, since: datetime) -> int:
    lately = takewhile(lambda turn: turn.opened_at > since, each_turn(store, model))
    return sum(turn.trigger.kind is not TriggerKind.HAND and not _was_spoiled(store, turn) for turn in lately)


def _was_spoiled(store: Store, turn: Turn) -> bool:
    """Say whether a turn failed because something outside was away: that is nobody's, and counts as no turn."""
    if turn.state is not TurnState.FAILED or turn.run is None:
        return False
    with suppress(NotFound):  # the run may be gone by now
        errors = [step.error for step in get_pipeline_run(store, turn.run).steps if step.error is not None]
        return bool(errors) and all(error.is_outside for error in errors)
    return False


def start_turn(store: Store, model: str, trigger: Trigger, *, actor: Actor) -> Turn:
    """Open a turn for a trigger. Raises ``TurnOpen`` when the model has one."""
    with store.change(actor, trigger.text) as change:
        return open_turn(change, model, trigger)


def _is_steady(
    store: Store, model: str, policy: RetrainingSpec, judged: Judged, *, since: datetime, now: datetime
) -> bool:  # fmt: skip
    """Say whether the policy has held long enough; remember since when it does.

    What held before ``since``, when the last turn or the version's service began, was about another version, and
    nobody has looked at the policy in between.
    """
    if not policy.steady_s:
        return judged.holds
    held = get_mark(store, model, STEADY)
    if not judged.holds:
        if held is not None:
            set_mark(store, model, STEADY, None)
        return False
    if held is None or held < since:
        set_mark(store, model, STEADY, now)
        return False
    return now - held >= timedelta(seconds=policy.steady_s)


def _kind(judged: Judged) -> TriggerKind:
    """Name a trigger after the strongest condition that held: late labels, drift, new data, the calendar."""
    kinds = {_kind_of(leaf) for leaf in judged.because}
    for kind in (TriggerKind.PERFORMANCE, TriggerKind.DRIFT, TriggerKind.DATA):
        if kind in kinds:
            return kind
    return TriggerKind.SCHEDULE


def _kind_of(leaf: Condition | Every) -> TriggerKind:
    if isinstance(leaf, Every):
        return TriggerKind.SCHEDULE
    inner = leaf.left.metric if isinstance(leaf.left, Scaled) else leaf.left
    name = inner.name if isinstance(inner, Metric) else ""
    if name.startswith("drift."):
        return TriggerKind.DRIFT
    return TriggerKind.DATA if name == "new_rows" else TriggerKind.PERFORMANCE
