"""The gateway: takes requests, lets the routed versions answer them, and keeps every answer."""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from typing import Any
from weakref import WeakSet

import msgspec

from trimtab.features import OnlineStore
from trimtab.kernel import Duty, NotFound, TrimtabError, prepare_records
from trimtab.serving.answering import Turn
from trimtab.serving.batching import Batcher, Job
from trimtab.serving.building import Parts
from trimtab.serving.counting import Counting
from trimtab.serving.errors import (
    DeadlinePassed,
    ModelStuck,
    NoEndpoint,
    NotReady,
    NotServable,
    PromiseBroken,
    StillLoading,
)
from trimtab.serving.homes import ServingHome
from trimtab.serving.inputs import Given, rows_in
from trimtab.serving.loader import Loader
from trimtab.serving.log import DecisionLog
from trimtab.serving.records import Answer, Ask, Routing, ServingLimits
from trimtab.serving.released import Releases
from trimtab.serving.router import Choice, Route, RoutingSnapshot, Target
from trimtab.serving.segments import micros
from trimtab.serving.served import Served
from trimtab.serving.shadow import Mirrored
from trimtab.serving.statistics import Figures, Tallies
from trimtab.serving.threads import Threads, limit_threads
from trimtab.serving.trial import check_servable
from trimtab.serving.watchdog import Watchdog
from trimtab.store import Store

POLL_S = 0.5
RECHECK_S = 30.0
"""How often the releases of what is served are checked again."""
SYNC_S = 0.05
LOOK_S = 0.1
"""How often it is looked whether somebody has waited long enough, or a call does not end."""
LOAD_PATIENCE_S = 30.0
"""How long the start waits for endpoints that are being loaded; the others answer from then on."""
RECOVER_AGAIN_S = 10.0
SHADOWS_S = 0.5
"""How long the stop waits for shadows to see what was answered."""
SEAL_S = 1.0
"""How long the stop waits for the sealing of decisions, which the next start resumes."""
JOIN_S = 0.1
CHORES = 8
READERS = 4
FLUSH_S = 10.0
"""How often requests, errors and latencies are written to the database."""
ON_LOOP_ROWS = 16
"""Rows whose features are read on the event loop; more are read on a thread."""
_log = logging.getLogger(__name__)


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as this process serves it. ``problems`` say what it could not do as routed, or cannot end.

    ``lost_calls``: calls of its models that have not ended when they should have, each of which holds a thread.
    """

    endpoint: str
    ready: bool
    routing: Routing | None
    figures: tuple[Figures, ...]
    problems: tuple[str, ...]
    lost_calls: int = 0


class Gateway:
    """Serves every routed endpoint of a store. Made once, started and used in one event loop.

    ``releases`` is the gate: asked before each load. ``online`` reads features for requests that do not bring them.
    ``limits`` are what each version at each endpoint may take. What runs beside the event loop never keeps the process
    from ending.
    """

    def __init__(
        self,
        store: Store,
        *,
        releases: Releases,
        allowed: Collection[str],
        online: OnlineStore | None = None,
        limits: ServingLimits | None = None,
        poll_s: float = POLL_S,
        log: DecisionLog | None = None,
    ) -> None:
        self.log = log or DecisionLog(store)
        self._home = ServingHome(store, self.log)
        self._store = store
        self._clock = store.clock
        self._ids = store.ids
        self._limits = limits or ServingLimits()
        self._threads: WeakSet[Threads] = WeakSet()
        self._readers = self._make_threads(READERS, "trimtab-read")
        self._chores = self._make_threads(CHORES, "trimtab-gateway")
        self._busy: set[Batcher] = set()
        self.watchdog = Watchdog()
        self._loader = Loader(store, releases, allowed=allowed)
        tallies: Tallies = {}
        self._counting = Counting(store, tallies)
        parts = Parts(
            loader=self._loader,
            log=self.log,
            beside=self._beside,
            threads=self._make_threads,
            clock=store.clock,
            ids=store.ids,
            online=online,
            limits=self._limits,
            busy=self._busy,
            tallies=tallies,
        )
        self._served = Served(store, parts, releases=releases, before_change=self.flush_figures)
        self._tasks: list[asyncio.Task[None]] = []
        self.duties = (
            Duty("routing", self._served.look, every_s=poll_s),
            Duty("syncing decisions", self._sync, every_s=SYNC_S),
            Duty("sealing", self._seal, every_s=1.0),
            Duty("checking releases", self.recheck, every_s=RECHECK_S),
            Duty("serving figures", self.flush_figures, every_s=FLUSH_S),
            Duty("deadlines", self._look, every_s=LOOK_S),
        )
        """What goes on beside the answers, in the event loop."""
        self.started = False

    @property
    def snapshot(self) -> RoutingSnapshot:
        """What is served now: it never changes, but gives way to another one as a whole."""
        return self._served.snapshot

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Verify and load everything routed, then keep up with changes; beside that, seal what a killed process left.

        An endpoint that takes long to load holds up no other for more than ``LOAD_PATIENCE_S``.
        """
        prepare_records()
        limit_threads()
        await self._beside(self._home.open)
        await self._served.refresh(within_s=LOAD_PATIENCE_S)
        self.watchdog.start()
        self._tasks = [
            *(asyncio.create_task(_keep(duty)) for duty in self.duties),
            asyncio.create_task(self._recover()),
        ]
        self.started = True

    async def stop(self) -> None:
        """Let shadows finish and seal the decision log, for about a second; the next start seals what is left.

        Requests must have ended before. A call that does not end is left behind: its thread ends with the process.
        """
        self.started = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.watchdog.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.settled(), SHADOWS_S)
        await self._served.stop()
        closing = asyncio.ensure_future(self._beside(self._close))
        done, _ = await asyncio.wait([closing], timeout=SEAL_S)
        if not done:
            self.log.stop_sealing()
            await asyncio.wait([closing], timeout=SEAL_S / 2)
        for threads in list(self._threads):
            threads.close(within_s=0.0 if self.left_calls else JOIN_S)

    def _make_threads(self, limit: int, name: str) -> Threads:
        threads = Threads(limit, name)
        self._threads.add(threads)
        return threads

    @property
    def left_calls(self) -> bool:
        """Whether calls of models, of shadows or of loading go on although the gateway has stopped."""
        return any(not batcher.is_idle for batcher in self._busy) or self._served.left_calls

    def _close(self) -> None:
        try:
            self._counting.flush()
            self.log.close()
            self._home.close()
        except TrimtabError as error:
            _log.warning("the decision log is sealed at the next start: %s", error)

    async def settled(self) -> None:
        """Wait until the shadows have seen every request that was answered so far."""
        for shadow in [one for shadows in self._served.shadows.values() for one in shadows]:
            await shadow.finished()

    def shadows(self, endpoint: str) -> tuple[int, ...]:
        """Return the versions that see what others answer at an endpoint."""
        return tuple(shadow.target.version for shadow in self._served.shadows.get(endpoint, ()))

    def mirror(self, endpoint: str, mirrored: Mirrored, *, version: int) -> None:
        """Offer to one shadow what was answered before this gateway began, as ``infer`` does what it answers."""
        for shadow in self._served.shadows.get(endpoint, ()):
            if shadow.target.version == version:
                shadow.offer(mirrored)

    async def flush_figures(self) -> None:
        """Write what was counted since the last time to the database, where a kill cannot lose it."""
        await self._beside(self._counting.flush)

    async def refresh(self) -> None:
        """Take up what is routed now, and wait until it is. Requests under way end on the routes they began with."""
        await self._served.refresh()

    async def recheck(self) -> None:
        """Check the release of everything that is served, and stop serving what was withdrawn meanwhile."""
        await self._served.recheck()

    async def _recover(self) -> None:
        """Seal what a killed process left, as soon as the database lets us."""
        duty = Duty("sealing what was left", self.log.recover)
        while True:
            with duty.round():
                await self._beside(duty.work)
                return
            await asyncio.sleep(RECOVER_AGAIN_S)

    async def _look(self) -> None:
        for batcher in list(self._busy):
            batcher.look()

    async def _sync(self) -> None:
        if self.log.dirty:
            await self._beside(self.log.sync)

    async def _seal(self) -> None:
        self.log.retire_old()
        if self.log.full:
            await self._beside(self.log.seal)
        await self._beside(self._home.answer)

    async def _beside(self, call: Callable[..., Any], *given: Any) -> Any:
        """Run what waits for the disk or the database on a thread that keeps nothing else from ending."""
        return await asyncio.get_running_loop().run_in_executor(self._chores, call, *given)

    # --- answers ---------------------------------------------------------------------------------------------------

    async def infer(self, endpoint: str, ask: Ask) -> Answer:
        """Decide on the rows of a request, each by the version that the routing gives it; return when that is logged.

        Raises ``NotFound`` for an unknown endpoint or key, ``Invalid`` for inputs the model does not take, ``Refused``
        for a version that does not answer, ``Unavailable`` when the decision cannot be made or logged now.
        """
        started = self._clock.monotonic()
        route = self.snapshot.routes.get(endpoint)
        if route is None:
            raise self._not_here(endpoint)
        at = self._clock.now()
        at_us = micros(at)
        count = rows_in(ask)
        if count <= 1:
            id_ = self._ids.new()
            choice = self._chosen(route, ask, 0, id_)
            given = _rows(choice.target, ask, count, at)
            turn = Turn([id_], given, choice.reason, at_us, started)
            outputs = await choice.target.batcher.run(Job(given.rows, turn))
            answer = Answer(
                model=route.routing.model,
                version=choice.target.version,
                decision_ids=[id_],
                versions=None,
                outputs=outputs,
                form=choice.target.loaded.runtime.outputs,
            )
        else:
            answer = await self._infer_many(route, ask, count, started)
        shadows = self._served.shadows.get(endpoint)
        if shadows:
            versions = answer.versions or [answer.version] * len(answer.decision_ids)
            mirrored = Mirrored(ask, at, answer.decision_ids, answer.outputs, versions)
            for shadow in shadows:
                shadow.offer(mirrored)
        return answer

    async def _infer_many(self, route: Route, ask: Ask, count: int, started: float) -> Answer:
        at = self._clock.now()
        ids = [self._ids.new() for _ in range(count)]
        groups: dict[tuple[int, str], tuple[Choice, list[int]]] = {}
        if route.canaries or ask.version is not None:
            for place, id_ in enumerate(ids):
                choice = self._chosen(route, ask, place, id_)
                groups.setdefault((choice.target.version, choice.reason), (choice, []))[1].append(place)
        else:
            groups[0, ""] = (route.choose(""), list(range(count)))
        read: dict[int, Given] = {}
        for choice, _ in groups.values():
            if choice.target.version not in read:
                read[choice.target.version] = await self._read(choice.target, ask, count, at)
        waiting = []
        for choice, places in groups.values():
            given = read[choice.target.version]
            part = given if len(places) == count else given.part(places)
            turn = Turn([ids[i] for i in places], part, choice.reason, micros(at), started)
            waiting.append(choice.target.batcher.run(Job(part.rows, turn)))
        found = await asyncio.gather(*waiting) if len(waiting) > 1 else [await waiting[0]]
        return _merged(route, ids, list(groups.values()), found)

    async def _read(self, target: Target, ask: Ask, count: int, at: datetime) -> Given:
        if count <= ON_LOOP_ROWS or ask.matrix is not None:
            return _rows(target, ask, count, at)
        reading = asyncio.get_running_loop().run_in_executor(self._readers, _rows, target, ask, count, at)
        try:
            return await asyncio.wait_for(reading, self._limits.deadline_s)
        except TimeoutError:
            raise DeadlinePassed(
                f"the features of {count} rows were not read within {self._limits.deadline_s:g} s",
                where=f"version {target.loaded.released.ref}",
            ) from None

    def _chosen(self, route: Route, ask: Ask, place: int, id_: str) -> Choice:
        """Choose who answers one row; a canary that cannot read the request leaves it to the champion."""
        if ask.version is not None:
            return Choice(self._asked_for(route, ask.version), f"version {ask.version} was asked for")
        sticky_by = route.routing.sticky_by
        sticky = ask.columns[sticky_by][place] if sticky_by is not None and sticky_by in ask.columns else None
        choice = route.choose(id_, sticky)
        if choice.target is not route.champion and not choice.target.intake.takes(ask):
            return Choice(route.champion, "champion: the canary takes other inputs")
        return choice

    def _asked_for(self, route: Route, version: int) -> Target:
        target = self.target(route.routing.endpoint, version)
        if target.stage == "shadow":
            raise NotServable(
                f"{target.loaded.released.ref} is a shadow", where=f"endpoint {route.routing.endpoint}",
                why="A shadow sees requests and never answers them.",
                next=f"route it as a canary first: trimtab get endpoints {route.routing.endpoint}",
            )  # fmt: skip
        return target

    # --- what it knows ---------------------------------------------------------------------------------------------

    def ready(self, endpoint: str) -> bool:
        """Say whether an endpoint answers."""
        route = self.snapshot.routes.get(endpoint)
        return route is not None and not route.champion.batcher.is_stuck

    def check_servable(self, routing: Routing) -> None:
        """Load each version of a routing that is not served already, and let it answer its stored sample.

        May wait, and be called from any thread. Raises ``NotFound`` and ``Refused`` for one that cannot be served.
        """
        served = {target.loaded.released.ref for route in self.snapshot.routes.values() for target in route.targets}
        for version in routing.versions:
            if f"{routing.model}@{version}" not in served:
                check_servable(self._loader, routing.model, version)

    def check_ready(self, endpoint: str, version: int | None = None) -> Target:
        """Return the champion or a routed version that answers now. Raises ``NotFound``, ``Unavailable``."""
        target = self.target(endpoint, version)
        if target.batcher.is_stuck:
            ref = target.loaded.released.ref
            raise ModelStuck(f"{target.batcher.lost} calls of {ref} do not end", where=f"version {ref}")
        return target

    def route(self, endpoint: str) -> Route:
        """Return an endpoint's route as it is served; raise ``NotFound``, or ``Unavailable`` while it cannot be."""
        route = self.snapshot.routes.get(endpoint)
        if route is None:
            raise self._not_here(endpoint)
        return route

    def target(self, endpoint: str, version: int | None = None) -> Target:
        """Return the champion of an endpoint, or one routed version. Raises ``NotFound``, ``Unavailable``."""
        route = self.route(endpoint)
        if version is None:
            return route.champion
        found = next((target for target in route.targets if target.version == version), None)
        if found is None:
            raise NotFound(
                f"version {version} is not routed at {endpoint}",
                where=f"endpoint {endpoint}",
                why=f"It serves {', '.join(str(target.version) for target in route.targets)}.",
                next=f"ask for one of these, or route it: trimtab serve {route.routing.model}@{version}",
            )
        return found

    def status(self) -> list[EndpointStatus]:
        """Return what this process serves and how it does, by endpoint."""
        names = self._served.names
        return [self._status(name, self.snapshot.routes.get(name)) for name in names]

    def _status(self, name: str, route: Route | None) -> EndpointStatus:
        return EndpointStatus(
            endpoint=name,
            ready=self.ready(name),
            routing=route.routing if route else None,
            figures=tuple(t.tally.figures(t.version, t.stage) for t in route.targets) if route else (),
            problems=(*(str(error) for error in self._served.problems.get(name, ())), *_stuck_in(route)),
            lost_calls=sum(t.batcher.lost for t in route.targets) if route else 0,
        )

    def _not_here(self, endpoint: str) -> TrimtabError:
        problems = self._served.problems.get(endpoint)
        if problems:
            return NotReady(
                f"endpoint {endpoint} is not served: {problems[0].what}",
                where=problems[0].where, why=problems[0].why, next=problems[0].next,
            )  # fmt: skip
        if not self.started or self._served.is_loading(endpoint):
            return StillLoading(f"endpoint {endpoint[:100]} is being loaded", where=f"endpoint {endpoint[:100]}")
        return NoEndpoint(f"there is no endpoint {endpoint[:100]!r}", where="serving")


def _rows(target: Target, ask: Ask, count: int, at: datetime) -> Given:
    try:
        return target.intake.rows(ask, count, now=at)
    except PromiseBroken:
        target.tally.refused += 1
        raise


def _stuck_in(route: Route | None) -> list[str]:
    targets = route.targets if route else ()
    return [f"{t.batcher.lost} calls of {t.loaded.released.ref} do not end" for t in targets if t.batcher.lost]


def _merged(
    route: Route, ids: list[str], groups: list[tuple[Choice, list[int]]], found: list[dict[str, list[Any]]]
) -> Answer:
    model, form = route.routing.model, groups[0][0].target.loaded.runtime.outputs
    if len(groups) == 1:
        version = groups[0][0].target.version
        return Answer(model=model, version=version, decision_ids=ids, versions=None, outputs=found[0], form=form)
    versions = [route.champion.version] * len(ids)
    outputs: dict[str, list[Any]] = {name: [None] * len(ids) for name in found[0]}
    for (choice, places), result in zip(groups, found, strict=True):
        for i, place in enumerate(places):
            versions[place] = choice.target.version
            for name, values in result.items():
                outputs[name][place] = values[i]
    one = len(set(versions)) == 1
    return Answer(
        model=model, version=versions[0] if one else route.champion.version, decision_ids=ids,
        versions=None if one else versions, outputs=outputs, form=form,
    )  # fmt: skip


async def _keep(duty: Duty) -> None:
    while True:
        await asyncio.sleep(duty.every_s)
        with duty.round():
            await duty.work()
