"""What Prometheus scrapes of endpoints: counts and latencies of this process, and what is known of their quality.

Text format 0.0.4. Counters are of this process and begin anew with it; gauges come from the database, and are the same
in every process.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

from trimtab.monitoring.alerts import alerts
from trimtab.monitoring.drift import drift
from trimtab.monitoring.performance import lately, performance
from trimtab.monitoring.skew import measured_skew
from trimtab.serving import EndpointStatus, Figures
from trimtab.store import Store

OVER = timedelta(days=7)
_QUANTILES = (("0.5", "p50_s"), ("0.95", "p95_s"), ("0.99", "p99_s"))
Labels = Sequence[tuple[str, object]]


class Metrics:
    """Collects samples and writes them as text: those of one name together, under its help and its type."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[str, str, list[str]]] = {}

    def add(self, name: str, kind: str, help: str, value: float | None, labels: Labels = (), suffix: str = "") -> None:
        """Add a sample; nothing when there is no value."""
        family = self._families.setdefault(name, (kind, help, []))
        if value is not None:
            shown = ",".join(f'{key}="{_escaped(str(text))}"' for key, text in labels)
            family[2].append(
                f"{name}{suffix}{{{shown}}} {_number(value)}" if shown else f"{name}{suffix} {_number(value)}"
            )

    def text(self) -> str:
        """Return everything that was added."""
        lines: list[str] = []
        for name, (kind, help_, samples) in self._families.items():
            if samples:
                lines += [f"# HELP {name} {help_}", f"# TYPE {name} {kind}", *samples]
        return "\n".join(lines) + "\n"


def expose(metrics: Metrics, store: Store, statuses: Iterable[EndpointStatus]) -> None:
    """Add the metrics of the endpoints that this process serves."""
    for status in sorted(statuses, key=lambda one: one.endpoint):
        _service(metrics, status)
        if status.routing is not None:
            _quality(metrics, store, status.endpoint, status.routing.champion, status.routing.model)
    _alerting(metrics, store)


def _service(metrics: Metrics, status: EndpointStatus) -> None:
    metrics.add(
        "trimtab_endpoint_ready", "gauge", "Whether the endpoint answers.", float(status.ready),
        [("endpoint", status.endpoint)],
    )  # fmt: skip
    help_ = "Calls of its models that have not ended when they should have."
    metrics.add("trimtab_lost_calls", "gauge", help_, status.lost_calls, [("endpoint", status.endpoint)])
    for one in status.figures:
        labels = [("endpoint", status.endpoint), ("version", one.version), ("stage", one.stage)]
        metrics.add("trimtab_requests_total", "counter", "Requests answered.", one.requests, labels)
        metrics.add("trimtab_rows_total", "counter", "Rows decided on.", one.rows, labels)
        metrics.add("trimtab_errors_total", "counter", "Requests that failed.", one.errors, labels)
        metrics.add("trimtab_requests_late_total", "counter", "Requests whose deadline passed.", one.late, labels)
        metrics.add("trimtab_shadow_rows_dropped_total", "counter", "Rows a shadow missed.", one.dropped, labels)
        metrics.add(
            "trimtab_broken_rows_total", "counter", "Rows answered that break their contract.", one.flagged, labels
        )
        metrics.add(
            "trimtab_requests_refused_total", "counter", "Requests refused for a row that breaks its contract.",
            one.refused, labels,
        )  # fmt: skip
        _latency(metrics, one, labels)


def _latency(metrics: Metrics, figures: Figures, labels: Labels) -> None:
    name, help_ = "trimtab_request_duration_seconds", "Time from a request to its answer."
    for quantile, field in _QUANTILES:
        metrics.add(name, "summary", help_, getattr(figures, field), [*labels, ("quantile", quantile)])
    total = None if figures.mean_s is None else figures.mean_s * figures.requests
    metrics.add(name, "summary", help_, total, labels, "_sum")
    metrics.add(name, "summary", help_, figures.requests or None, labels, "_count")


def _quality(metrics: Metrics, store: Store, endpoint: str, version: int, model: str) -> None:
    now = store.clock.now()
    labels = [("endpoint", endpoint), ("version", version)]
    week = performance(store, endpoint, version=version, since=now - OVER, until=now)
    metrics.add("trimtab_decisions_7d", "gauge", "Decisions of the last 7 days.", week.decisions, labels)
    metrics.add("trimtab_outcomes_7d", "gauge", "Those of them whose outcome is final.", week.labelled, labels)
    help_ = "The age from which on the outcome of a decision is final, in seconds."
    metrics.add("trimtab_outcome_maturity_seconds", "gauge", help_, week.matures_s, labels)
    found = lately(store, endpoint, version=version, over=OVER) if week.matures_s else week
    help_ = "Performance over the newest 7 days of decisions whose outcomes are final."
    for name, estimate in found.metrics.items():
        metrics.add("trimtab_performance_7d", "gauge", help_, estimate.value, [*labels, ("metric", name)])
    window = drift(store, endpoint, version=version, since=now - OVER, until=now, model=model)
    if window is not None and window.n:
        help_ = "Population stability index of the last 7 days against the reference."
        for column in (window.of_prediction, *window.columns):
            metrics.add("trimtab_drift_psi_7d", "gauge", help_, column.psi, [*labels, ("column", column.name)])
    skew = measured_skew(store, endpoint, version=version)
    if skew is not None:
        help_ = "Share of sampled rows that were not what training would see."
        metrics.add("trimtab_skew_share", "gauge", help_, skew.share, labels)


def _alerting(metrics: Metrics, store: Store) -> None:
    standing = alerts(store, states=("open", "acknowledged"), limit=None)
    counted: dict[tuple[str, str, str], int] = {}
    for alert in standing:
        place = (alert.endpoint, alert.kind, alert.severity)
        counted[place] = counted.get(place, 0) + 1
    for (endpoint, kind, severity), n in sorted(counted.items()):
        labels = [("endpoint", endpoint), ("kind", kind), ("severity", severity)]
        metrics.add("trimtab_alerts", "gauge", "Alerts that are not resolved.", n, labels)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return repr(value) if isinstance(value, float) else str(value)
