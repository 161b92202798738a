"""Measure a model's predictions on held-out rows: metrics with intervals, slices, fairness, and what pages draw."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from trimtab.evaluation import curves, intervals, resample
from trimtab.evaluation.blocks import DAY_S, blocks_of, micros
from trimtab.evaluation.fairness import fairness_of
from trimtab.evaluation.metrics import (
    PROPORTIONS,
    Array,
    Flags,
    Task,
    counts,
    metrics_of,
    range_of,
    row_losses,
    value_of,
)
from trimtab.evaluation.records import Evaluation, MetricValue, Slice
from trimtab.evaluation.rows import labels, predictions, rows_digest, slice_rows
from trimtab.evaluation.wording import count, counted
from trimtab.evaluation.zero_variance import f1_interval, unvaried_interval, varies

RESAMPLES = 1000
SLICE_MINIMUM = 30
NO_SLICES: Mapping[str, Any] = {}


def evaluate(
    *,
    task: Task,
    y: Any,
    prediction: Any,
    measured_at: datetime,
    slices: Mapping[str, Any] = NO_SLICES,
    moments: Any = None,
    at: float = 0.5,
    seed: int = 0,
    confidence: float = 0.95,
    rows: str = "",
    quantile: float = 0.5,
    resamples: int = RESAMPLES,
    slice_minimum: int = SLICE_MINIMUM,
) -> Evaluation:
    """Measure predictions against outcomes.

    ``y``: True/False (or 1/0), or numbers for regression; ``prediction``: probability of True, or the predicted
    number; ``slices``: for each column one value a row. ``moments`` are when the rows were decided (``datetime64`` in
    UTC, or microseconds since 1970): with them the loss is kept day by day, and monitors learn how days differ. ``at``
    is the threshold of a positive decision, ``quantile`` that of the pinball loss. ``rows`` is the digest of the rows
    (``rows_digest(y, keys)``), by default of labels and slices. The same input and ``seed`` give the same result. A
    prediction that is NaN or infinite leaves every metric without a value, and the reason in its place. Raises
    ``NotMeasurable`` for what cannot be measured.
    """
    truth = labels(y, task=task)
    predicted = predictions(prediction, task=task, n=truth.size)
    plan = {by: slice_rows(values, by=by, n=truth.size) for by, values in slices.items()}
    measuring = _Measuring(task, truth, predicted, at=at, quantile=quantile, confidence=confidence)
    drawn = resample.resamples_for(truth.size, resamples)
    broken = int((~np.isfinite(predicted)).sum())
    if broken or not truth.size:
        why = (
            f"{count(broken)} of {count(truth.size)} predictions are not finite numbers"
            if broken
            else "there are no rows"
        )
        metrics = {name: MetricValue(value=None, n=truth.size, why=why) for name in metrics_of(task)}
        found = {by: measuring.unmeasured(parts, why) for by, parts in plan.items()}
    else:
        metrics, found = measuring.measure(plan, drawn, seed=seed, minimum=slice_minimum)
    classified = task == "classification" and bool(truth.size) and not broken
    fairness = (
        {by: fairness_of(by, found[by], at_least=slice_minimum, confidence=confidence) for by in found}
        if classified
        else {}
    )
    return Evaluation(
        task=task, n=truth.size, positives=int(truth.sum()) if task == "classification" else None, at=at,
        quantile=quantile, confidence=confidence, seed=seed, resamples=drawn, slice_minimum=slice_minimum,
        rows=rows or rows_digest(truth, slices), metrics=metrics, slices=found, fairness=fairness,
        reliability=curves.reliability(truth.astype(bool), predicted, confidence=confidence) if classified else (),
        roc=curves.roc(truth.astype(bool), predicted) if classified else (),
        histogram=curves.histogram(task, truth, predicted) if truth.size and not broken else None,
        days=None if moments is None else blocks_of(
            row_losses(task, truth, predicted), micros(moments), span_s=DAY_S
        ),
        measured_at=measured_at,
    )  # fmt: skip


class _Measuring:
    """The rows of one evaluation, highest prediction first, and how to measure all of them or some."""

    def __init__(
        self, task: Task, y: Flags | Array, p: Array, *, at: float, quantile: float, confidence: float
    ) -> None:
        # Sorted once: every slice of sorted rows is sorted, as the weighted curves need it.
        self.order = np.argsort(-p, kind="stable")
        self.place = np.empty(p.size, dtype=np.intp)
        self.place[self.order] = np.arange(p.size)
        self.task = task
        self.y, self.p = y[self.order], p[self.order]
        self.at, self.quantile, self.confidence = at, quantile, confidence

    def measure(
        self, plan: Mapping[str, Mapping[str, resample.Rows]], resamples: int, *, seed: int, minimum: int
    ) -> tuple[dict[str, MetricValue], dict[str, tuple[Slice, ...]]]:
        """Measure all rows and each slice with at least ``minimum`` rows, all with the same resamples."""
        parts = {by: {value: np.sort(self.place[rows]) for value, rows in of.items()} for by, of in plan.items()}
        large = [(by, value) for by, of in parts.items() for value, rows in of.items() if rows.size >= minimum]
        samples = [self._sample(None), *(self._sample(parts[by][value]) for by, value in large)]
        whole, *each = resample.draw(samples, n=self.p.size, resamples=resamples, seed=seed)
        resampled = dict(zip(large, each, strict=True))
        slices = {
            by: tuple(self._slice(value, rows, resampled.get((by, value)), minimum) for value, rows in of.items())
            for by, of in parts.items()
        }
        return self._metrics(self.y, self.p, whole), slices

    def unmeasured(self, parts: Mapping[str, resample.Rows], why: str) -> tuple[Slice, ...]:
        """Return slices without metrics."""
        return tuple(Slice(value=value, n=rows.size, why=why) for value, rows in parts.items())

    def _sample(self, rows: resample.Rows | None) -> resample.Weighed:
        if self.task == "classification":
            return resample.classification_sample(self.y.astype(bool), self.p, rows, at=self.at)
        return resample.regression_sample(self.y.astype(np.float64), self.p, rows, quantile=self.quantile)

    def _slice(self, value: str, rows: resample.Rows, resampled: Mapping[str, Array] | None, minimum: int) -> Slice:
        y = self.y[rows]
        positives = int(y.sum()) if self.task == "classification" else None
        if resampled is None:
            return Slice(value=value, n=y.size, positives=positives, why=f"fewer than {minimum} rows")
        return Slice(value=value, n=y.size, positives=positives, metrics=self._metrics(y, self.p[rows], resampled))

    def _metrics(self, y: Flags | Array, p: Array, resampled: Mapping[str, Array]) -> dict[str, MetricValue]:
        return {name: self._metric(name, y, p, resampled) for name in metrics_of(self.task)}

    def _metric(self, name: str, y: Flags | Array, p: Array, resampled: Mapping[str, Array]) -> MetricValue:
        value = value_of(name, y, p, at=self.at, quantile=self.quantile)
        if name in PROPORTIONS:
            part, n = counts(name, y.astype(bool), p, at=self.at)
            found = (*intervals.wilson(part, n, confidence=self.confidence), intervals.WILSON) if n else None
        else:
            n = y.size
            found = self._interval(name, value, y, p, resampled)
        if not math.isfinite(value):
            return MetricValue(value=None, n=n, why=why_undefined(name, y, p))
        if found is None:
            why = "too few rows for an interval, or rows that are all alike"
            return MetricValue(value=value, n=n, why=why)
        low, high, method = found
        return MetricValue(value=value, low=low, high=high, n=n, method=method)

    def _interval(
        self, name: str, value: float, y: Flags | Array, p: Array, resampled: Mapping[str, Array]
    ) -> tuple[float, float, str] | None:
        if not math.isfinite(value):
            return None
        if name == "auc":
            return intervals.auc_interval(y.astype(bool), p, auc=value, confidence=self.confidence)
        if name == "f1":
            return f1_interval(y.astype(bool), p, at=self.at, confidence=self.confidence)
        if not varies(value, resampled[name]):
            return unvaried_interval(
                name, value, self.task, y, p, quantile=self.quantile, confidence=self.confidence
            )  # fmt: skip
        if name == "calibration_error":
            bounds = intervals.calibration_interval(y.astype(bool), p, value=value, confidence=self.confidence)
            return *bounds, intervals.CALIBRATION
        least, most = range_of(name)
        found = resample.interval(
            value, resampled[name], n=y.size, confidence=self.confidence, least=least, most=most
        )  # fmt: skip
        return (*found, resample.method_of(resampled[name].size)) if found is not None else None


def why_undefined(name: str, y: Flags | Array, p: Array) -> str:
    """Say why a metric has no value on these rows."""
    rows = counted(y.size, "rows")
    with np.errstate(over="ignore"):
        apart = np.isinf(y.astype(np.float64) - p).any()
    if apart:
        return f"labels and predictions of {rows} lie so far apart that the errors are no numbers"
    if name == "auc":
        those = "the one label is" if y.size == 1 else f"all {count(y.size)} labels are"
        return f"{those} {'true' if y.any() else 'false'}"
    return _UNDEFINED.get(name, "it is not defined on {rows}").format(rows=rows)


_UNDEFINED = {
    "pr_auc": "there is no positive among {rows}",
    "recall": "there is no positive among {rows}",
    "true_positive_rate": "there is no positive among {rows}",
    "false_positive_rate": "there is no negative among {rows}",
    "precision": "none of {rows} was decided positive",
    "f1": "there is no positive among {rows}, and none was decided positive",
    "r2": "the label does not vary over {rows}",
}
