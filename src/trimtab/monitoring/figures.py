"""How a version does as a service: requests, errors and latencies, as its gateways counted them."""

from collections.abc import Collection
from datetime import datetime

from trimtab.monitoring.moments import check_span
from trimtab.monitoring.records import Failures
from trimtab.serving import Counts, Stage, counts_between
from trimtab.store import Store

_ANSWERING: tuple[Stage, ...] = ("full", "canary")
_MIRRORING: tuple[Stage, ...] = ("shadow",)


def failures(
    store: Store,
    endpoint: str,
    *,
    version: int,
    since: datetime,
    until: datetime,
    stages: Collection[Stage] | None = None,
) -> Failures:
    """Return what gateways counted of a version in the minutes of [since, until).

    They write every ten seconds, so a killed one loses at most as much. ``stages`` None: what it did as one that
    answers, or what it did as a shadow when it answered nothing. Raises ``BadSpan``.
    """
    check_span(since, until, where="failures")
    chosen = _ANSWERING if stages is None else stages
    found = counts_between(store, endpoint, version=version, since=since, until=until, stages=chosen)
    if stages is None and not found.requests + found.errors:
        found = counts_between(store, endpoint, version=version, since=since, until=until, stages=_MIRRORING)
    return _of(endpoint, found, version=version, since=since, until=until)


def _of(endpoint: str, counts: Counts, *, version: int, since: datetime, until: datetime) -> Failures:
    requests = counts.requests + counts.errors
    return Failures(
        endpoint=endpoint, version=version, since=since, until=until, requests=requests, rows=counts.rows,
        errors=counts.errors, error_rate=counts.errors / requests if requests else None,
        p50_s=counts.latency.quantile(0.50), p95_s=counts.latency.quantile(0.95), p99_s=counts.latency.quantile(0.99),
    )  # fmt: skip
