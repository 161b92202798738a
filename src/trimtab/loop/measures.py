"""What policies read: metrics of a version in service, from the decision log and from labels that arrived late."""

from datetime import datetime, timedelta
from functools import cache

from trimtab.data import get_snapshot, latest_snapshot
from trimtab.declare import Metric, duration_text
from trimtab.evaluation import LOWER_IS_BETTER, NEITHER_IS_BETTER, chance_gap, gap_bounds, get_evaluation
from trimtab.features import get_view
from trimtab.kernel import TrimtabError
from trimtab.loop.policy import Measure, Measured
from trimtab.monitoring import SURE, Paired, Performance, drift, failures, mature_until, paired, performance
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
        return Measured(value=value, n=seen.requests)
    if metric.name == "new_rows":
        return _new_rows(store, f"{endpoint}@{version}")
    slices = (metric.slice_by,) if metric.slice_by else ()
    found = performance(store, endpoint, version=version, since=since, until=now, slices=slices)
    if found.labelled < LEAST_LABELLED:
        return _too_few(found.labelled)
    if metric.over_slices is not None:
        return over_slices(found, metric)
    value = found.metrics.get(metric.name)
    return (
        Measured(value=value.value, n=value.n) if value else Measured(value=None, why="it is not measured in service")
    )


def over_slices(found: Performance, metric: Metric) -> Measured:
    """Return the worst slice of what was measured in service, the gap between two, or its part beyond chance."""
    least = metric.at_least or LEAST_LABELLED
    groups = [one for one in found.slices.get(metric.slice_by or "", ()) if one.n >= least]
    known = {one.value: one.metrics[metric.name] for one in groups if metric.name in one.metrics}
    values = [one.value for one in known.values() if one.value is not None]
    if not values:
        return Measured(value=None, why=f"no slice of {metric.slice_by} has {least} labelled decisions")
    if metric.over_slices == "worst":
        if metric.name in NEITHER_IS_BETTER:
            return Measured(value=None, why=f"{metric.name} has no better or worse side; look at its gap")
        return Measured(value=max(values) if metric.name in LOWER_IS_BETTER else min(values), n=found.labelled)
    if len(values) < 2:
        return Measured(value=None, why=f"only one slice of {metric.slice_by} has {least} labelled decisions")
    compared = [one for one in known.values() if one.value is not None]
    chance = chance_gap(compared, confidence=CONFIDENCE)
    if metric.over_slices == "gap":
        return Measured(value=max(values) - min(values), n=found.labelled, chance=chance)
    bounds = gap_bounds(compared, metric=metric.name, confidence=CONFIDENCE)
    why = "" if bounds else f"some slice of {metric.slice_by} has too few labelled decisions for an interval"
    return Measured(value=bounds[0] if bounds else None, n=found.labelled, why=why, chance=chance)


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
    found = report.evaluation.metrics.get(metric.name)
    if found is None or found.value is None:
        return Measured(value=None, why=f"{metric.name} was not measured at approval")
    return Measured(value=found.value, n=found.n)


def _too_few(n: int) -> Measured:
    return Measured(value=None, why=f"{n} labelled decisions so far, at least {LEAST_LABELLED} are needed")
