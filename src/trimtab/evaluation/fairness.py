"""Fairness gaps between the groups of a column. Each is a difference of rates: 0 is equal treatment, 1 the opposite."""

from collections.abc import Sequence

import msgspec

from trimtab.evaluation.records import Evaluation, Fairness, MetricValue, Slice, SliceFinding
from trimtab.evaluation.slices import gap, gap_of

GAPS: dict[str, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalised_odds": ("true_positive_rate", "false_positive_rate"),
    "recall_gap": ("recall",),
}
"""Each fairness measure, and the rates whose largest gap it is."""


def fairness_of(by: str, slices: Sequence[Slice], *, at_least: int, confidence: float) -> Fairness:
    """Return every gap among the slices with at least ``at_least`` rows."""
    large = [one for one in slices if one.n >= at_least and one.metrics]
    found = {name: _largest(name, by, large, confidence) for name in GAPS}
    return Fairness(by=by, at_least=at_least, **found)


def fairness_gap(evaluation: Evaluation, name: str, *, by: str, at_least: int = 0) -> SliceFinding:
    """Return one fairness measure of an evaluation among slices with at least ``at_least`` rows."""
    rates = GAPS[name]
    wary = msgspec.structs.replace(evaluation, confidence=_each(evaluation.confidence, rates))
    return _widest(name, [gap(wary, rate, by=by, at_least=at_least) for rate in rates])


def gap_among(name: str, by: str, slices: Sequence[Slice], *, confidence: float) -> SliceFinding:
    """Return the gap of a metric, or a fairness measure, among slices that all have it."""
    rates = rates_of(name)
    return _widest(name, [gap_of(rate, by, slices, confidence=_each(confidence, rates)) for rate in rates])


def rates_of(name: str) -> tuple[str, ...]:
    """Return the metrics that a fairness measure is the largest gap of; of any other name, itself."""
    return GAPS.get(name, (name,))


def _each(confidence: float, rates: Sequence[str]) -> float:
    """Return the confidence of each rate's gap, so that the largest of them has the one that is asked for."""
    return 1.0 - (1.0 - confidence) / len(rates)


def _largest(name: str, by: str, slices: Sequence[Slice], confidence: float) -> SliceFinding:
    undefined = (
        f"{rate} has no value for {by} {one.value}"
        for rate in GAPS[name] for one in slices if one.metrics[rate].value is None
    )  # fmt: skip
    why = next(undefined, "fewer than two groups are large enough" if len(slices) < 2 else "")
    if why:
        return SliceFinding(metric=name, by=by, value=MetricValue(value=None, n=0, why=why))
    return gap_among(name, by, slices, confidence=confidence)


def _widest(name: str, gaps: Sequence[SliceFinding]) -> SliceFinding:
    """Return the largest gap under the measure's own name; one without a value wins, so that nothing is hidden."""
    missing = [found for found in gaps if found.value.value is None]
    if missing:
        return msgspec.structs.replace(missing[0], metric=name)
    widest = max(gaps, key=lambda found: found.value.value or 0.0)
    lows, highs = ([getattr(found.value, end) for found in gaps] for end in ("low", "high"))
    chances = [found.chance for found in gaps if found.chance is not None]
    value = widest.value
    if None not in (*lows, *highs):  # each holds with half the doubt, so the larger of both truths lies between these
        value = msgspec.structs.replace(value, low=max(lows), high=max(highs))
    return msgspec.structs.replace(widest, metric=name, value=value, chance=max(chances, default=None))
