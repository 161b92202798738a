"""Look over the slices of a column: the worst one, and the gap between the highest and the lowest."""

from collections.abc import Sequence

from trimtab.evaluation.metrics import LOWER_IS_BETTER, NEITHER_IS_BETTER
from trimtab.evaluation.records import Evaluation, MetricValue, Slice, SliceFinding
from trimtab.evaluation.simultaneous import METHOD, chance_gap, gap_bounds, worst_bounds
from trimtab.evaluation.wording import count, counted


def worst(evaluation: Evaluation, metric: str, *, by: str, at_least: int = 0) -> SliceFinding:
    """Return the slice of ``by`` where the metric is worst, among those with at least ``at_least`` rows.

    The value is None, with the reason, when the column was not sliced, no slice is large enough, or the metric is
    not defined in one of them.
    """
    chosen, why = _comparable(evaluation, metric, by, at_least, fewest=1)
    if metric in NEITHER_IS_BETTER:
        why = f"{metric} has no better or worse side; look at its gap"
    return _nothing(metric, by, why) if why else worst_of(metric, by, chosen, confidence=evaluation.confidence)


def worst_of(metric: str, by: str, slices: Sequence[Slice], *, confidence: float) -> SliceFinding:
    """Return the worst of slices that all have the metric."""
    pick = max if metric in LOWER_IS_BETTER else min
    found = pick(slices, key=lambda one: (_value(one, metric), one.value))
    value, all_ = found.metrics[metric], [one.metrics[metric] for one in slices]
    if len(slices) > 1:
        bounds = worst_bounds(all_, metric=metric, lowest=pick is min, confidence=confidence)
        method = f"{value.method}, for the worst of {len(slices)}"
        value = _bounded(value, bounds, method)
    return SliceFinding(metric=metric, by=by, value=value, slices=(found.value,))


def gap(evaluation: Evaluation, metric: str, *, by: str, at_least: int = 0) -> SliceFinding:
    """Return the difference between the highest and the lowest slice of ``by``.

    The value is None, with the reason, as in ``worst``; also when fewer than two slices are large enough.
    """
    chosen, why = _comparable(evaluation, metric, by, at_least, fewest=2)
    return _nothing(metric, by, why) if why else gap_of(metric, by, chosen, confidence=evaluation.confidence)


def gap_of(metric: str, by: str, slices: Sequence[Slice], *, confidence: float) -> SliceFinding:
    """Return the gap among slices that all have the metric. Their rows differ, so their errors are independent."""
    ordered = sorted(slices, key=lambda one: (_value(one, metric), one.value))
    lowest, highest = ordered[0], ordered[-1]
    values = [one.metrics[metric] for one in ordered]
    found = MetricValue(value=_value(highest, metric) - _value(lowest, metric), n=lowest.n + highest.n)
    found = _bounded(found, gap_bounds(values, metric=metric, confidence=confidence), METHOD.format(groups=len(values)))
    return SliceFinding(
        metric=metric, by=by, value=found, slices=(lowest.value, highest.value),
        chance=chance_gap(values, confidence=confidence),
    )  # fmt: skip


def _bounded(found: MetricValue, bounds: tuple[float, float] | None, method: str) -> MetricValue:
    if bounds is None:
        return MetricValue(value=found.value, n=found.n, why=found.why or "too few rows for an interval")
    return MetricValue(value=found.value, low=bounds[0], high=bounds[1], n=found.n, method=method)


def _comparable(evaluation: Evaluation, metric: str, by: str, at_least: int, *, fewest: int) -> tuple[list[Slice], str]:
    """Return the slices that are large enough, and why they cannot be compared when they cannot."""
    at_least = max(at_least, evaluation.slice_minimum)
    if by not in evaluation.slices:
        measured = ", ".join(sorted(evaluation.slices)) or "none"
        return [], f"the evaluation has no slices by {by} (it has: {measured})"
    slices = evaluation.slices[by]
    large = [one for one in slices if one.n >= at_least]
    if len(large) < fewest:
        largest = max((one.n for one in slices), default=0)
        return [], (
            f"{len(large)} of {len(slices)} slices by {by} have at least {counted(at_least, 'rows')}, {fewest} needed "
            f"(the largest has {count(largest)})"
        )
    for one in large:
        found = one.metrics.get(metric)
        if found is None or found.value is None:
            reason = found.why if found else one.why or "it was not measured"
            return [], f"{metric} has no value for {by} {one.value}: {reason}"
    return large, ""


def _nothing(metric: str, by: str, why: str) -> SliceFinding:
    return SliceFinding(metric=metric, by=by, value=MetricValue(value=None, n=0, why=why))


def _value(one: Slice, metric: str) -> float:
    value = one.metrics[metric].value
    assert value is not None
    return value
