"""The rooms of one project in one process: what each needs to live, and the routes that they offer together."""

import asyncio
import gc
import logging
from collections.abc import Callable

from trimtab.data import routes as data_routes
from trimtab.evaluation import routes as evaluation_routes
from trimtab.features import open_online
from trimtab.features import routes as feature_routes
from trimtab.governance import routes as governance_routes
from trimtab.kernel import Route, TrimtabError, prepare_records
from trimtab.loop import Loop
from trimtab.loop import routes as loop_routes
from trimtab.monitoring import mind
from trimtab.monitoring import routes as monitoring_routes
from trimtab.pipelines import Runner
from trimtab.pipelines import routes as pipeline_routes
from trimtab.registry import routes as registry_routes
from trimtab.server.listings import routes as listing_routes
from trimtab.server.receipts import NoticingStore
from trimtab.serving import Gateway, RegisteredReleases
from trimtab.serving import routes as serving_routes
from trimtab.store import Store
from trimtab.tracking import ALLOWED_TYPES, find_lost
from trimtab.tracking import routes as tracking_routes

log = logging.getLogger("trimtab.server")

LOST_EVERY_S = 60.0
MIND_EVERY_S = 60.0


class Rooms:
    """Everything that a running Trimtab holds. ``start`` and ``stop`` begin and end what works in the background."""

    def __init__(self, store: Store) -> None:
        self.store: Store = NoticingStore.around(store)
        self.online = open_online(self.store)
        self.releases = RegisteredReleases(self.store)
        self.gateway = Gateway(
            self.store,
            releases=self.releases,
            allowed=ALLOWED_TYPES,
            online=self.online,
        )
        self.runner = Runner(self.store)
        self.loop = Loop(self.store)
        self._loading: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._minding: asyncio.Task[None] | None = None
        self._trouble = ""

    def routes(self) -> list[Route]:
        """Return the routes of every room."""
        return [
            *data_routes(self.store),
            *feature_routes(self.store, self.online),
            *tracking_routes(self.store),
            *evaluation_routes(self.store),
            *registry_routes(self.store),
            *pipeline_routes(self.store, self.runner.wake),
            *serving_routes(self.store, self.gateway, self.releases),
            *monitoring_routes(self.store, self.gateway),
            *loop_routes(self.store),
            *governance_routes(self.store),
            *listing_routes(self.store),
        ]

    async def start(self) -> None:
        """Begin background work; returns at once, so that the server answers before models are loaded."""
        prepare_records()
        self.runner.start()
        self._loading = asyncio.create_task(self._load())
        self._looking = asyncio.create_task(self._look_for_lost_runs())
        self._minding = asyncio.create_task(self._mind_endpoints())

    async def stop(self) -> None:
        """End background work: steps in progress are handed back, decisions are sealed."""
        tasks = [task for task in (self._loading, self._looking, self._minding) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            if self.gateway.started:
                await self.gateway.stop()
        finally:
            gc.unfreeze()
            await asyncio.to_thread(self.runner.stop)

    def missing(self) -> str:
        """Say what still keeps the rooms from answering; empty when nothing does."""
        if self.runner.trouble is not None:
            return f"pipelines: {self.runner.trouble.what}"
        if not self.gateway.started:
            return self._trouble or "models are being loaded"
        down = [status.endpoint for status in self.gateway.status() if not status.ready]
        return f"endpoints without a model: {', '.join(down)}" if down else ""

    def events(self) -> int:
        """Return the number of events in the ledger."""
        with self.store.read() as connection:
            return int(connection.exec_driver_sql("SELECT size FROM ledger_head").scalar_one())

    async def _look_for_lost_runs(self) -> None:
        """Mark runs whose process died without a word, now and every minute."""
        while True:
            try:
                await asyncio.to_thread(find_lost, self.store)
            except TrimtabError as error:
                log.warning("lost runs cannot be looked for: %s", error)
            await asyncio.sleep(LOST_EVERY_S)

    async def _mind_endpoints(self) -> None:
        """Watch and check every endpoint, send what is due, and turn the loop, now and every minute."""
        while True:
            # What keeps endpoints from being watched must not keep a bad version from being rolled back.
            await self._done(mind, self.store)
            await self._done(self.loop.tick)
            self.runner.wake()
            await asyncio.sleep(MIND_EVERY_S)

    async def _done(self, work: Callable[..., object], *given: object) -> None:
        try:
            await asyncio.to_thread(work, *given)
        except TrimtabError as error:
            log.warning("endpoints cannot be watched: %s", error)
        except Exception:  # the edge of a background task: somebody must hear of it
            log.exception("endpoints cannot be watched")

    async def _load(self) -> None:
        """Start the gateway, again and again as long as something outside keeps it from starting."""
        while not self.gateway.started:
            try:
                await self.gateway.start()
            except TrimtabError as error:
                self._trouble = f"serving: {error.what}"
                log.warning("serving does not start yet: %s", error)
                await asyncio.sleep(1.0)
            except Exception as fault:  # the edge of a background task: somebody must hear of it
                self._trouble = f"serving: Trimtab made a mistake: {type(fault).__name__}; see trimtab logs"
                log.exception("serving does not start yet")
                await asyncio.sleep(10.0)
        # What is here by now stays: looking through it for garbage, again and again, costs every request.
        gc.freeze()
