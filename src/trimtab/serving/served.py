"""What a gateway serves, kept equal to what is routed: each endpoint by itself, so that none waits for another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from trimtab.kernel import Invalid, NotFound, Refused, TrimtabError
from trimtab.registry import ApprovalVoid
from trimtab.serving.building import Built, Parts, build_route
from trimtab.serving.errors import LoadRefused, NotServable, TooLongToLoad
from trimtab.serving.loader import LoadedModel
from trimtab.serving.records import Routing
from trimtab.serving.released import Releases
from trimtab.serving.router import Route, RoutingSnapshot
from trimtab.serving.routing import RouteRow, route_rows, routed
from trimtab.serving.shadow import Shadow
from trimtab.store import NotAuthentic, RowForged, Store, StoreAway

RETRY_S = 30.0
"""How long a routing that could not be taken up is left alone before it is tried again unchanged."""
LOADERS = 2
LOAD_S = 120.0
"""How long a routing may take to be loaded and tried before the others no longer wait for its thread."""
_TAKEN_OUT: RouteRow = ()
"""Stands for the row of an endpoint that is served, and whose row somebody has deleted past Trimtab."""
_log = logging.getLogger(__name__)


class Served:
    """The routes of one process, in one event loop. Models are loaded on threads of their own, beside all answers.

    ``before_change`` is awaited before anything is served otherwise than until now. ``problems`` say, by endpoint, what
    could not be served as routed.
    """

    def __init__(
        self, store: Store, parts: Parts, *, releases: Releases, before_change: Callable[[], Awaitable[None]]
    ) -> None:
        self.snapshot = RoutingSnapshot()
        self.shadows: dict[str, tuple[Shadow, ...]] = {}
        self.problems: dict[str, tuple[TrimtabError, ...]] = {}
        self._store = store
        self._parts = parts
        self._releases = releases
        self._before_change = before_change
        self._threads = parts.threads(LOADERS, "trimtab-load")
        self._turns = asyncio.Semaphore(LOADERS)
        self._loading = 0
        self._leaving: set[Shadow] = set()
        self._looking = asyncio.Lock()
        self._building: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, RouteRow] = {}
        self._retry_at: dict[str, float] = {}

    @property
    def names(self) -> list[str]:
        """The endpoints that are served, or should be."""
        return sorted({*self.snapshot.routes, *self._seen})

    def is_loading(self, endpoint: str) -> bool:
        """Say whether an endpoint is being built, for the first time or anew."""
        return endpoint in self._building

    async def refresh(self, *, within_s: float | None = None) -> None:
        """Take up what is routed now, and return when all of it is, or after so many seconds."""
        await self.look()
        if self._building:
            done, _ = await asyncio.wait(list(self._building.values()), timeout=within_s)
            for task in done:
                task.result()  # a fault of ours, which somebody must hear of

    async def look(self) -> None:
        """Begin to take up what is routed otherwise than it is served; what is being built is left to that."""
        async with self._looking:
            now = await self._parts.beside(route_rows, self._store)
            clock = self._parts.clock
            due = {name for name, at in self._retry_at.items() if at <= clock.monotonic()}
            if now == {name: row for name, row in self._seen.items() if row != _TAKEN_OUT} and not due:
                return
            # What a version did until now, it did in its old place.
            await self._before_change()
            found = await self._parts.beside(partial(routed, self._store, served=self.names))
            for name, error in found.forged.items():
                self._do_not_obey(name, error, found.rows.get(name, _TAKEN_OUT))
            for name, endpoint in found.endpoints.items():
                row = found.rows[name]
                if name not in self._building and (self._seen.get(name) != row or name in due):
                    self._building[name] = asyncio.create_task(self._take_up(endpoint.routing, row))
            self._forget(set(self._seen) - set(found.endpoints) - set(found.forged))

    def _do_not_obey(self, name: str, error: RowForged, row: RouteRow) -> None:
        """Serve an endpoint on as it is served, if it is, and say that its row is not what the ledger says."""
        if self._seen.get(name) != row:
            _log.error("endpoint %s is not served as its row says: %s", name, error)
        self._seen[name] = row
        self.problems[name] = (error,)
        self._retry_at[name] = self._parts.clock.monotonic() + RETRY_S

    async def recheck(self) -> None:
        """Check the release of everything that is served, and stop serving what was withdrawn meanwhile.

        A canary or shadow leaves its place; without its champion an endpoint stops answering. What is merely damaged
        on disk is served on, since memory holds what was verified, but named as a problem.
        """
        for name, route in self.snapshot.routes.items():
            withdrawn, problems = await self._parts.beside(self._withdrawn, route)
            if not problems or self.snapshot.routes.get(name) is not route:
                continue
            self.problems[name] = problems
            self._retry_at[name] = self._parts.clock.monotonic() + RETRY_S
            self._cast(name, tuple(s for s in self.shadows.get(name, ()) if s.target.version not in withdrawn))
            self._swap(name, route.without(withdrawn))

    async def stop(self) -> None:
        """Take up nothing more, and close every shadow."""
        building = list(self._building.values())
        for task in building:
            task.cancel()
        await asyncio.gather(*building, return_exceptions=True)
        for shadow in (*self._leaving, *(one for shadows in self.shadows.values() for one in shadows)):
            shadow.close()

    @property
    def left_calls(self) -> bool:
        """Whether a shadow or a loader is still in a call that it had begun."""
        shadows = (*self._leaving, *(one for shadows in self.shadows.values() for one in shadows))
        return self._loading > 0 or not all(shadow.is_idle for shadow in shadows)

    async def _take_up(self, routing: Routing, row: RouteRow) -> None:
        name = routing.endpoint
        try:
            built = await self._built(routing, serving=name in self.snapshot.routes)
            self._seen[name] = row
            if built is not None:
                self._cast(name, built.shadows)
                self._swap(name, built.route)
        finally:
            del self._building[name]

    def _cast(self, name: str, shadows: tuple[Shadow, ...]) -> None:
        """Let other shadows see what is answered. One whose version sees it on finishes what it has; others end."""
        staying = {shadow.target.version for shadow in shadows}
        for shadow in set(self.shadows.get(name, ())) - set(shadows):
            if shadow.target.version not in staying:
                shadow.close()
            self._leaving.add(shadow)
        self._leaving = {shadow for shadow in self._leaving if not shadow.is_idle}
        self.shadows[name] = shadows

    def _swap(self, name: str, route: Route | None) -> None:
        routes = {other: served for other, served in self.snapshot.routes.items() if other != name}
        self.snapshot = RoutingSnapshot(routes if route is None else {**routes, name: route})

    def _forget(self, names: set[str]) -> None:
        for name in names:
            self._cast(name, ())
            self._swap(name, None)
            for kept in (self._seen, self.problems, self._retry_at, self.shadows):
                kept.pop(name, None)

    def _withdrawn(self, route: Route) -> tuple[frozenset[int], tuple[TrimtabError, ...]]:
        """Return the versions whose release does not hold any more, and all that is wrong."""
        withdrawn, problems = set(), []
        for target in route.targets:
            released = target.loaded.released
            try:
                self._releases.checked(released.model, released.version)
            except (Refused, NotFound, Invalid, StoreAway) as error:
                _log.error("%s is served, but: %s", released.ref, error)
                problems.append(error)
                if not isinstance(error, ApprovalVoid | LoadRefused | Invalid | NotAuthentic | StoreAway):
                    withdrawn.add(released.version)
        return frozenset(withdrawn), tuple(problems)

    async def _built(self, routing: Routing, *, serving: bool) -> Built | None:
        """Build a route on a thread; when that fails, say so, try again later, and return None."""
        self._retry_at.pop(routing.endpoint, None)
        try:
            built = await self._within_its_time(routing, serving)
        except TooLongToLoad as late:  # tried again when it has come back, or the routing changes
            _log.error("endpoint %s is not served as routed: %s", routing.endpoint, late)
            self.problems[routing.endpoint] = (late,)
            return None
        except Exception as error:  # noqa: BLE001  # the edge to foreign bytes and code: the other endpoints go on
            problem = error if isinstance(error, TrimtabError) else _unexpected(routing, error)
            _log.error("endpoint %s is not served as routed: %s", routing.endpoint, problem)
            self.problems[routing.endpoint] = (problem,)
            self._retry_at[routing.endpoint] = self._parts.clock.monotonic() + RETRY_S
            return None
        self.problems[routing.endpoint] = built.problems
        if built.problems:
            self._retry_at[routing.endpoint] = self._parts.clock.monotonic() + RETRY_S
        return built

    async def _within_its_time(self, routing: Routing, serving: bool) -> Built:
        async with self._turns:
            future = asyncio.get_running_loop().run_in_executor(self._threads, self._build, routing, serving)
            self._loading += 1
            future.add_done_callback(self._loaded)
            try:
                return await asyncio.wait_for(asyncio.shield(future), LOAD_S)
            except TimeoutError:
                self._threads.lose()
                future.add_done_callback(lambda done: self._came_back(routing.endpoint, done))
        raise TooLongToLoad(
            f"{routing.model} takes longer than {LOAD_S:g} s to load", where=f"endpoint {routing.endpoint}"
        )

    def _loaded(self, _done: "asyncio.Future[Built]") -> None:
        self._loading -= 1

    def _came_back(self, endpoint: str, done: "asyncio.Future[Built]") -> None:
        self._threads.regain()
        if not done.cancelled():
            done.exception()  # it was told already that it took too long
        self._retry_at[endpoint] = self._parts.clock.monotonic()

    def _build(self, routing: Routing, serving: bool) -> Built:
        """Build a route. Nothing is half changed: only at the start may a canary or shadow be missing."""
        loaded: dict[int, LoadedModel] = {}
        for route in self.snapshot.routes.values():
            for target in route.targets:
                if target.loaded.released.model == routing.model and target.version in routing.versions:
                    # In memory already, but its release must hold now too.
                    released = self._releases.checked(routing.model, target.version)
                    if released == target.loaded.released:
                        loaded[target.version] = target.loaded
        return build_route(self._parts, routing, loaded=loaded, tolerant_of=() if serving else ("canary", "shadow"))


def _unexpected(routing: Routing, error: Exception) -> NotServable:
    _log.error("fault while endpoint %s was built", routing.endpoint, exc_info=error)
    return NotServable(
        f"{routing.model} cannot be made ready: {type(error).__name__}", where=f"endpoint {routing.endpoint}",
        why="Trimtab did not expect this; the server's log says more.", next="trimtab logs, and report it",
    )  # fmt: skip
