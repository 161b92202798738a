"""What policies read: metrics of a version in service, from the decision log and from labels that arrived late."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache

import msgspec

from trimtab.data import get_snapshot, latest_snapshot
from trimtab.declare import Metric, duration_text
from trimtab.evaluation import (
    NEITHER_IS_BETTER,
    SLICE_MINIMUM,
    MetricValue,
    Slice,
    gap_among,
    get_evaluation,
    rates_of,
    worst_of,
)
from trimtab.features import get_view
from trimtab.kernel import Invalid, TrimtabError
from trimtab.loop.policy import Measure, Measured
from trimtab.monitoring import SURE, Paired, SlicePerformance, drift, failures, mature_until, paired, performance
from trimtab.registry import get_version
from trimtab.store import Store

LOSS_WINDOW_S = 7 * 86400.0
"""Window of a performance metric that names none."""
DRIFT_WINDOW_S = 30 * 86400.0
"""Window of a drift that names none: ordinary weeks differ more from each other than ordinary months."""
LEAST_LABELLED = 200
"""Labelled decisions below which performance in service is not judged."""
LEAST_DECISIONS = 200
LEAST_REQUESTS = 50
"""Requests below which a rate of errors or a latency says nothing, unless ``LEAST_ERRORS`` have failed already."""
LEAST_ERRORS = 5
_WITHOUT_OUTCOMES = ("errors", "new_rows")
CONFIDENCE = 0.95
_NAMED = 5
_PAIRED = {"log_loss": 1, "rmse": 2}
"""Metrics that are means over rows, so that both versions are compared on exactly the same ones; rmse by its square."""


def in_service(store: Store, endpoint: str, version: int, *, since: datetime, now: datetime) -> Measure:
    """Measure the version that answers, over the window of each metric and no further back than ``since``.

    ``since`` is when it took over: what an earlier version did says nothing about this one.
    """

    def measure(metric: Metric) -> Measured:
        if metric.of == "at_approval":
            return _at_approval(store, f"{endpoint}@{version}", metric)
        default = DRIFT_WINDOW_S if metric.name.startswith("drift.") else LOSS_WINDOW_S
        window = 0.0 if metric.name == "new_rows" else metric.over_s or default
        until = _final(store, endpoint, metric, now)
        start = until - timedelta(seconds=window)
        if since > start:
            return Measured(value=None, why=f"it has not served for {_length(window, now - until)} yet")
        return _measured(store, endpoint, version, metric, since=start, now=until)

    return measure


def in_rollout(
    store: Store, endpoint: str, version: int, champion: int | None, *, since: datetime, now: datetime
) -> Measure:
    """Measure a version in its rollout, and the champion beside it, on the rows that both have seen since it began."""

    @cache  # a policy asks for both sides of a comparison, and perhaps in two of its rules
    def on_same_rows(start: datetime) -> Paired:
        assert champion is not None
        return paired(store, endpoint, challenger=version, champion=champion, since=start, until=now)

    def measure(metric: Metric) -> Measured:
        if metric.of == "at_approval":
            return _at_approval(store, f"{endpoint}@{version}", metric)
        if metric.of == "champion" and champion is None:
            return Measured(value=None, why="there is no champion yet")
        until = _final(store, endpoint, metric, now)
        start = since if metric.over_s is None else max(since, until - timedelta(seconds=metric.over_s))
        if until <= start:
            young = duration_text((now - until).total_seconds())
            return Measured(value=None, why=f"no outcome is final yet: that takes {young} from the decision")
        if metric.name in _PAIRED and champion is not None and metric.slice_by is None:
            found = on_same_rows(start)
            value = found.champion_loss if metric.of == "champion" else found.challenger_loss
            if value is None or found.n < LEAST_LABELLED:
                return _too_few(found.n)
            return Measured(
                value=value ** (1 / _PAIRED[metric.name]),
                n=found.n,
                doubt=doubt_of(max(found.e_value, found.better_e_value)),
            )
        whose = champion if metric.of == "champion" and champion is not None else version
        return _measured(store, endpoint, whose, metric, since=start, now=until)

    return measure


def _final(store: Store, endpoint: str, metric: Metric, now: datetime) -> datetime:
    """Return until when a metric may look at decisions: where it needs outcomes, as far as these are final."""
    if metric.name in _WITHOUT_OUTCOMES or metric.name.startswith(("drift.", "latency.")):
        return now
    return mature_until(store, endpoint, at=now)


def _length(window: float, young: timedelta) -> str:
    text = duration_text(window)
    return (
        f"{text} and the {duration_text(young.total_seconds())} that its outcomes take to be final" if young else text
    )


def doubt_of(evidence: float) -> str:
    """Return what keeps a difference on the same rows from being beyond chance, however often it is looked at."""
    return "" if evidence >= SURE else f"evidence {evidence:.2g} of {SURE:g}"


def _measured(store: Store, endpoint: str, version: int, metric: Metric, *, since: datetime, now: datetime) -> Measured:
    if metric.name.startswith("drift."):
        return _drift(store, endpoint, version, metric, since=since, now=now)
    if metric.name == "errors" or metric.name.startswith("latency."):
        seen = failures(store, endpoint, version=version, since=since, until=now)
        if not seen.requests:
            return Measured(value=None, why="nobody has asked yet")
        many = seen.errors if metric.name == "errors" else 0
        if seen.requests < LEAST_REQUESTS and many < LEAST_ERRORS:
            return Measured(value=None, n=seen.requests, why=f"{seen.requests} requests, fewer than {LEAST_REQUESTS}")
        value = seen.errors / seen.requests if metric.name == "errors" else getattr(seen, f"{metric.name[8:]}_s")
        why = "it was not measured: the clock stood still, as in a replay" if value is None else ""
        return Measured(value=value, n=seen.requests, why=why)
    if metric.name == "new_rows":
        return _new_rows(store, f"{endpoint}@{version}")
    by = metric.slice_by
    try:
        found = performance(
            store, endpoint, version=version, since=since, until=now, slices=(by,) if by else (),
            metrics=() if by else (metric.name,),
        )  # fmt: skip
    except Invalid as error:  # a column of more values than slices are cut by
        return Measured(value=None, why=error.what)
    if found.labelled < LEAST_LABELLED:
        return _too_few(found.labelled)
    if by is not None:
        return over_slices(found.slices.get(by, ()), metric)
    return _told(found.metrics[metric.name])


def over_slices(slices: Sequence[SlicePerformance | Slice], metric: Metric) -> Measured:
    """Return the worst of the slices of a column, the gap between two, or its part beyond chance.

    A slice in which the metric has no value, or rests on fewer than 30 rows, is left out and named: one group without a
    positive must not hide how far the others lie apart, nor may one of a single positive decide.
    """
    by, rates, least = metric.slice_by or "", rates_of(metric.name), metric.at_least or LEAST_LABELLED
    large = [Slice(value=one.value, n=one.n, metrics=one.metrics) for one in slices if one.n >= least]
    used = [one for one in large if all(_rests_on_enough(one.metrics.get(rate)) for rate in rates)]
    names = {one.value for one in used}
    left_out = [one.value for one in large if one.value not in names]
    if metric.over_slices == "worst" and metric.name in NEITHER_IS_BETTER:
        return Measured(value=None, why=f"{metric.name} has no better or worse side; look at its gap")
    if len(used) < (1 if metric.over_slices == "worst" else 2):
        many = f"only one slice of {by} has" if used else f"no slice of {by} has"
        enough = f", {SLICE_MINIMUM} of them for its {metric.name}" if left_out else ""
        return Measured(value=None, why=f"{many} {least} labelled decisions{enough}")
    look = worst_of if metric.over_slices == "worst" else gap_among
    found = look(metric.name, by, used, confidence=CONFIDENCE)
    told = _told(found.value)
    if metric.over_slices == "gap_beyond_chance":
        told = msgspec.structs.replace(told, value=found.value.low, why=found.value.why)
    return msgspec.structs.replace(
        told, chance=found.chance, left_out=_left_out(by, left_out, metric.name) if left_out else ""
    )


def _rests_on_enough(found: MetricValue | None) -> bool:
    return found is not None and found.value is not None and found.n >= SLICE_MINIMUM


def _left_out(by: str, names: Sequence[str], metric: str) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"without {by} {', '.join(names[:_NAMED])}{more}, where {metric} rests on fewer than {SLICE_MINIMUM} rows"


def _told(found: MetricValue) -> Measured:
    return Measured(value=found.value, n=found.n, why=found.why if found.value is None else "")


def _drift(store: Store, endpoint: str, version: int, metric: Metric, *, since: datetime, now: datetime) -> Measured:
    found = drift(store, endpoint, version=version, since=since, until=now)
    if found is None or found.n < LEAST_DECISIONS:
        return Measured(value=None, why=f"fewer than {LEAST_DECISIONS} decisions in the window")
    if metric.feature is None:
        return Measured(value=found.of_prediction.psi, n=found.n)
    column = next((one for one in found.columns if one.name == metric.feature), None)
    if column is None:
        return Measured(value=None, why=f"the reference holds no {metric.feature}")
    return Measured(value=column.psi, n=found.n)


def _new_rows(store: Store, ref: str) -> Measured:
    """Return how many rows the source of the view's own contract has gained since the version was trained."""
    version = get_version(store, ref)
    if version.lineage.view is None or not version.lineage.snapshots:
        return Measured(value=None, why=f"{ref} does not say what it was trained on")
    of = get_view(store, version.lineage.view).spec.of.name
    used = [get_snapshot(store, id_) for id_ in version.lineage.snapshots]
    learnt = next((snapshot for snapshot in used if snapshot.contract == of), None)
    newest = latest_snapshot(store, learnt.source) if learnt is not None else None
    if learnt is None or newest is None:
        return Measured(value=None, why=f"there is no snapshot of {of}")
    return Measured(value=float(newest.rows - learnt.rows), n=newest.rows)


def _at_approval(store: Store, ref: str, metric: Metric) -> Measured:
    """Return what the metric was on the test span, when the version was approved."""
    try:
        version = get_version(store, ref)
        if version.evaluation_id is None:
            return Measured(value=None, why=f"{ref} was registered without an evaluation")
        report = get_evaluation(store, version.evaluation_id).report
    except TrimtabError as error:
        return Measured(value=None, why=error.what)
    if metric.slice_by is not None:
        return over_slices(report.evaluation.slices.get(metric.slice_by, ()), metric)
    found = report.evaluation.metrics.get(metric.name)
    if found is None or found.value is None:
        return Measured(value=None, why=f"{metric.name} was not measured at approval")
    return Measured(value=found.value, n=found.n)


def _too_few(n: int) -> Measured:
    return Measured(value=None, why=f"{n} labelled decisions so far, at least {LEAST_LABELLED} are needed")
