"""The gateway: takes requests, lets the routed versions answer them, and keeps every answer."""

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from trimtab.features import OnlineStore
from trimtab.kernel import NotFound, TrimtabError, prepare_records
from trimtab.serving.answering import Turn
from trimtab.serving.batching import Job
from trimtab.serving.building import Parts
from trimtab.serving.counting import Counting
from trimtab.serving.errors import NoEndpoint, NotReady, NotServable, PromiseBroken, StillLoading
from trimtab.serving.inputs import Given, rows_in
from trimtab.serving.loader import Loader
from trimtab.serving.log import DecisionLog
from trimtab.serving.records import Answer, Ask, Routing
from trimtab.serving.released import Releases
from trimtab.serving.router import Choice, Route, RoutingSnapshot, Target
from trimtab.serving.segments import micros
from trimtab.serving.served import Served
from trimtab.serving.shadow import Mirrored
from trimtab.serving.statistics import Figures, Tallies
from trimtab.serving.threads import limit_threads
from trimtab.store import Store

POLL_S = 0.5
RECHECK_S = 30.0
"""How often the releases of what is served are checked again."""
SYNC_S = 0.05
FLUSH_S = 10.0
"""How often requests, errors and latencies are written to the database."""
ON_LOOP_ROWS = 16
"""Rows whose features are read on the event loop; more are read on a thread."""
_log = logging.getLogger(__name__)


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as this process serves it. ``problems`` say what it could not do as routed."""

    endpoint: str
    ready: bool
    routing: Routing | None
    figures: tuple[Figures, ...]
    problems: tuple[str, ...]


class Gateway:
    """Serves every routed endpoint of a store. Made once, started and used in one event loop.

    ``releases`` is the gate: asked before each load. ``online`` reads features for requests that do not bring them.
    ``threads`` bounds the models that run beside the event loop, and once more those that run as shadows.
    """

    def __init__(
        self,
        store: Store,
        *,
        releases: Releases,
        allowed: Collection[str],
        online: OnlineStore | None = None,
        threads: int = 2,
        poll_s: float = POLL_S,
        log: DecisionLog | None = None,
    ) -> None:
        self.log = log or DecisionLog(store)
        self._store = store
        self._clock = store.clock
        self._ids = store.ids
        self._poll_s = poll_s
        self._pool = ThreadPoolExecutor(threads, "trimtab-model", initializer=limit_threads)
        # Apart, so that a shadow that takes long never holds the thread that an answer waits for.
        self._shadow_pool = ThreadPoolExecutor(threads, "trimtab-shadow", initializer=limit_threads)
        loader = Loader(store, releases, allowed=allowed)
        tallies: Tallies = {}
        self._counting = Counting(store, tallies)
        parts = Parts(
            loader=loader,
            log=self.log,
            pool=self._pool,
            shadow_pool=self._shadow_pool,
            clock=store.clock,
            ids=store.ids,
            online=online,
            parallel=threads,
            tallies=tallies,
        )
        self._served = Served(store, parts, releases=releases, before_change=self.flush_figures)
        self._tasks: list[asyncio.Task[None]] = []
        self.started = False

    @property
    def snapshot(self) -> RoutingSnapshot:
        """What is served now: it never changes, but gives way to another one as a whole."""
        return self._served.snapshot

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Seal what a killed process left, verify and load everything routed, then keep up with changes."""
        prepare_records()
        limit_threads()
        await asyncio.to_thread(self.log.recover)
        await self.refresh()
        self._tasks = [
            asyncio.create_task(self._every(self._poll_s, self._served.look)),
            asyncio.create_task(self._every(SYNC_S, self._sync)),
            asyncio.create_task(self._every(1.0, self._seal)),
            asyncio.create_task(self._every(RECHECK_S, self.recheck)),
            asyncio.create_task(self._every(FLUSH_S, self.flush_figures)),
        ]
        self.started = True

    async def stop(self) -> None:
        """Let the shadows finish, and seal the decision log."""
        self.started = False
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._served.stop()
        await self.settled()
        try:
            await self.flush_figures()
            await asyncio.to_thread(self.log.close)
        except TrimtabError as error:
            _log.warning("the decision log is sealed at the next start: %s", error)
        self._pool.shutdown()
        self._shadow_pool.shutdown()

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
        await asyncio.to_thread(self._counting.flush)

    async def refresh(self) -> None:
        """Take up what is routed now, and wait until it is. Requests under way end on the routes they began with."""
        await self._served.refresh()

    async def recheck(self) -> None:
        """Check the release of everything that is served, and stop serving what was withdrawn meanwhile."""
        await self._served.recheck()

    async def _sync(self) -> None:
        if self.log.dirty:
            await asyncio.to_thread(self.log.sync)

    async def _seal(self) -> None:
        self.log.retire_old()
        if self.log.full:
            await asyncio.to_thread(self.log.seal)

    async def _every(self, seconds: float, act: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await act()
            except TrimtabError as error:
                # The database may be away for a while; what is served does not depend on it.
                _log.warning("%s; trying again", error)
            except Exception as fault:  # noqa: BLE001  # the edge of a background task, which nobody else would miss
                _log.error("what a gateway does every %g s failed; trying again", seconds, exc_info=fault)

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
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: _rows(target, ask, count, at))

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
        return endpoint in self.snapshot.routes

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
            ready=route is not None,
            routing=route.routing if route else None,
            figures=tuple(t.tally.figures(t.version, t.stage) for t in route.targets) if route else (),
            problems=tuple(str(error) for error in self._served.problems.get(name, ())),
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
