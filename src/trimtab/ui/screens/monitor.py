"""``/ui/monitor``: what is served against what was learnt: drift, performance with late labels, alarms."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import median

import msgspec

from trimtab.declare import AllOf, AnyOf, Condition, Metric, Policy, Threshold
from trimtab.evaluation import get_evaluation
from trimtab.kernel import Body, Call, Invalid, Route, TrimtabError
from trimtab.monitoring import (
    ColumnDrift,
    Drift,
    Estimate,
    Performance,
    ShownFinding,
    drift,
    drift_findings,
    failures,
    get_reference,
    lately,
    level_power,
    level_test,
    measured_skew,
    performance,
    shown_finding,
    windows,
)
from trimtab.registry import get_version
from trimtab.serving import Endpoint, get_endpoint, list_endpoints
from trimtab.store import Store
from trimtab.ui.against import PREDICTION, against_reference
from trimtab.ui.declared import declared_model
from trimtab.ui.draw import Chart, Series, line_chart
from trimtab.ui.phases import HEADLINE
from trimtab.ui.render import counted
from trimtab.ui.screen import Desk, shown_at
from trimtab.ui.screens.alarms import HOURS, alarms_of, open_alarms

AT = "/ui/monitor"
SPANS = {"1d": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
BINS = {"1d": timedelta(hours=1), "7d": timedelta(hours=6), "30d": timedelta(days=1)}
LEVELS = {"page": 0, "shown": 1, "none": 2, "unwatched": 3}
ROWS_DRAWN = 100_000
LEAST_LABELLED = 20
"""A point of the performance rests on at least so many labels; fewer say more of chance than of the model."""


class Found(msgspec.Struct, frozen=True):
    """A column and what the monitor says of it; None without decisions to judge."""

    column: ColumnDrift
    finding: ShownFinding | None

    @property
    def order(self) -> tuple[int, float, float]:
        """Sort what pages first, then what drifted, then by how far the prediction feels it."""
        found = self.finding
        if found is None:
            return (max(LEVELS.values()) + 1, 0.0, 0.0)
        return (LEVELS[found.level], -found.effect * found.influence, -(self.column.psi or 0.0))


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of time as a bar: filled as far as labels are known (``known``), and above that what still waits."""

    x: str
    width: str
    top: str
    waits: str
    y: str
    known: str
    text: str


class Line(msgspec.Struct, frozen=True):
    """An endpoint as the list shows it: the last week, and the last week of decisions whose outcomes are final."""

    endpoint: Endpoint
    week: Performance
    final: Performance
    metric: str
    drift: Drift | None
    pages: int
    notes: int


def routes(desk: Desk) -> list[Route]:
    """Return the pages of monitoring."""
    store = desk.rooms.store

    def all_of_them(call: Call) -> Body:
        until = store.clock.now()
        lines = [_line(store, endpoint, until) for endpoint in list_endpoints(store)]
        return desk.pages.page(call, "monitors.html", at=AT, lines=lines)

    def one(call: Call) -> Body:
        found = get_endpoint(store, call.path["endpoint"])
        name, version = found.routing.endpoint, _version(call.query, found)
        span = _span(call.query)
        until = _until(store, name, store.clock.now())
        since = until - SPANS[span]
        reference = get_reference(store, found.routing.model, version)
        drifted = drift(store, name, version=version, since=since, until=until, model=found.routing.model)
        columns = _found(store, name, found.routing.model, version, drifted) if drifted else []
        column = _column(call.query.get("column", ""), columns)
        now = performance(store, name, version=version, since=since, until=until)
        final = lately(store, name, version=version, over=SPANS[span]) if now.matures_s else now
        metric = _metric(final)
        level = level_test(store, name, version=version, at=until, model=found.routing.model)
        return desk.pages.page(
            call, "monitor.html", at=AT, endpoint=found, version=version, span=span, spans=tuple(SPANS), since=since,
            final=final,
            until=until, versions=found.routing.versions, drift=drifted, columns=columns, column=column, found=now,
            metric=metric, level=_at_approval(store, f"{found.routing.model}@{version}", metric),
            failures=failures(store, name, version=version, since=since, until=until),
            against=against_reference(
                store, name, reference, column, version=version, since=_drawn_from(since, until, drifted), until=until
            ) if reference is not None and column else None,
            over_time=_over_time(store, name, version, span, until, metric), reference=reference,
            alarms=alarms_of(store, name), hours=tuple(HOURS),
            level_test=level, level_power=level_power(
                store, name, version=version, at=until, model=found.routing.model
            ) if level is not None else None,
            skew=measured_skew(store, name, version=version),
            prediction=_prediction(store, found, version, span, until), query_values=dict(call.query),
        )  # fmt: skip

    return [
        shown_at(AT, all_of_them, about="Every endpoint: drift and performance"),
        shown_at(f"{AT}/{{endpoint}}", one, about="One endpoint: drift by feature, performance, alarms"),
    ]


class Drifting(msgspec.Struct, frozen=True):
    """The drift of the prediction bin by bin; ``rows`` are the decisions of a bin, in the median."""

    chart: Chart
    rows: int
    hours: int


class OverTime(msgspec.Struct, frozen=True):
    """The main metric bin by bin, and below it how many decisions of each bin still wait for their label.

    ``few`` bins of ``hours`` hours have decisions and fewer than ``least`` labels: the chart leaves them out.
    """

    chart: Chart | None
    bars: tuple[Waiting, ...]
    waits_from: datetime | None
    hours: int
    few: int
    least: int = LEAST_LABELLED


def _line(store: Store, endpoint: Endpoint, now: datetime) -> Line:
    routing = endpoint.routing
    until = _until(store, routing.endpoint, now)
    since = until - SPANS["7d"]
    week = performance(store, routing.endpoint, version=None, since=since, until=until)
    final = lately(store, routing.endpoint, version=None, over=SPANS["7d"]) if week.matures_s else week
    drifted = drift(
        store, routing.endpoint, version=routing.champion, since=since, until=until, model=routing.model, columns=()
    )
    standing = open_alarms(store, routing.endpoint)
    pages = sum(alert.severity == "page" for alert in standing)
    return Line(endpoint, week, final, _metric(final), drifted, pages, len(standing) - pages)


def _until(store: Store, endpoint: str, now: datetime) -> datetime:
    """Return the end of the span that is looked at: now, or the end of the last hour in which something was decided."""
    for back in (SPANS["7d"], timedelta(days=400)):
        seen = windows(store, endpoint, since=now - back, until=now)
        if seen:
            return now if seen[-1].until > now - SPANS["1d"] else max(row.until for row in seen)
    return now


def _version(query: Mapping[str, str], endpoint: Endpoint) -> int:
    asked = query.get("version", "")
    if not asked:
        return endpoint.routing.champion
    if not (asked.isascii() and asked.isdigit() and 0 < int(asked) < 1_000_000_000):
        raise Invalid(
            f"{asked[:40]!r} is no version", where="query version", why="Versions are numbered from 1.",
            next=f"leave version out for {endpoint.routing.model}@{endpoint.routing.champion}",
        )  # fmt: skip
    return int(asked)


def _span(query: Mapping[str, str]) -> str:
    asked = query.get("span", "7d")
    if asked not in SPANS:
        raise Invalid(
            f"{asked[:40]!r} is no span to look at", where="query span", why="Figures are shown for a few spans.",
            next=f"use one of: {', '.join(SPANS)}",
        )  # fmt: skip
    return asked


def _metric(found: Performance) -> str:
    return next((name for name in HEADLINE if name in found.metrics), "")


def _found(store: Store, endpoint: str, model: str, version: int, drifted: Drift) -> list[Found]:
    """Return the prediction first, then every column: what pages, what is shown, then by how far it lies elsewhere."""
    since, until = drifted.since, drifted.until
    said = drift_findings(store, endpoint, version=version, since=since, until=until, model=model)
    judged = {one.name: shown_finding(one) for one in said}
    found = sorted((Found(one, judged.get(one.name)) for one in drifted.columns), key=lambda one: one.order)
    return [Found(drifted.of_prediction, judged.get(PREDICTION)), *found]


def _drawn_from(since: datetime, until: datetime, drifted: Drift | None) -> datetime:
    """Return from when on rows are read to draw a column: the newest of a span, as many as can be read at once."""
    rows = drifted.n if drifted else 0
    return until - (until - since) * min(1.0, ROWS_DRAWN / max(rows, 1))


def _column(asked: str, columns: list[Found]) -> str:
    """Return the column to draw: the one that was asked for, else the one that drifted most."""
    names = [found.column.name for found in columns]
    if asked and columns and asked not in names:
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        raise Invalid(
            f"the reference holds no column {asked[:60]!r}", where="query column",
            why="Only what the version was made on can be compared.", next=f"use one of: {', '.join(names[:20])}{more}",
        )  # fmt: skip
    return asked or (names[1] if len(names) > 1 else names[0] if names else "")


def _at_approval(store: Store, ref: str, metric: str) -> float | None:
    """Return what the metric was when the version was evaluated, to be held against."""
    try:
        version = get_version(store, ref)
        saved = get_evaluation(store, version.evaluation_id) if version.evaluation_id else None
    except TrimtabError:
        return None
    found: Estimate | None = saved.report.evaluation.metrics.get(metric) if saved else None
    return found.value if found else None


def _over_time(store: Store, endpoint: str, version: int, span: str, until: datetime, metric: str) -> OverTime:
    step = BINS[span]
    found = []
    at = until - SPANS[span]
    while at < until:
        end = min(at + step, until)
        found.append(performance(store, endpoint, version=version, since=at, until=end))
        at = end
    top = max((one.decisions for one in found), default=0) or 1
    width = 1000 / max(len(found), 1)
    bars = tuple(_waiting(one, i, width, top) for i, one in enumerate(found))
    waits = next((one.since for one in found if one.decisions and one.labelled < one.decisions), None)
    chart = _chart(found, metric, level=_at_approval(store, f"{endpoint}@{version}", metric))
    few = sum(one.decisions > 0 and one.labelled < LEAST_LABELLED for one in found)
    return OverTime(chart, bars, waits, round(step / timedelta(hours=1)), few)


def _waiting(one: Performance, i: int, width: float, top: int) -> Waiting:
    height, known = one.decisions / top * 42, one.labelled / top * 42
    waits = one.decisions - one.labelled
    text = f"{one.since:%d %b %H:%M}: {counted(one.decisions, 'decisions')}, {waits} wait for their label"
    return Waiting(
        x=f"{i * width + 1:.5g}", width=f"{max(width - 2, 1):.4g}", top=f"{43 - height:.4g}",
        waits=f"{height - known:.4g}", y=f"{43 - known:.4g}", known=f"{known:.4g}", text=text,
    )  # fmt: skip


def _chart(found: list[Performance], metric: str, *, level: float | None) -> Chart | None:
    """Draw the bins with enough labels; the band is their interval, the dashed level what it was at approval."""
    shown = [(one, one.metrics[metric]) for one in found if metric in one.metrics and one.labelled >= LEAST_LABELLED]
    points = [(one.until.timestamp(), v.value) for one, v in shown if v.value is not None]
    if len(points) < 2:
        return None
    kept = [v for _, v in shown if v.value is not None]
    series = Series(
        name=metric.replace("_", " "), points=points,
        low=[v.low if v.low is not None else v.value or 0.0 for v in kept],
        high=[v.high if v.high is not None else v.value or 0.0 for v in kept],
    )  # fmt: skip
    include = () if level is None else (level,)
    between = (found[0].since.timestamp(), found[-1].until.timestamp())
    return line_chart([series], x="time", x_name="until", mark=level, include=include, between=between, tell_last=False)


def _prediction(store: Store, endpoint: Endpoint, version: int, span: str, until: datetime) -> Drifting | None:
    """Draw how far the predictions lay from the reference, bin by bin."""
    step = max(BINS[span], timedelta(hours=6))
    points, rows = [], []
    at = until - SPANS[span]
    while at < until:
        end = min(at + step, until)
        found = drift(
            store, endpoint.routing.endpoint, version=version, since=at, until=end, model=endpoint.routing.model,
            columns=(),
        )  # fmt: skip
        if found is not None and found.n and found.of_prediction.psi is not None:
            points.append((end.timestamp(), found.of_prediction.psi))
            rows.append(found.n)
        at = end
    if len(points) < 2:
        return None
    level = _drift_level(store, endpoint.routing.model)
    chart = line_chart(
        [Series(name="PSI", points=points)], x="time", x_name="until", include=(0.0, level or 0.0), mark=level,
        between=((until - SPANS[span]).timestamp(), until.timestamp()), tell_last=False,
    )  # fmt: skip
    return Drifting(chart, round(median(rows)), round(step / timedelta(hours=1))) if chart else None


def _drift_level(store: Store, model: str) -> float | None:
    """Return the drift of the prediction at which the declared policy learns again, if it names one."""
    declared = declared_model(store, model)
    waiting: list[Policy] = [declared.retraining.when] if declared and declared.retraining else []
    while waiting:
        policy = waiting.pop()
        if isinstance(policy, AnyOf | AllOf):
            waiting += policy.terms
            continue
        match policy:
            case Condition(left=Metric(name="drift.of_prediction"), right=Threshold(value=value)):
                return value
    return None
