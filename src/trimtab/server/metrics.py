"""``/metrics``: what Prometheus scrapes of a server, its disk, its ledger, its pipelines and its endpoints.

Text format 0.0.4. Counters and what begins with ``trimtab_ready`` are of this process; what comes from the database is
the same in every process.
"""

import shutil
from collections.abc import Callable, Iterable
from datetime import datetime

from trimtab.kernel import PROJECT, VERSION, Body, Call, Permission, Route
from trimtab.monitoring import Metrics, expose
from trimtab.pipelines import RunStatus, list_pipeline_runs
from trimtab.registry import all_models, waiting_versions
from trimtab.server.standing import FAILED_WITHIN
from trimtab.serving import EndpointStatus, unsealed_bytes
from trimtab.store import Store, ledger_counts

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def routes(
    store: Store,
    statuses: Callable[[], Iterable[EndpointStatus]],
    *,
    missing: Callable[[], str],
    minded_at: Callable[[], datetime | None],
    stalls: Callable[[], int],
) -> list[Route]:
    """Return the route that is scraped.

    ``missing`` says what keeps the server from being ready; ``minded_at`` when all endpoints were last watched and the
    loop was turned, by the machine's clock; ``stalls`` how often the event loop was held up.
    """

    def metrics(_call: Call) -> Body:
        found = Metrics()
        found.add("trimtab_info", "gauge", "The running version.", 1, [("version", VERSION)])
        found.add("trimtab_ready", "gauge", "Whether /readyz answers 200.", float(not missing()))
        minded = minded_at()
        help_ = "When endpoints were last watched and the loop was turned, which happens once a minute."
        found.add("trimtab_minded_timestamp_seconds", "gauge", help_, minded.timestamp() if minded else None)
        help_ = "How often the event loop did one thing for more than a second."
        found.add("trimtab_event_loop_stalls_total", "counter", help_, stalls())
        _kept(found, store)
        _work(found, store)
        expose(found, store, statuses())
        return Body(data=found.text().encode(), media_type=MEDIA_TYPE)

    return [
        Route(method="GET", path="/metrics", permission=Permission.READ, resource=PROJECT, handler=metrics,
              response=Body,
              summary="Metrics for Prometheus"),
    ]  # fmt: skip


def _kept(metrics: Metrics, store: Store) -> None:
    """Add what says whether everything that has to be kept can be."""
    disk = shutil.disk_usage(store.settings.home_path)
    metrics.add("trimtab_disk_free_bytes", "gauge", "Room that is left on the disk of the home.", disk.free)
    metrics.add("trimtab_disk_size_bytes", "gauge", "Size of the disk of the home.", disk.total)
    for endpoint, size in sorted(unsealed_bytes(store).items()):
        help_ = "Decisions that lie in this home only: not sealed yet."
        metrics.add("trimtab_decisions_unsealed_bytes", "gauge", help_, size, [("endpoint", endpoint)])
    events, signed = ledger_counts(store)
    metrics.add("trimtab_ledger_events", "gauge", "Events in the ledger.", events)
    metrics.add("trimtab_ledger_signed_events", "gauge", "Events that the newest checkpoint signs.", signed)


def _work(metrics: Metrics, store: Store) -> None:
    """Add what goes on, what failed, and what waits for a person."""
    for status in (RunStatus.QUEUED, RunStatus.RUNNING):
        runs = list_pipeline_runs(store, status=status, limit=None)
        metrics.add(
            "trimtab_pipeline_runs", "gauge", "Pipeline runs that are not over.", len(runs), [("status", status.value)]
        )
    failed = list_pipeline_runs(
        store, status=RunStatus.FAILED, since=store.clock.now() - FAILED_WITHIN, limit=None
    )  # fmt: skip
    metrics.add("trimtab_pipeline_runs_failed_1d", "gauge", "Pipeline runs of the last day that failed.", len(failed))
    for model in all_models(store):
        help_ = "Versions that passed their gate and wait for a yes or a no."
        waiting = len(waiting_versions(store, model))
        metrics.add("trimtab_versions_waiting", "gauge", help_, waiting, [("model", model.name)])
