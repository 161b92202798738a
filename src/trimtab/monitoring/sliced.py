"""Metrics that need the rows themselves, of all of them or by the values of a feature; measured as evaluations are."""

import math
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from trimtab.evaluation import Evaluation, Task, auc, auc_interval, evaluate, get_evaluation, metrics_of
from trimtab.kernel import Invalid, NotFound, time_of
from trimtab.monitoring.maturity import routed_model
from trimtab.monitoring.records import Estimate, SlicePerformance
from trimtab.monitoring.rows import LabelledRows, Span, labelled_rows
from trimtab.registry import VersionRef, get_version, list_versions
from trimtab.serving import decision_tables
from trimtab.store import Store

RESAMPLES = 200
_SLACK = timedelta(seconds=2)
_FEATURE = "feature_"


class NotSliceable(Invalid):
    """A column or metric that decisions are not measured by."""

    code = "monitoring.not-sliceable"


def from_rows(
    store: Store, span: Span, task: Task, names: Collection[str], *, confidence: float
) -> dict[str, Estimate]:
    """Return metrics of a span's decisions by name. Raises ``NotSliceable`` for a name that is none of the task's."""
    unknown = sorted(set(names) - set(metrics_of(task)))
    if unknown:
        raise NotSliceable(
            f"{unknown[0][:60]!r} is no metric of a {task}", where="performance: metrics",
            why="Each is measured from outcomes and predictions, as in an evaluation.",
            next=f"ask for one of: {', '.join(metrics_of(task))}",
        )  # fmt: skip
    rows = labelled_rows(store, span)
    if not rows.y.size:
        return {name: Estimate(value=None, n=0, why="no outcome is known yet") for name in names}
    found = {"auc": _auc(rows, confidence)} if task == "classification" else {}
    others = [name for name in names if name not in found]
    if others:
        found |= _evaluated(task, rows, {}, confidence, _quantile(store, span, task)).metrics
    return {name: found[name] for name in names}


def _auc(rows: LabelledRows, confidence: float) -> Estimate:
    y, n = rows.y > 0.5, rows.y.size
    value = auc(y, rows.p)
    if not math.isfinite(value):
        return Estimate(value=None, n=n, why=f"all {n} outcomes are {'1' if y.any() else '0'}")
    bounds = auc_interval(y, rows.p, auc=value, confidence=confidence)
    if bounds is None:
        return Estimate(value=value, n=n, why="too few rows for an interval")
    low, high, method = bounds
    return Estimate(value=value, low=low, high=high, n=n, method=method)


def sliced(
    store: Store, span: Span, task: Task, by: Sequence[str], *, confidence: float
) -> dict[str, tuple[SlicePerformance, ...]]:
    """Return for each column the metrics of the decisions with each of its values. Raises ``NotSliceable``."""
    rows = labelled_rows(store, span)
    if not rows.ids:
        return dict.fromkeys(by, ())
    columns = _features(store, span, rows, by)
    measured = _evaluated(task, rows, columns, confidence, _quantile(store, span, task))
    return {
        name: tuple(SlicePerformance(value=one.value, n=one.n, metrics=one.metrics, why=one.why) for one in slices)
        for name, slices in measured.slices.items()
    }


def _quantile(store: Store, span: Span, task: Task) -> float:
    """Return which quantile a version predicts (any: the newest), as its evaluation says; 0.5 where none was kept."""
    if task == "classification":
        return 0.5
    model = routed_model(store, span.endpoint)
    try:
        if span.version is None:
            version = list_versions(store, model, limit=1).items[0]
        else:
            version = get_version(store, VersionRef(model, span.version, ""))
        return get_evaluation(store, version.evaluation_id or "").report.evaluation.quantile
    except (NotFound, IndexError):
        return 0.5


def _evaluated(
    task: Task, rows: LabelledRows, columns: dict[str, Any], confidence: float, quantile: float
) -> Evaluation:
    y: Any = rows.y > 0.5 if task == "classification" else rows.y
    # The moment of measuring is not part of what is returned; the newest row's will do.
    return evaluate(
        task=task, y=y, prediction=rows.p, slices=columns, measured_at=time_of(max(rows.subjects)),
        confidence=confidence, resamples=RESAMPLES, quantile=quantile,
    )  # fmt: skip


def _features(store: Store, span: Span, rows: LabelledRows, by: Sequence[str]) -> dict[str, Any]:
    """Return columns of the logged features, in the order of the rows."""
    place = {id_: at for at, id_ in enumerate(rows.ids)}
    found = {name: np.full(len(rows.ids), None, dtype=object) for name in by}
    known: set[str] = set()
    # A shadow's decision was logged at the moment of the one that it mirrors.
    since, until = time_of(min(rows.subjects)) - _SLACK, time_of(max(rows.subjects)) + _SLACK
    for table in decision_tables(store, span.endpoint, since=since, until=until):
        names = set(table.column_names)
        ids = table["id"].to_pylist()
        places = [(at, place[id_]) for at, id_ in enumerate(ids) if id_ in place]
        known |= {name.removeprefix(_FEATURE) for name in names if name.startswith(_FEATURE)}
        for name in by:
            if _FEATURE + name in names:
                values = table[_FEATURE + name].to_pylist()
                for at, to in places:
                    found[name][to] = values[at]
    for name in by:
        if name not in known:
            raise NotSliceable(
                f"no decision of {span.endpoint} has a feature {name[:60]!r}", where="performance: slices",
                why="Decisions are cut by the features that they were made from.",
                next=f"slice by one of: {', '.join(sorted(known))[:300] or 'none'}",
            )  # fmt: skip
    return found
