"""Move the open turn of a model one step on, if a step is due. Called again and again; killed anywhere, it goes on."""

from datetime import datetime, timedelta

import msgspec

from trimtab.declare import ModelSpec, ServingSpec, Stage, duration_text
from trimtab.kernel import Actor
from trimtab.loop.apply import as_of
from trimtab.loop.declarations import InForce
from trimtab.loop.events import RolledBack
from trimtab.loop.measures import in_rollout
from trimtab.loop.path import training_pipeline
from trimtab.loop.policy import Judged, judge_policy
from trimtab.loop.records import Turn, TurnState
from trimtab.loop.resume import resume
from trimtab.loop.rollout import CONFIRM_S, DEFAULT_ROLLOUT, place, routing_of, start_rollout, state_of, words_of
from trimtab.loop.turns import get_turn, move_turn
from trimtab.monitoring import maturity_of, windows
from trimtab.pipelines import PipelineSpec, RunStatus, get_pipeline_run, submit_in
from trimtab.registry import CHAMPION, Status, VersionRef, get_version, set_alias
from trimtab.serving import Endpoint, RegisteredReleases, Routing, set_routing
from trimtab.store import Change, Store


def advance(
    store: Store, project: InForce, model: ModelSpec, turn: Turn, *, actor: Actor, materialise: bool = True
) -> Turn:
    """Do the step of an open turn that is due now, if any, and return the turn as it then stands.

    Training is submitted and awaited, a person's answer is looked for, a stage that has held long enough gives way to
    the next, and ``roll_back_if`` is judged by what both versions said on the same rows. One step at a time: call it
    again until nothing moves. ``materialise`` brings the view's features online with each training.
    """
    match turn.state:
        case TurnState.TRAINING:
            views = None if materialise else ()
            pipeline = training_pipeline(project, model, as_of=as_of(store, project), views=views)
            return _training(store, pipeline, turn, actor=actor)
        case TurnState.WAITING:
            return _waiting(store, turn, actor=actor)
        case TurnState.SHADOW | TurnState.CANARY | TurnState.FULL:
            return _rolling_out(store, model, turn, actor=actor)
        case _:
            return turn


def roll_back_turn(
    store: Store, turn: Turn, *, actor: Actor, because: str, evidence: tuple[str, ...] = ()
) -> Endpoint | None:
    """Take the version of a turn out of service: the version before it answers again, with its own features.

    One change: routing, alias and turn move together or not at all. Returns None when there is no version before it,
    and then only the turn ends.
    """
    with store.change(actor, because) as change:
        endpoint = _back_to(store, change, turn) if turn.champion is not None else None
        move_turn(change, turn, TurnState.ROLLED_BACK, because, evidence=evidence)
    return endpoint


def _training(store: Store, pipeline: PipelineSpec, turn: Turn, *, actor: Actor) -> Turn:
    because = turn.trigger.text
    if turn.run is None:
        found = resume(store, pipeline, actor=actor)
        # One change: of two controllers that see the same turn, one submits its training, and the other nothing.
        with store.change(actor, because) as change:
            id_ = found.id if found is not None else submit_in(change, pipeline)
            return move_turn(change, turn, TurnState.TRAINING, f"run {id_} trains and judges", run=id_)
    run = get_pipeline_run(store, turn.run)
    if not run.status.is_final or run.status is RunStatus.SUCCEEDED:
        # Its last step enters the version and moves the turn in one change.
        return get_turn(store, turn.id)
    failed = next((step.error for step in run.steps if step.error is not None), None)
    text = f"run {run.id}: {failed.what}" if failed else f"run {run.id} was {run.status.value}"
    state = TurnState.CANCELLED if run.status is RunStatus.CANCELLED else TurnState.FAILED
    with store.change(actor, because) as change:
        return move_turn(change, turn, state, text)


def _waiting(store: Store, turn: Turn, *, actor: Actor) -> Turn:
    assert turn.ref is not None
    status = get_version(store, turn.ref).status
    if status is Status.APPROVED:
        return start_rollout(store, turn, actor=actor, because=f"{turn.ref} was approved")[0]
    if status is Status.CANDIDATE:
        return turn
    with store.change(actor, f"{turn.ref} was {status.value}") as change:
        return move_turn(change, turn, TurnState.REJECTED, f"{turn.ref} was {status.value}")


def _rolling_out(store: Store, model: ModelSpec, turn: Turn, *, actor: Actor) -> Turn:
    now = store.clock.now()
    serving = model.serving or ServingSpec(rollout=DEFAULT_ROLLOUT)
    routing = routing_of(store, model.name)
    if routing is None or turn.version not in routing.versions:
        with store.change(actor, "the endpoint was routed by hand") as change:
            return move_turn(change, turn, TurnState.CANCELLED, f"{turn.ref} does not stand at its endpoint any more")
    judged = _judged(store, serving, turn, now)
    if judged is not None and judged.holds:
        because = f"rolled back: {'; '.join(judged.said)}"
        roll_back_turn(store, turn, actor=actor, because=because, evidence=judged.lines)
        return get_turn(store, turn.id)
    lines = judged.lines if judged else ()
    stage = serving.rollout[min(turn.stage, len(serving.rollout) - 1)]  # the file may have become shorter meanwhile
    if turn.state is TurnState.FULL:
        confirmed_s = CONFIRM_S + maturity_of(store, model.name, at=now).after_s
        if now - turn.since < timedelta(seconds=confirmed_s):
            return turn
        return keep(store, turn, actor=actor, text=f"kept after {duration_text(confirmed_s)}", evidence=lines)
    if now - turn.since < timedelta(seconds=stage.hold_s) or _seen(store, turn, now) < stage.decisions:
        return turn
    return _next_stage(store, serving.rollout, turn, lines, actor=actor)


def keep(store: Store, turn: Turn, *, actor: Actor, text: str, evidence: tuple[str, ...] = ()) -> Turn:
    """End a turn well: its version stays, and the one before it leaves the endpoint."""
    routing = routing_of(store, turn.model)
    assert routing is not None
    with store.change(actor, text) as change:
        if routing.shadow:
            alone = msgspec.structs.replace(routing, shadow=())
            set_routing(change, alone, releases=RegisteredReleases(store))
        return move_turn(change, turn, TurnState.KEPT, text, evidence=evidence)


def _next_stage(
    store: Store, stages: tuple[Stage, ...], turn: Turn, lines: tuple[str, ...], *, actor: Actor
) -> Turn:  # fmt: skip
    following = stages[min(turn.stage + 1, len(stages) - 1)]
    because = f"{turn.ref} has passed its stage: {words_of(stages[min(turn.stage, len(stages) - 1)])}"
    with store.change(actor, because) as change:
        moved = move_turn(
            change, turn, state_of(following), words_of(following), evidence=lines, stage=turn.stage + 1
        )  # fmt: skip
        place(store, change, moved, following)
    return moved


def _seen(store: Store, turn: Turn, now: datetime) -> int:
    """Return how many requests the version has answered in its present stage; as a shadow, how many it has mirrored."""
    hours = windows(store, turn.model, since=turn.since, until=now)
    return sum(one.n for one in hours if one.version == turn.version and one.stage == turn.state.value)


def _judged(store: Store, serving: ServingSpec, turn: Turn, now: datetime) -> Judged | None:
    """Judge ``roll_back_if`` by all that both versions have seen since the rollout began.

    None without such a rule, and for a first version: there is none to go back to.
    """
    if serving.roll_back_if is None or turn.version is None or turn.champion is None:
        return None
    began = next(move.at for move in turn.moves if move.state.rolls_out)
    measure = in_rollout(store, turn.model, turn.version, turn.champion, since=began, now=now)
    return judge_policy(serving.roll_back_if, measure, last=began, now=now)


def _back_to(store: Store, change: Change, turn: Turn) -> Endpoint:
    """Let the champion of before answer alone again."""
    assert turn.champion is not None
    to = f"{turn.model}@{turn.champion}"
    routing = Routing(endpoint=turn.model, model=turn.model, champion=turn.champion)
    present = routing_of(store, turn.model)
    if present is not None:
        routing = msgspec.structs.replace(routing, sticky_by=present.sticky_by, broken_rows=present.broken_rows)
    endpoint = set_routing(change, routing, releases=RegisteredReleases(store))
    set_alias(change, VersionRef.parse(to), CHAMPION)
    change.record(RolledBack(endpoint=turn.model, ref=turn.ref or "", to=to))
    return endpoint
