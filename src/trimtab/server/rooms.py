"""The rooms of one project in one process: what each needs to live, and the routes that they offer together."""

import asyncio
import gc
import logging
from contextlib import suppress
from datetime import datetime

from trimtab.data import routes as data_routes
from trimtab.evaluation import routes as evaluation_routes
from trimtab.features import open_online
from trimtab.features import routes as feature_routes
from trimtab.governance import routes as governance_routes
from trimtab.kernel import SYSTEM, Duty, Route, SystemClock, TrimtabError, prepare_records, span_of
from trimtab.loop import Loop
from trimtab.loop import routes as loop_routes
from trimtab.monitoring import mind
from trimtab.monitoring import routes as monitoring_routes
from trimtab.pipelines import Runner
from trimtab.pipelines import routes as pipeline_routes
from trimtab.registry import routes as registry_routes
from trimtab.server.listings import routes as listing_routes
from trimtab.server.metrics import routes as metrics_routes
from trimtab.server.receipts import NoticingStore
from trimtab.server.retention import collect_garbage
from trimtab.server.retention import routes as retention_routes
from trimtab.serving import Gateway, RegisteredReleases, ServingLimits
from trimtab.serving import routes as serving_routes
from trimtab.store import AnotherCollects, Store, ledger_counts
from trimtab.tracking import ALLOWED_TYPES, find_lost
from trimtab.tracking import routes as tracking_routes

log = logging.getLogger("trimtab.server")

LOST_EVERY_S = 60.0
MIND_EVERY_S = 60.0
STOP_S = 2.0
"""How long stopping waits for what is being done in the background; all of it may be cut off anywhere."""


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
            limits=ServingLimits(
                deadline_s=store.settings.deadline_s,
                threads=store.settings.model_threads,
                queue_rows=store.settings.model_queue_rows,
            ),
        )
        self.runner = Runner(self.store)
        self.loop = Loop(self.store)
        self.duties = (
            Duty("lost runs", self._look_for_lost_runs, every_s=LOST_EVERY_S),
            Duty("watching", self._mind_endpoints, every_s=MIND_EVERY_S),
            Duty("the loop", self._turn_loop, every_s=MIND_EVERY_S),
        )
        every = span_of(store.settings.gc_every)
        self.beside = [] if every is None else [Duty("gc", self._collect_garbage, every_s=every.total_seconds())]
        """Duties without which the server is as ready as with them."""
        self._loading: asyncio.Task[None] | None = None
        self._trouble = ""
        self._machine = SystemClock()
        self._minded_at: datetime | None = None

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
            *monitoring_routes(self.store),
            *loop_routes(self.store),
            *governance_routes(self.store),
            *listing_routes(self.store),
            *retention_routes(self.store),
            *metrics_routes(
                self.store, self.gateway.status,
                missing=self.missing, minded_at=lambda: self._minded_at, stalls=lambda: self.gateway.watchdog.stalls,
            ),
        ]  # fmt: skip

    async def start(self) -> None:
        """Begin background work; returns at once, so that the server answers before models are loaded."""
        prepare_records()
        self.runner.start()
        for duty in (*self.duties, *self.beside):
            duty.start()
        self._loading = asyncio.create_task(self._load())

    async def stop(self) -> None:
        """End background work: steps in progress are handed back, decisions are sealed."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        # At once, so that none has to wait for what another does in its time.
        ended = await asyncio.gather(
            self.gateway.stop(),
            asyncio.to_thread(self.runner.stop),
            *(asyncio.to_thread(duty.stop, wait_s=STOP_S) for duty in (*self.duties, *self.beside)),
            return_exceptions=True,
        )
        gc.unfreeze()
        for fault in ended:
            if isinstance(fault, BaseException):
                raise fault

    def endpoints(self) -> dict[str, bool]:
        """Say which endpoints answer."""
        return {status.endpoint: status.ready for status in self.gateway.status()}

    def missing(self) -> str:
        """Say what still keeps the rooms from answering; empty when nothing does. Each endpoint is ready by itself."""
        # A gateway answers without the database; a fault in what it does beside that is another matter.
        beside = [duty for duty in self.gateway.duties if not isinstance(duty.error, TrimtabError)]
        if troubles := [duty.trouble for duty in (self.runner.duty, *self.duties, *beside) if duty.trouble]:
            return "; ".join(troubles)
        if not self.gateway.started:
            return self._trouble or "models are being loaded"
        return ""

    def events(self) -> int:
        """Return the number of events in the ledger."""
        return ledger_counts(self.store)[0]

    def _look_for_lost_runs(self) -> None:
        """Mark runs whose process died without a word."""
        find_lost(self.store)

    def _mind_endpoints(self) -> None:
        """Watch and check every endpoint, and send what is due."""
        mind(self.store)
        self._minded_at = self._machine.now()

    def _collect_garbage(self) -> None:
        """Remove what is old. Of several servers of one database one does it at a time."""
        with suppress(AnotherCollects):
            collect_garbage(self.store, actor=SYSTEM, because=f"every {self.store.settings.gc_every}, by the settings")

    def _turn_loop(self) -> None:
        """Turn the loop of every model: what keeps endpoints from being watched must not keep a rollback from it."""
        self.loop.tick()
        self.runner.wake()

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
