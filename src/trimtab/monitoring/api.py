"""The HTTP routes of monitoring: outcomes in; windows, performance, drift and alerts out."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import get_args

import msgspec

from trimtab.kernel import (
    CURSOR,
    Call,
    Invalid,
    Permission,
    Query,
    Route,
    in_path,
    in_query,
    limit_query,
    parse_time,
    time_query,
)
from trimtab.monitoring.alerts import acknowledge, alerts, get_alert, silence
from trimtab.monitoring.drift import Drift, drift, drift_findings
from trimtab.monitoring.estimate import Estimated
from trimtab.monitoring.expected import expected
from trimtab.monitoring.figures import failures
from trimtab.monitoring.foreseen import Foreseen, foreseen
from trimtab.monitoring.levels import LevelTest, level_test
from trimtab.monitoring.moments import check_span
from trimtab.monitoring.notify import deliveries
from trimtab.monitoring.outcomes import record_outcomes
from trimtab.monitoring.paired import paired
from trimtab.monitoring.performance import lately, performance
from trimtab.monitoring.records import (
    Alert,
    AlertState,
    Delivery,
    Failures,
    Outcome,
    Paired,
    Performance,
    Recorded,
    Silence,
    WindowRow,
)
from trimtab.monitoring.shown import ShownFinding, shown_finding
from trimtab.monitoring.watch import windows
from trimtab.serving import Routing, get_endpoint
from trimtab.store import Store

ENDPOINT = "/api/v1/endpoints/{endpoint}"
OF_ENDPOINT = in_path("endpoint")
OUTCOMES_BYTES = 32 << 20
LIMIT, MOST = 100, 1000
LAST = timedelta(days=7)
MOST_WINDOWS = timedelta(days=92)
_SPAN = (
    time_query("since", "Decisions from this moment on; by default seven days before `until`."),
    time_query("until", "Decisions before this moment; by default now."),
)
_VERSION = Query(name="version", kind=int, meaning="The version's number; by default the champion's.")
_STATES: tuple[AlertState, ...] = get_args(AlertState)


class OutcomesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of some decisions: one outcome, or up to 100,000."""

    outcomes: list[Outcome]
    because: str = ""


class WindowPage(msgspec.Struct, frozen=True, kw_only=True):
    """Hours that were watched, oldest first, one item for each version and stage."""

    items: tuple[WindowRow, ...]


class DriftAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A window against the reference, and its findings; null when the version has no reference."""

    drift: Drift | None
    findings: tuple[ShownFinding, ...] = ()


class PerformanceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The span's performance, and the test of all days so far against the level at approval (null without one)."""

    performance: Performance
    level: LevelTest | None = None


class ExpectedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate, and what it is blind to; null for a regression, and without decisions."""

    expected: Estimated | None


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some alerts, newest first, and where the next page begins (null: it was the last)."""

    items: list[Alert]
    next: str | None = None


class AlertAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One alert, and what became of the messages about it."""

    alert: Alert
    deliveries: list[Delivery]


class AcknowledgeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    because: str = ""


class SilenceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when nothing is sent, for alerts of groups like ``drift``, ``quality:*`` or ``*``."""

    until: datetime
    groups: str = "*"
    because: str = ""


def routes(store: Store) -> list[Route]:
    """Return the room's routes over a store."""
    return [*_outcomes(store), *_measuring(store), *_comparing(store), *_alerting(store)]


def _outcomes(store: Store) -> list[Route]:
    def record(call: Call, request: OutcomesRequest) -> Recorded:
        because = request.because or call.because
        return record_outcomes(store, call.path["endpoint"], request.outcomes, actor=call.actor, because=because)

    return [
        Route(
            method="POST", path=f"{ENDPOINT}/outcomes", permission=Permission.LOG, resource=OF_ENDPOINT, handler=record,
            request=OutcomesRequest, response=Recorded, limit_bytes=OUTCOMES_BYTES,
            summary="Say what came of decisions, by id or by key; all are recorded, or none",
        )
    ]  # fmt: skip


def _measuring(store: Store) -> list[Route]:
    def shown_windows(call: Call) -> WindowPage:
        since, until = _span(call, store)
        if until - since > MOST_WINDOWS:
            raise Invalid(
                f"{(until - since).days} days of hours were asked for", where="query since",
                why=f"An answer holds at most {MOST_WINDOWS.days} days.", next="ask for a shorter span",
            )  # fmt: skip
        return WindowPage(items=windows(store, _routing(store, call).endpoint, since=since, until=until))

    def shown_performance(call: Call) -> PerformanceAnswer:
        routing, version = _routing(store, call), _version(call, store)
        slices, metrics = _names(call, "slices"), _names(call, "metrics")
        if call.query.get("since") or call.query.get("until"):
            since, until = _span(call, store)
            found = performance(
                store, routing.endpoint, version=version, since=since, until=until, slices=slices, metrics=metrics
            )
        else:
            found = lately(store, routing.endpoint, version=version, over=LAST, slices=slices, metrics=metrics)
        level = level_test(store, routing.endpoint, version=version, at=store.clock.now(), model=routing.model)
        return PerformanceAnswer(performance=found, level=level)

    def shown_drift(call: Call) -> DriftAnswer:
        routing, (since, until), version = _routing(store, call), _span(call, store), _version(call, store)
        found = drift(store, routing.endpoint, version=version, since=since, until=until, model=routing.model)
        judged = drift_findings(store, routing.endpoint, version=version, since=since, until=until, model=routing.model)
        return DriftAnswer(
            drift=found,
            findings=tuple(map(shown_finding, judged)),
        )  # fmt: skip

    slices = Query(name="slices", meaning="Features to slice by, separated by commas.")
    metrics = Query(name="metrics", meaning="Further metrics, such as auc, separated by commas.")
    return [
        _read("windows", shown_windows, WindowPage, _SPAN, "List the hours that were watched: decisions and outcomes"),
        _read(
            "performance", shown_performance, PerformanceAnswer, (_VERSION, *_SPAN, slices, metrics),
            "Measure a version on the decisions of a span, as far as their outcomes are known",
        ),
        _read(
            "drift", shown_drift, DriftAnswer, (_VERSION, *_SPAN),
            "Compare the inputs and predictions of a span with the version's reference",
        ),
    ]  # fmt: skip


def _comparing(store: Store) -> list[Route]:
    def shown_failures(call: Call) -> Failures:
        since, until = _span(call, store)
        return failures(store, _routing(store, call).endpoint, version=_version(call, store), since=since, until=until)

    def shown_paired(call: Call) -> Paired:
        since, until = _span(call, store)
        champion = _number(call, "champion")
        return paired(
            store, _routing(store, call).endpoint, challenger=_number(call, "challenger") or 0, since=since,
            until=until, champion=_routing(store, call).champion if champion is None else champion,
        )  # fmt: skip

    def shown_expected(call: Call) -> ExpectedAnswer:
        routing, (since, until), version = _routing(store, call), _span(call, store), _version(call, store)
        return ExpectedAnswer(expected=expected(store, routing.endpoint, version=version, since=since, until=until))

    def shown_dry_run(call: Call) -> Foreseen:
        version, routing = _version(call, store), _routing(store, call)
        return foreseen(store, f"{routing.model}@{version}", endpoint=routing.endpoint)

    def shown_foreseen(call: Call) -> Foreseen:
        ref = f"{call.path['model']}@{call.path['version']}"
        return foreseen(store, ref, endpoint=call.query.get("endpoint", ""))

    at_endpoint = Query(name="endpoint", meaning="Where it would serve; by default the endpoint of its model.")
    champion = Query(name="champion", kind=int, meaning="The version to compare with; by default the champion.")
    challenger = Query(name="challenger", kind=int, required=True, meaning="The version that is compared.")
    return [
        _read(
            "expected", shown_expected, ExpectedAnswer, (_VERSION, *_SPAN),
            "Estimate a classifier's performance before outcomes, from its own probabilities",
        ),
        _read(
            "dry-run", shown_dry_run, Foreseen, (_VERSION,),
            "Say what watching a version for drift would have done on its own reference, and what it can find",
        ),
        Route(
            method="GET", path="/api/v1/models/{model}/versions/{version}/foreseen", permission=Permission.READ,
            resource=in_path("model"), handler=shown_foreseen, response=Foreseen, query=(at_endpoint,),
            summary="Say what watching a version could find, before it serves",
        ),
        _read(
            "failures", shown_failures, Failures, (_VERSION, *_SPAN),
            "Count a version's requests and errors in a span, with its latencies",
        ),
        _read(
            "paired", shown_paired, Paired, (challenger, champion, *_SPAN),
            "Compare two versions on the rows that both decided on",
        ),
    ]  # fmt: skip


def _read(name: str, handler: Callable[..., object], response: type, query: tuple[Query, ...], summary: str) -> Route:
    return Route(
        method="GET", path=f"{ENDPOINT}/{name}", permission=Permission.READ, resource=OF_ENDPOINT,
        handler=handler, response=response,
        query=query, summary=summary,
    )  # fmt: skip


def _alerting(store: Store) -> list[Route]:
    def listed(call: Call) -> AlertPage:
        limit, states = call.limit(LIMIT, most=MOST), _names(call, "state") or _STATES
        if strange := [state for state in states if state not in _STATES]:
            raise Invalid(
                f"{strange[0][:40]!r} is no state of an alert", where="query state", why="An alert is in one of three.",
                next=f"ask for one of: {', '.join(_STATES)}",
            )  # fmt: skip
        found = alerts(
            store, endpoint=call.query.get("endpoint"), states=states, limit=limit, before_id=call.id_cursor()
        )
        return AlertPage(items=found, next=found[-1].id if len(found) == limit else None)

    def one(call: Call) -> AlertAnswer:
        alert = get_alert(store, call.path["id"])
        return AlertAnswer(alert=alert, deliveries=deliveries(store, alert.id))

    def taken(call: Call, request: AcknowledgeRequest) -> Alert:
        with store.change(call.actor, request.because or call.because) as change:
            return acknowledge(change, call.path["id"])

    def silenced(call: Call, request: SilenceRequest) -> Silence:
        endpoint = _routing(store, call).endpoint
        with store.change(call.actor, request.because or call.because) as change:
            return silence(change, endpoint, until=request.until, groups=request.groups)

    of_alert = in_path("id", lambda alert: get_alert(store, alert).endpoint)
    endpoint = Query(name="endpoint", meaning="Only alerts of this endpoint.")
    state = Query(name="state", meaning="Only in these states, separated by commas: open, acknowledged, resolved.")
    return [
        Route(
            method="GET", path="/api/v1/alerts", permission=Permission.READ, resource=in_query("endpoint"),
            handler=listed, response=AlertPage,
            query=(endpoint, state, limit_query(LIMIT, most=MOST), CURSOR), summary="List alerts, newest first",
        ),
        Route(
            method="GET", path="/api/v1/alerts/{id}", permission=Permission.READ, resource=of_alert,
            handler=one, response=AlertAnswer,
            summary="Show one alert, and whether its targets were told",
        ),
        Route(
            method="POST", path="/api/v1/alerts/{id}/acknowledge", permission=Permission.REGISTER, resource=of_alert,
            handler=taken,
            request=AcknowledgeRequest, response=Alert, summary="Take an alert on",
        ),
        Route(
            method="POST", path=f"{ENDPOINT}/silence", permission=Permission.REGISTER, resource=OF_ENDPOINT,
            handler=silenced,
            request=SilenceRequest, response=Silence, summary="Send nothing for alerts of an endpoint until a moment",
        ),
    ]  # fmt: skip


def _routing(store: Store, call: Call) -> Routing:
    return get_endpoint(store, call.path["endpoint"]).routing


def _version(call: Call, store: Store) -> int:
    asked = _number(call, "version")
    return _routing(store, call).champion if asked is None else asked


def _number(call: Call, name: str) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    if not text.isdecimal() or not 1 <= int(text[:10]) < 1 << 31:
        raise Invalid(
            f"{text[:20]!r} is no version", where=f"query {name}", why="Versions are numbered from 1.",
            next=f"add for example ?{name}=1",
        )  # fmt: skip
    return int(text)


def _names(call: Call, name: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in call.query.get(name, "").split(",") if one.strip())


def _span(call: Call, store: Store) -> tuple[datetime, datetime]:
    until_text, since_text = call.query.get("until"), call.query.get("since")
    until = store.clock.now() if until_text is None else parse_time(until_text, where="query until")
    since = until - LAST if since_text is None else parse_time(since_text, where="query since")
    check_span(since, until, where="query since, until")
    return since, until
