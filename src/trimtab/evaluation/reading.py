"""Find the value that one side of a condition speaks of, or the reason why there is none."""

import math
from datetime import datetime, timedelta

import msgspec

from trimtab.declare import AtApproval, Metric, Scaled, Threshold
from trimtab.evaluation.fairness import GAPS, fairness_gap
from trimtab.evaluation.latency import Latency
from trimtab.evaluation.metrics import CLASSIFICATION, REGRESSION, Task, metrics_of
from trimtab.evaluation.records import Evaluation, MetricValue, SliceFinding
from trimtab.evaluation.slices import gap, worst
from trimtab.evaluation.wording import Side, count, counted, named, side
from trimtab.kernel import figure

MONITORED = frozenset({"drift", "errors", "freshness", "missing", "requests", "skew"})
MINIMUM_ROWS = 30
FRESH_FOR_S = 7 * 86400.0
CLOCK_SKEW_S = 300.0
"""How far the clocks of two hosts may stand apart."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A value with what it rests on. ``absent``: there is no champion or approval yet, which is no fault."""

    value: float | None
    n: int = 0
    low: float | None = None
    high: float | None = None
    slices: tuple[str, ...] = ()
    gap: float | None = None
    """The whole gap, where the value is its part beyond chance."""
    chance: float | None = None
    """How large a gap chance alone gives at these sizes, in 19 of 20 cases."""
    why: str = ""
    absent: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a gate may look at."""

    candidate: Evaluation
    champion: Evaluation | None
    at_approval: Evaluation | None
    latency: Latency | None
    champion_latency: Latency | None
    now: datetime
    fresh_for_s: float
    minimum_rows: int


def read(term: Side, other: Metric | Scaled, evidence: Evidence) -> Reading:
    """Return the value of one side; ``other`` is the opposite side, whose metric ``AtApproval`` repeats."""
    match term:
        case Threshold():
            if not math.isfinite(term.value):
                return Reading(value=None, why=f"the threshold is {term.value}, not a finite number")
            return Reading(value=term.value)
        case Metric():
            return _metric(term, evidence)
        case AtApproval():
            metric = metric_in(other)
            if metric is None:
                return Reading(value=None, why="neither side names a metric")
            return _metric(msgspec.structs.replace(metric, of="at_approval"), evidence)
        case Scaled():
            return _scaled(read(term.metric, other, evidence), term)


def metric_in(term: Side) -> Metric | None:
    """Return the metric that a side names, if it names one."""
    match term:
        case Metric():
            return term
        case Scaled():
            return metric_in(term.metric)
        case _:
            return None


def refusal(metric: Metric, *, task: Task) -> str:
    """Say why a metric can never be judged before approval; empty when it can."""
    known = {*CLASSIFICATION, *REGRESSION, *GAPS}
    why = ""
    if metric.over_s is not None or metric.name.split(".")[0] in MONITORED:
        why = (
            f"{side(metric)} is watched on live traffic, so nothing is known of it before approval; "
            "use it in roll_back_if or retrain_when"
        )
    elif metric.name.startswith("latency."):
        pass
    elif metric.name not in known:
        why = f"no metric is called {metric.name!r} (there are: {', '.join(sorted(known))})"
    elif metric.name not in metrics_of(task) and not (metric.name in GAPS and task == "classification"):
        why = f"{named(metric.name)} is not a metric of {task}"
    elif metric.name in GAPS and (metric.slice_by is None or metric.over_slices == "worst"):
        why = f"{named(metric.name)} is a gap between groups; write .gap(by=...)"
    elif metric.name not in GAPS and (metric.over_slices is None) != (metric.slice_by is None):
        why = f"{named(metric.name)} says only half of how to look at slices; write .worst(by=...) or .gap(by=...)"
    return why


def _metric(metric: Metric, evidence: Evidence) -> Reading:
    never = refusal(metric, task=evidence.candidate.task)
    if never:
        return Reading(value=None, why=never)
    if metric.name.startswith("latency."):
        return _latency(metric, evidence)
    match metric.of:
        case "self":
            return _measured(metric, evidence.candidate, evidence)
        case "champion":
            return _of_champion(metric, evidence)
        case "at_approval":
            return _of_approval(metric, evidence)


def _of_champion(metric: Metric, evidence: Evidence) -> Reading:
    if evidence.champion is None:
        return Reading(value=None, absent="no champion yet")
    if evidence.champion.rows != evidence.candidate.rows:
        return Reading(value=None, why="the champion was measured on other rows than the candidate")
    return _measured(metric, evidence.champion, evidence)


def _of_approval(metric: Metric, evidence: Evidence) -> Reading:
    if evidence.at_approval is None:
        return Reading(value=None, absent="nothing was approved yet")
    # What held at approval is history: it need not be fresh.
    return _checked(_value(metric, evidence.at_approval), metric, evidence)


def _measured(metric: Metric, evaluation: Evaluation, evidence: Evidence) -> Reading:
    stale = _stale(evaluation.measured_at, evidence)
    if stale:
        return Reading(value=None, why=stale)
    return _checked(_value(metric, evaluation), metric, evidence)


def _value(metric: Metric, evaluation: Evaluation) -> SliceFinding | MetricValue | None:
    if metric.slice_by is None:
        return evaluation.metrics.get(metric.name)
    if metric.name in GAPS:
        found = fairness_gap(evaluation, metric.name, by=metric.slice_by, at_least=metric.at_least)
        return _thick(found, GAPS[metric.name], evaluation)
    look = worst if metric.over_slices == "worst" else gap
    found = look(evaluation, metric.name, by=metric.slice_by, at_least=metric.at_least)
    found = _thick(found, (metric.name,), evaluation)
    if metric.over_slices == "worst":
        return found
    rates = {
        one.value: one.metrics[metric.name].value for one in evaluation.slices.get(metric.slice_by, ()) if one.metrics
    }
    return msgspec.structs.replace(found, slices=tuple(f"{name} {figure(rates[name] or 0.0)}" for name in found.slices))


def _thick(found: SliceFinding, rates: tuple[str, ...], evaluation: Evaluation) -> SliceFinding:
    """Take the value away when the count that a rate is a share of is too small in a slice that decided it.

    A slice of a thousand rows may hold one positive, and then its recall rests on one row.
    """
    for one in evaluation.slices.get(found.by, ()):
        for rate in rates if one.value in found.slices else ():
            n = one.metrics[rate].n
            if n < evaluation.slice_minimum:
                why = (
                    f"{named(rate)} of {found.by} {one.value} rests on {counted(n, 'rows')}, "
                    f"and at least {count(evaluation.slice_minimum)} are needed"
                )
                return msgspec.structs.replace(found, value=MetricValue(value=None, n=n, why=why))
    return found


def _checked(found: SliceFinding | MetricValue | None, metric: Metric, evidence: Evidence) -> Reading:
    """Turn what was found into a reading; a value that cannot carry a decision becomes a reason."""
    if found is None:
        return Reading(value=None, why=f"{named(metric.name)} was not measured")
    value = found.value if isinstance(found, SliceFinding) else found
    if value.value is None:
        return Reading(value=None, n=value.n, why=value.why or f"{named(metric.name)} has no value")
    if not math.isfinite(value.value):
        return Reading(value=None, n=value.n, why=f"{named(metric.name)} is {value.value}, not a finite number")
    if metric.slice_by is None and value.n < evidence.minimum_rows:
        rests = f"it rests on {counted(value.n, 'rows')}, and at least {count(evidence.minimum_rows)} are needed"
        return Reading(value=None, n=value.n, why=rests)
    if value.low is None or value.high is None:
        return Reading(value=None, n=value.n, why=value.why or "no interval was given with it")
    if not isinstance(found, SliceFinding):
        return Reading(value=value.value, n=value.n, low=value.low, high=value.high)
    proven = metric.over_slices == "gap_beyond_chance"
    return Reading(
        value=value.low if proven else value.value, gap=value.value if proven else None, n=value.n, low=value.low,
        high=value.high, slices=found.slices, chance=found.chance,
    )  # fmt: skip


def _latency(metric: Metric, evidence: Evidence) -> Reading:
    if metric.of == "champion" and evidence.champion is None:
        return Reading(value=None, absent="no champion yet")
    if metric.of == "at_approval" and evidence.at_approval is None:
        return Reading(value=None, absent="nothing was approved yet")
    if metric.of == "at_approval" or metric.slice_by is not None:
        return Reading(value=None, why="latency is measured for the candidate and the champion, over all calls")
    latency = evidence.latency if metric.of == "self" else evidence.champion_latency
    why = _stale(latency.measured_at, evidence) if latency else f"{side(metric)} was not measured"
    if latency is None or why:
        return Reading(value=None, why=why)
    if latency.absent:
        return Reading(value=None, absent=latency.absent)
    return _quantile(latency, metric.name.removeprefix("latency."), minimum=evidence.minimum_rows)


def _quantile(latency: Latency, name: str, *, minimum: int) -> Reading:
    found = latency.metrics.get(name)
    if found is None:
        return Reading(value=None, why=f"there is no latency {name!r} (there are: {', '.join(latency.metrics)})")
    if found.value is None or not math.isfinite(found.value):
        return Reading(value=None, n=found.n, why=found.why or "it is not a finite number")
    if found.n < minimum:
        why = f"it rests on {counted(found.n, 'calls')}, and at least {count(minimum)} are needed"
        return Reading(value=None, n=found.n, why=why)
    return Reading(value=found.value, n=found.n, low=found.low, high=found.high)


def _scaled(reading: Reading, term: Scaled) -> Reading:
    if reading.value is None:
        return reading
    value = reading.value * term.factor + term.plus
    if not math.isfinite(value):
        return Reading(value=None, n=reading.n, why=f"{side(term)} is not a finite number")
    if reading.low is None or reading.high is None:
        return Reading(value=value, n=reading.n)
    low, high = sorted((reading.low * term.factor + term.plus, reading.high * term.factor + term.plus))
    return Reading(value=value, n=reading.n, low=low, high=high, slices=reading.slices)


def _stale(measured_at: datetime | None, evidence: Evidence) -> str:
    if measured_at is None:
        return "nobody recorded when it was measured"
    age = evidence.now - measured_at
    if age > timedelta(seconds=evidence.fresh_for_s):
        return (
            f"it is stale: measured {age / timedelta(days=1):.1f} days ago, "
            f"and {evidence.fresh_for_s / 86400:g} days are allowed"
        )
    if age < timedelta(seconds=-CLOCK_SKEW_S):
        return f"it was measured at {measured_at.isoformat()}, which is still to come"
    return ""
