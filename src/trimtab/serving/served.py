"""What a gateway serves, kept equal to what is routed: each endpoint by itself, so that none waits for another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from trimtab.kernel import Invalid, NotFound, Refused, TrimtabError
from trimtab.registry import ApprovalVoid
from trimtab.serving.building import Built, Parts, build_route
from trimtab.serving.errors import LoadRefused, NotServable
from trimtab.serving.loader import LoadedModel
from trimtab.serving.records import Routing
from trimtab.serving.released import Releases
from trimtab.serving.router import Route, RoutingSnapshot
from trimtab.serving.routing import list_endpoints, revisions
from trimtab.serving.shadow import Shadow
from trimtab.serving.threads import limit_threads
from trimtab.store import Store

RETRY_S = 30.0
"""How long a routing that could not be taken up is left alone before it is tried again unchanged."""
_State = tuple[int, str]
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
        self._pool = ThreadPoolExecutor(2, "trimtab-load", initializer=limit_threads)
        self._looking = asyncio.Lock()
        self._building: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, _State] = {}
        self._retry_at: dict[str, float] = {}

    @property
    def names(self) -> list[str]:
        """The endpoints that are served, or should be."""
        return sorted({*self.snapshot.routes, *self._seen})

    def is_loading(self, endpoint: str) -> bool:
        """Say whether an endpoint is being built, for the first time or anew."""
        return endpoint in self._building

    async def refresh(self) -> None:
        """Take up what is routed now, and return when all of it is."""
        await self.look()
        while self._building:
            await asyncio.gather(*self._building.values())

    async def look(self) -> None:
        """Begin to take up what is routed otherwise than it is served; what is being built is left to that."""
        async with self._looking:
            now = await asyncio.to_thread(revisions, self._store)
            clock = self._parts.clock
            due = {name for name, at in self._retry_at.items() if at <= clock.monotonic()}
            if now == self._seen and not due:
                return
            # What a version did until now, it did in its old place.
            await self._before_change()
            routed = {one.routing.endpoint: one for one in await asyncio.to_thread(list_endpoints, self._store)}
            for name, endpoint in routed.items():
                state = (endpoint.revision, endpoint.routing.digest)
                if name not in self._building and (self._seen.get(name) != state or name in due):
                    self._building[name] = asyncio.create_task(self._take_up(endpoint.routing, state))
            self._forget(set(self._seen) - set(routed))

    async def recheck(self) -> None:
        """Check the release of everything that is served, and stop serving what was withdrawn meanwhile.

        A canary or shadow leaves its place; without its champion an endpoint stops answering. What is merely damaged
        on disk is served on, since memory holds what was verified, but named as a problem.
        """
        for name, route in self.snapshot.routes.items():
            withdrawn, problems = await asyncio.to_thread(self._withdrawn, route)
            if not problems or self.snapshot.routes.get(name) is not route:
                continue
            self.problems[name] = problems
            self._retry_at[name] = self._parts.clock.monotonic() + RETRY_S
            self.shadows[name] = tuple(s for s in self.shadows.get(name, ()) if s.target.version not in withdrawn)
            self._swap(name, route.without(withdrawn))

    async def stop(self) -> None:
        """Take up nothing more."""
        building = list(self._building.values())
        for task in building:
            task.cancel()
        await asyncio.gather(*building, return_exceptions=True)
        self._pool.shutdown()

    async def _take_up(self, routing: Routing, state: _State) -> None:
        name = routing.endpoint
        try:
            built = await self._built(routing, serving=name in self.snapshot.routes)
            self._seen[name] = state
            if built is not None:
                self.shadows[name] = built.shadows
                self._swap(name, built.route)
        finally:
            del self._building[name]

    def _swap(self, name: str, route: Route | None) -> None:
        routes = {other: served for other, served in self.snapshot.routes.items() if other != name}
        self.snapshot = RoutingSnapshot(routes if route is None else {**routes, name: route})

    def _forget(self, names: set[str]) -> None:
        for name in names:
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
            except (Refused, NotFound, Invalid) as error:
                _log.error("%s is served, but: %s", released.ref, error)
                problems.append(error)
                if not isinstance(error, ApprovalVoid | LoadRefused | Invalid):
                    withdrawn.add(released.version)
        return frozenset(withdrawn), tuple(problems)

    async def _built(self, routing: Routing, *, serving: bool) -> Built | None:
        """Build a route on a thread; when that fails, say so, try again later, and return None."""
        self._retry_at.pop(routing.endpoint, None)
        try:
            built = await asyncio.get_running_loop().run_in_executor(self._pool, self._build, routing, serving)
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
