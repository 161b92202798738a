"""Bring an approved version before people: its release, its alias and its place in the routing."""

from typing import Literal

import msgspec

from trimtab.declare import ServingSpec, Stage
from trimtab.kernel import Actor, Conflict, Invalid, NotFound, TrimtabError
from trimtab.loop.declarations import model_in_force
from trimtab.loop.judging import check_version
from trimtab.loop.records import Trigger, TriggerKind, Turn, TurnState
from trimtab.loop.turns import move_turn, open_turn, open_turn_of
from trimtab.registry import (
    CHAMPION,
    Approval,
    Release,
    ReleaseKeys,
    Status,
    Version,
    VersionRef,
    WrongStatus,
    approval_state,
    approve,
    get_version,
    refused_approvals,
    release_for,
    set_alias,
)
from trimtab.serving import (
    Canary,
    Endpoint,
    RegisteredReleases,
    Routing,
    get_endpoint,
    set_routing,
)
from trimtab.store import Change, Store

StageName = Literal["shadow", "canary", "full"]
FULL = Stage(kind="full", percent=100.0)
DEFAULT_ROLLOUT = (Stage(kind="shadow", percent=0.0, hold_s=86400.0), FULL)
"""For a model whose file says nothing: a day as a shadow, then all traffic."""
CONFIRM_S = 3 * 86400.0
"""How long late labels may still speak against a version that answers all traffic, before it is kept."""


class RolloutNotStarted(Conflict):
    """A version was approved, and stays so, but could not be put behind its endpoint."""

    code = "loop.rollout-not-started"
    default_next = "trimtab serve {version} --because '...', which makes it the champion"


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """An approval, the place in the routing that it opened, and the turn of the loop that goes on with it."""

    approval: Approval
    endpoint: Endpoint
    stage: StageName
    percent: float
    turn: Turn


def approve_version(store: Store, ref: str, *, actor: Actor, because: str, override: str = "") -> Approved:
    """Approve a candidate, release it, and start its rollout.

    The first version of a model gets all traffic, since there is nothing to compare it with. A later one takes the
    first declared stage (a shadow, unless the rollout says otherwise) and is moved on by the controller. A version that
    cannot be loaded here and answer its stored sample is not approved. Raises what approving and loading raise; killed
    between approval and routing, the version is approved and the controller goes on.
    """
    version = get_version(store, ref)
    with refused_approvals(store, version, actor=actor, because=because):
        version.may_be_approved(override=override)
    if version.status is Status.APPROVED:
        raise WrongStatus(
            f"{version.ref} is approved and has its rollout", where=f"version {version.ref}",
            why="Its approval can be renewed, which leaves it where it is.", model=version.model,
            next=f"trimtab approve {version.ref} --because '...' (over HTTP: renew)",
        )  # fmt: skip
    _check_releasable(store, version)
    check_version(store, version)
    with (
        refused_approvals(store, version, actor=actor, because=because),
        store.change(actor, because) as change,
    ):
        approval = approve(change, version, because=because, override=override)
        turn = _waiting_turn(store, change, version)
    try:
        turn, endpoint = start_rollout(store, turn, actor=actor, because=because)
    except TrimtabError as error:
        raise RolloutNotStarted(
            f"{version.ref} is approved, but its rollout did not start: {error.what}",
            where=error.where, why=error.why, version=version.ref,
        ) from error  # fmt: skip
    stage = FULL if turn.champion is None else stages_of(store, version.model)[turn.stage]
    return Approved(approval=approval, endpoint=endpoint, stage=stage.kind, percent=stage.percent, turn=turn)


def renew_version(store: Store, ref: str, *, actor: Actor, because: str, override: str = "") -> Release:
    """Approve a version again that is approved for a time, as far as before, and return its new release.

    It stays where it is: what is loaded goes on, and what is loaded or routed from now on goes by the new release.
    Raises what approving raises, and ``WrongStatus`` for a version that is not approved, or for good.
    """
    version = get_version(store, ref)
    if not (version.status is Status.APPROVED and version.expires_s):
        raise WrongStatus(
            f"{version.ref} is {version.status.value}, and has no approval to renew", where=f"version {version.ref}",
            why="Only what is approved for a time, as tt.by(..., expires=...) asks, is approved again.",
            model=version.model,
        )  # fmt: skip
    _check_releasable(store, version)
    before = approval_state(store, version).approval
    with store.change(actor, because) as change:
        approve(change, version, because=because, override=override, limits=before.limits if before else None)
    return release_for(store, version, actor=actor, because=because)


def start_rollout(store: Store, turn: Turn, *, actor: Actor, because: str) -> tuple[Turn, Endpoint]:
    """Give the approved version of a waiting turn its first place: a stage beside the champion, or all traffic."""
    assert turn.ref is not None
    now = routing_of(store, turn.model)
    champion = now.champion if now is not None and now.champion != turn.version else None
    release_for(store, turn.ref, actor=actor)
    with store.change(actor, because) as change:
        if champion is None:
            turn = move_turn(change, turn, TurnState.FULL, "the first version: all traffic", champion=None)
            stage = FULL
        else:
            stage = stages_of(store, turn.model)[0]
            turn = move_turn(change, turn, state_of(stage), words_of(stage), champion=champion, stage=0)
        return turn, place(store, change, turn, stage)


def place(store: Store, change: Change, turn: Turn, stage: Stage) -> Endpoint:
    """Route the version of a turn as a stage says; with ``full`` it becomes the champion.

    The version that it replaces stays beside it as a shadow, until late labels have confirmed the new one.
    """
    assert turn.version is not None
    champion, routing = turn.champion, Routing(endpoint=turn.model, model=turn.model, champion=turn.version)
    if stage.kind == "full":
        routing = msgspec.structs.replace(routing, shadow=() if champion is None else (champion,))
        set_alias(change, VersionRef.parse(f"{turn.model}@{turn.version}"), CHAMPION)
    elif champion is not None and stage.kind == "shadow":
        routing = msgspec.structs.replace(routing, champion=champion, shadow=(turn.version,))
    elif champion is not None:
        canary = Canary(version=turn.version, percent=stage.percent)
        routing = msgspec.structs.replace(routing, champion=champion, canary=(canary,), paired=True)
    routing = as_declared(routing, serving_in_force(store, turn.model))
    return set_routing(change, routing, releases=RegisteredReleases(store))


def serve_version(
    store: Store, ref: str, *, stage: StageName = "full", percent: float = 100.0, actor: Actor, because: str
) -> Endpoint:
    """Give an approved version its place at the endpoint of its model: shadow, a share of the traffic, or all of it.

    With ``full`` it becomes the champion, and every other version leaves the endpoint. A turn of the loop that was
    rolling out ends here: who routes by hand decides. Raises ``NotApproved`` for a version without a valid approval,
    ``Refused`` for one that cannot be loaded and answer its stored sample, and ``Invalid`` for a shadow or canary where
    nothing answers yet.
    """
    version = get_version(store, VersionRef.parse(ref))
    routing = _routing(routing_of(store, version.model), version, stage, percent)
    routing = as_declared(routing, serving_in_force(store, version.model))
    routing.check()
    release_for(store, version.ref, actor=actor)
    check_version(store, version)
    turn = open_turn_of(store, version.model)
    with store.change(actor, because) as change:
        endpoint = set_routing(change, routing, releases=RegisteredReleases(store))
        if routing.champion == version.number:
            set_alias(change, version, CHAMPION)
        if turn is not None and turn.state.rolls_out:
            move_turn(change, turn, TurnState.CANCELLED, f"{version.ref} was routed by hand: {stage}")
    return endpoint


def stages_of(store: Store, model: str) -> tuple[Stage, ...]:
    """Return the stages of a model's rollout that are in force."""
    serving = serving_in_force(store, model)
    return serving.rollout if serving is not None and serving.rollout else DEFAULT_ROLLOUT


def state_of(stage: Stage) -> TurnState:
    """Return the state of a turn whose version has this stage's place."""
    return TurnState(stage.kind)


def words_of(stage: Stage) -> str:
    """Say what a stage means for the traffic."""
    match stage.kind:
        case "shadow":
            return "a shadow: sees all traffic, answers none"
        case "canary":
            return f"answers {stage.percent:g} % of the traffic"
        case _:
            return "answers all traffic; the version before it watches as a shadow"


def routing_of(store: Store, name: str) -> Routing | None:
    """Return who answers at an endpoint, or None."""
    try:
        return get_endpoint(store, name).routing
    except NotFound:
        return None


def as_declared(routing: Routing, serving: ServingSpec | None) -> Routing:
    """Return a routing with what the file says of all requests: who meets the same version, and broken rows."""
    if serving is None:
        return msgspec.structs.replace(routing, sticky_by=None, broken_rows=msgspec.UNSET)
    return msgspec.structs.replace(routing, sticky_by=serving.sticky_by, broken_rows=serving.broken_rows)


def serving_in_force(store: Store, model: str) -> ServingSpec | None:
    """Return the serving policy that is in force for a model."""
    found = model_in_force(store, model)
    return found[1].serving if found is not None else None


def _waiting_turn(store: Store, change: Change, version: Version) -> Turn:
    """Return the turn that waits for this version; open one for a version that was made or chosen by hand."""
    turn = open_turn_of(store, version.model)
    if turn is not None and turn.version == version.number and turn.state is TurnState.WAITING:
        return turn
    if turn is not None:
        move_turn(change, turn, TurnState.CANCELLED, f"{version.ref} was approved instead")
    trigger = Trigger(kind=TriggerKind.HAND, text=f"{version.ref} was approved by hand")
    return open_turn(change, version.model, trigger, state=TurnState.WAITING, version=version.number)


def _check_releasable(store: Store, version: Version) -> None:
    """Raise what would keep a release from being signed, before a yes is recorded that nothing could come of."""
    ReleaseKeys.of(store).signing()
    for _, digest in version.covers().blobs:
        store.blobs.local_path(digest)


def _routing(now: Routing | None, version: Version, stage: StageName, percent: float) -> Routing:
    if stage == "full":
        return Routing(endpoint=version.model, model=version.model, champion=version.number)
    if now is None or now.champion == version.number:
        raise Invalid(
            f"{version.ref} cannot be a {stage}",
            where=f"endpoint {version.model}",
            why="A shadow or a canary stands beside a champion, and there is no other version that answers.",
            next=f"trimtab serve {version.ref} --because '...'",
        )
    canary = tuple(one for one in now.canary if one.version != version.number)
    shadow = tuple(one for one in now.shadow if one != version.number)
    if stage == "canary":
        canary = (*canary, Canary(version=version.number, percent=percent))
    else:
        shadow = (*shadow, version.number)
    return msgspec.structs.replace(now, canary=canary, shadow=shadow)
