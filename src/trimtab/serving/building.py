"""Build routes from what is routed: load every version under its release, try it, and put it in its place."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from trimtab.features import OnlineStore, compile_view
from trimtab.kernel import Clock, Ids, SystemClock, TrimtabError
from trimtab.serving.answering import Recorder
from trimtab.serving.batching import Batcher
from trimtab.serving.errors import NotServable
from trimtab.serving.frames import Layout
from trimtab.serving.inputs import Intake
from trimtab.serving.loader import LoadedModel, Loader
from trimtab.serving.log import DecisionLog
from trimtab.serving.records import Routing, ServingLimits, Stage
from trimtab.serving.router import Route, Target
from trimtab.serving.shadow import Shadow
from trimtab.serving.statistics import MIRROR, Tallies, Tally
from trimtab.serving.threads import MakeThreads

WARM_UP_CALLS = 5
Beside = Callable[..., Awaitable[Any]]
"""Runs a call that waits for the disk or the database beside the event loop."""


class Parts(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What every target is built from."""

    loader: Loader
    log: DecisionLog
    beside: Beside
    threads: MakeThreads
    clock: Clock
    ids: Ids
    online: OnlineStore | None
    limits: ServingLimits
    busy: set[Batcher]
    """Those of the batchers that have work."""
    tallies: Tallies
    """By endpoint and version, so that figures go on over a change of routing."""


class Built(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A route, the queues of its shadows, and what could not be put in its place."""

    route: Route
    shadows: tuple[Shadow, ...]
    problems: tuple[TrimtabError, ...] = ()


def build_route(
    parts: Parts, routing: Routing, *, loaded: Mapping[int, LoadedModel], tolerant_of: tuple[Stage, ...]
) -> Built:
    """Return a route whose every version is loaded, tried and fits the others.

    ``loaded`` are versions that are in memory already, under the releases that hold now. A version of a stage in
    ``tolerant_of`` that cannot be served is left out and named; any other raises its ``TrimtabError``.
    """
    (first, *places) = routing.places
    champion = _target(parts, routing, first, loaded)
    problems: list[TrimtabError] = []
    others: list[Target] = []
    for place in places:
        stage = place[1]
        try:
            target = _target(parts, routing, place, loaded)
            if stage == "canary":
                _check_fit(champion, target, routing)
            others.append(target)
        except TrimtabError as error:
            if stage not in tolerant_of:
                raise
            problems.append(error)
    shadows = tuple(target for target in others if target.stage == "shadow")
    canaries = tuple(target for target in others if target.stage == "canary")
    mirrors = [_mirror(parts, routing, target) for target in (champion, *canaries)] if routing.paired else []
    return Built(
        route=Route.of(routing, champion=champion, canaries=canaries, shadows=shadows),
        shadows=(
            *(_shadow(parts, routing, target) for target in shadows),
            *(_shadow(parts, routing, target, answers=True) for target in (mirrors if canaries else ())),
        ),
        problems=tuple(problems),
    )


def _mirror(parts: Parts, routing: Routing, target: Target) -> Target:
    """Return a version that answers, in its second place: what it mirrors is no part of its figures as an answerer."""
    tally = parts.tallies.setdefault((routing.endpoint, target.version, MIRROR), Tally("shadow"))
    return msgspec.structs.replace(target, stage="shadow", percent=None, tally=tally)


def _shadow(parts: Parts, routing: Routing, target: Target, *, answers: bool = False) -> Shadow:
    recorder = _recorder(parts, routing, target.layout, "shadow", target.tally)
    threads = parts.threads(1, f"trimtab-shadow-{target.loaded.released.ref}")
    return Shadow(target, recorder, threads=threads, clock=parts.clock, ids=parts.ids, answers=answers)


def _target(
    parts: Parts,
    routing: Routing,
    place: tuple[int, Stage, float | None],
    known: Mapping[int, LoadedModel],
) -> Target:
    version, stage, percent = place
    loaded = known.get(version) or parts.loader.load(routing.model, version, serves_from=parts.clock.now())
    released, runtime = loaded.released, loaded.runtime
    released.may_serve(stage, percent=percent, endpoint=routing.endpoint)
    layout = Layout(
        number=0, model=released.model, version=version, release=released.release,
        columns=tuple((column.name, column.kind) for column in released.inputs),
        outputs=tuple((output.name, output.kind) for output in runtime.outputs),
    )  # fmt: skip
    tally = parts.tallies.setdefault((routing.endpoint, version, ""), Tally())
    tally.stage = stage
    recorder = _recorder(parts, routing, layout, stage, tally)
    batcher = Batcher(
        runtime, name=released.ref, clock=parts.clock, deliver=recorder.deliver, limits=parts.limits,
        threads=parts.threads(parts.limits.threads, f"trimtab-model-{released.ref}"), busy=parts.busy,
    )  # fmt: skip
    warm_up(loaded, batcher)
    view = compile_view(released.view) if released.view is not None else None
    intake = Intake(
        released.inputs, view=view, online=parts.online,
        broken_rows="refuse" if routing.broken_rows is msgspec.UNSET else routing.broken_rows,
    )  # fmt: skip
    return Target(
        loaded=loaded, stage=stage, percent=percent, intake=intake, batcher=batcher, layout=layout, tally=tally
    )


def warm_up(loaded: LoadedModel, batcher: Batcher) -> None:
    """Predict on the stored sample before any caller waits for it, and tell the batcher how long that takes."""
    clock = SystemClock()
    sample = loaded.sample
    for rows in (*[sample[i : i + 1] for i in range(min(WARM_UP_CALLS, len(sample)))] * 2, sample):
        started = clock.monotonic()
        loaded.runtime.predict(rows)
        batcher.learn(len(rows), clock.monotonic() - started)


def _recorder(parts: Parts, routing: Routing, layout: Layout, stage: Stage, tally: Tally) -> Recorder:
    return Recorder(routing.endpoint, layout, stage=stage, log=parts.log, clock=parts.clock, tally=tally)


def _check_fit(champion: Target, other: Target, routing: Routing) -> None:
    """Raise ``NotServable`` when a canary's answers have another form than the champion's."""
    ours, theirs = champion.loaded.runtime.outputs, other.loaded.runtime.outputs
    if {(o.name, o.datatype, o.shape) for o in ours} != {(o.name, o.datatype, o.shape) for o in theirs}:
        ref = other.loaded.released.ref
        raise NotServable(
            f"{ref} answers {', '.join(o.name for o in theirs)} in another form than the champion",
            where=f"endpoint {routing.endpoint}",
            why="Callers of one endpoint must be able to read every answer the same way.",
            next=f"serve {ref} at an endpoint of its own",
            version=ref,
        )
