"""Check an endpoint: gather every sign that something is wrong, raise what is new, resolve what is over."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from trimtab.kernel import TrimtabError, percent
from trimtab.monitoring.alerts import settle
from trimtab.monitoring.calibration import Finding
from trimtab.monitoring.drift import drift, drift_findings
from trimtab.monitoring.figures import failures
from trimtab.monitoring.levels import level_signs, level_test
from trimtab.monitoring.moments import hour_of, start_of
from trimtab.monitoring.quality import column_signs, label_signs, request_signs, source_signs, volume_signs
from trimtab.monitoring.records import AlertKind, Checked, Sign
from trimtab.monitoring.releases import expiry_signs, forged_model, forged_route
from trimtab.monitoring.skew import measure_skew, skew_signs
from trimtab.serving import NoEndpoint, Routing, get_endpoint
from trimtab.store import Store

DAY = timedelta(days=1)
LEAST_ROWS = 100
"""Decisions of a day below which its drift is not judged."""
ERRORS_OVER = timedelta(hours=1)
ERROR_RATE = 0.05
LEAST_REQUESTS = 50
KINDS: tuple[AlertKind, ...] = ("drift", "performance", "quality", "skew", "service", "release")


def check(store: Store, endpoint: str, at: datetime, *, kinds: Collection[AlertKind] = KINDS) -> Checked:
    """Look at the champion of an endpoint; raise alerts for what is wrong, and resolve those that are over.

    Drift, missing columns, volume and skew are judged once for each whole day (UTC), the last one before ``at``, so
    that a finding stands for a day and "one false page in 90 days" is what it says; performance over all days whose
    outcomes had time to arrive; sources as they were found last; errors over the last hour; releases by when their
    approval is over, and by whether the ledger knows of them. Safe to repeat: an alert is raised once for as long as
    its cause lasts. An endpoint that is not routed has nothing else to check, and its alerts end. ``kinds`` is what to
    look for: skew, once a day, reads the newest data of every source. Raises what one kind failed with, after what the
    others found is raised.
    """
    signs = _Signs(kinds)
    if "release" in kinds:
        signs.add("release", lambda: forged_route(store, endpoint))
    if signs.found:
        signs.kinds = {"release"}  # where the endpoint leads is not known, so nothing else can be said of it
    elif (routing := _routing_of(store, endpoint)) is not None:
        day = start_of(hour_of(at) // 24 * 24) - DAY
        if "release" in kinds:
            signs.add("release", lambda: forged_model(store, routing.model))
        for kind in (kind for kind in KINDS if kind in kinds):
            signs.add(kind, partial(_signs, store, routing, kind, day=day, at=at))
    checked = settle(store, endpoint, signs.found, kinds=signs.kinds, at=at)
    if signs.failed is not None:
        raise signs.failed
    return checked


class _Signs:
    """What was found, and which kinds were looked for: one that cannot be keeps nothing else from being found."""

    def __init__(self, kinds: Collection[AlertKind]) -> None:
        self.found: list[Sign] = []
        self.kinds = set(kinds)
        self.failed: TrimtabError | None = None

    def add(self, kind: AlertKind, look: Callable[[], list[Sign]]) -> None:
        try:
            self.found += look()
        except TrimtabError as error:
            self.failed = self.failed or error
            self.kinds.discard(kind)  # so what was raised before stands


def _routing_of(store: Store, endpoint: str) -> Routing | None:
    try:
        return get_endpoint(store, endpoint).routing
    except NoEndpoint:
        return None


def _signs(store: Store, routing: Routing, kind: AlertKind, *, day: datetime, at: datetime) -> list[Sign]:
    endpoint, model, version = routing.endpoint, routing.model, routing.champion
    match kind:
        case "drift":
            return _drifted(store, endpoint, model, version, day)
        case "performance":
            return level_signs(level_test(store, endpoint, version=version, at=at, model=model))
        case "quality":
            window = drift(store, endpoint, version=version, since=day, until=day + DAY, model=model)
            columns = [] if window is None else column_signs(window)
            sources = source_signs(store, model, version, at=at)
            requests, labels = request_signs(store, endpoint, day=day), label_signs(store, endpoint, model, at=at)
            return [*columns, *sources, *requests, *volume_signs(store, endpoint, day=day), *labels]
        case "skew":
            return skew_signs(measure_skew(store, endpoint, version=version, day=day, model=model))
        case "service":
            return _failing(store, endpoint, version, at)
        case "release":
            return expiry_signs(store, routing, at=at)
        case _:
            assert_never(kind)


def _drifted(store: Store, endpoint: str, model: str, version: int, day: datetime) -> list[Sign]:
    found = drift_findings(store, endpoint, version=version, since=day, until=day + DAY, model=model)
    if not found or found[0].n < LEAST_ROWS:
        return []
    return finding_signs(found, of=f"{model}@{version}", day=f"{day:%Y-%m-%d}")


def finding_signs(found: Sequence[Finding], *, of: str, day: str) -> list[Sign]:
    """Return findings as two signs at most: those that page together, and those that are only shown."""
    signs = []
    for level, severity, group in (("page", "page", "drift"), ("shown", "note", "drift:shown")):
        mine = [one for one in found if one.level == level]
        if mine:
            names = ", ".join(one.name for one in mine[:5]) + (f" and {len(mine) - 5} more" if len(mine) > 5 else "")
            signs.append(
                Sign(
                    kind="drift", group=group, severity=severity, lines=tuple(one.text for one in mine),  # type: ignore[arg-type]
                    title=f"{names} of {of} {'has' if len(mine) == 1 else 'have'} drifted on {day}",
                )
            )  # fmt: skip
    return signs


def _failing(store: Store, endpoint: str, version: int, at: datetime) -> list[Sign]:
    found = failures(store, endpoint, version=version, since=at - ERRORS_OVER, until=at)
    rate = found.error_rate or 0.0
    if found.requests < LEAST_REQUESTS or rate <= ERROR_RATE:
        return []
    return [
        Sign(
            kind="service", group="service:errors", severity="page",
            title=f"{percent(rate)} of the requests of the last hour failed",
            lines=(f"{found.errors:,} of {found.requests:,} requests to version {version}",),
        )
    ]  # fmt: skip
