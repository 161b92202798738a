"""Bring an approved version before people: its release, its alias and its place in the routing."""

from typing import Literal

import msgspec

from fairlead.declare import ServingSpec
from fairlead.kernel import Actor, Conflict, FairleadError, Invalid, NotFound
from fairlead.loop.declarations import applied, projects
from fairlead.registry import (
    CHAMPION,
    Approval,
    ReleaseKeys,
    Version,
    VersionRef,
    approve,
    get_version,
    release_for,
    set_alias,
)
from fairlead.serving import (
    Canary,
    Endpoint,
    RegisteredReleases,
    Routing,
    get_endpoint,
    set_routing,
)  # fmt: skip
from fairlead.store import Store

StageName = Literal["shadow", "canary", "full"]


class RolloutNotStarted(Conflict):
    """A version was approved, and stays so, but could not be put behind its endpoint."""

    code = "loop.rollout-not-started"
    default_next = "fairlead serve {version} --because '...', which makes it the champion"


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """An approval, and the place in the routing that it opened."""

    approval: Approval
    endpoint: Endpoint
    stage: StageName
    percent: float


def approve_version(store: Store, ref: str, *, actor: Actor, because: str, override: str = "") -> Approved:
    """Approve a candidate, release it, and start its rollout.

    The first version of a model gets all traffic, since there is nothing to compare it with. A later one takes the
    first declared stage (a shadow, unless the rollout says otherwise); ``serve_version`` moves it on. Raises what
    approving raises; killed between approval and routing, the version is approved and ``serve_version`` goes on.
    """
    version = get_version(store, ref)
    version.may_be_approved(override=override)
    _check_releasable(store, version)
    with store.change(actor, because) as change:
        approval = approve(change, version, because=because, override=override)
    stage, percent = _first_stage(store, version)
    try:
        endpoint = serve_version(store, version.ref, stage=stage, percent=percent, actor=actor, because=because)
    except FairleadError as error:
        raise RolloutNotStarted(
            f"{version.ref} is approved, but its rollout did not start: {error.what}",
            where=error.where, why=error.why, version=version.ref,
        ) from error  # fmt: skip
    return Approved(approval=approval, endpoint=endpoint, stage=stage, percent=percent)


def serve_version(
    store: Store, ref: str, *, stage: StageName = "full", percent: float = 100.0, actor: Actor, because: str
) -> Endpoint:
    """Give an approved version its place at the endpoint of its model: shadow, a share of the traffic, or all of it.

    With ``full`` it becomes the champion, and every other version leaves the endpoint. Raises ``NotApproved`` for a
    version without a valid approval, and ``Invalid`` for a shadow or canary where nothing answers yet.
    """
    version = get_version(store, VersionRef.parse(ref))
    routing = _routing(
        _endpoint(store, version.model), version, stage, percent, sticky_by=_sticky(store, version.model)
    )
    routing.check()
    release_for(store, version.ref, actor=actor)
    with store.change(actor, because) as change:
        endpoint = set_routing(change, routing, releases=RegisteredReleases(store))
        if routing.champion == version.number:
            set_alias(change, version, CHAMPION)
    return endpoint


def _check_releasable(store: Store, version: Version) -> None:
    """Raise what would keep a release from being signed, before a yes is recorded that nothing could come of."""
    ReleaseKeys.of(store).signing()
    for _, digest in version.covers().blobs:
        store.blobs.local_path(digest)


def _routing(
    now: Routing | None, version: Version, stage: StageName, percent: float, *, sticky_by: str | None
) -> Routing:
    if stage == "full":
        return Routing(endpoint=version.model, model=version.model, champion=version.number, sticky_by=sticky_by)
    if now is None or now.champion == version.number:
        raise Invalid(
            f"{version.ref} cannot be a {stage}",
            where=f"endpoint {version.model}",
            why="A shadow or a canary stands beside a champion, and there is no other version that answers.",
            next=f"fairlead serve {version.ref} --because '...'",
        )
    canary = tuple(one for one in now.canary if one.version != version.number)
    shadow = tuple(one for one in now.shadow if one != version.number)
    if stage == "canary":
        canary = (*canary, Canary(version=version.number, percent=percent))
    else:
        shadow = (*shadow, version.number)
    return msgspec.structs.replace(now, canary=canary, shadow=shadow, sticky_by=sticky_by)


def _first_stage(store: Store, version: Version) -> tuple[StageName, float]:
    if _endpoint(store, version.model) is None:
        return "full", 100.0
    serving = _serving(store, version.model)
    if serving is None or not serving.rollout:
        return "shadow", 0.0
    first = serving.rollout[0]
    return first.kind, first.percent


def _endpoint(store: Store, name: str) -> Routing | None:
    try:
        return get_endpoint(store, name).routing
    except NotFound:
        return None


def _sticky(store: Store, model: str) -> str | None:
    serving = _serving(store, model)
    return serving.sticky_by if serving else None


def _serving(store: Store, model: str) -> ServingSpec | None:
    """Return the serving policy that is in force for a model."""
    for project in projects(store):
        found = applied(store, project).get(("endpoint", model))
        if found is not None:
            return msgspec.convert(found.spec, ServingSpec)
    return None
