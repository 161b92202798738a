"""Fairness gaps between the groups of a column. Each is a difference of rates: 0 is equal treatment, 1 the opposite."""

from collections.abc import Sequence

from trimtab.evaluation.records import Evaluation, Fairness, MetricValue, Slice, SliceFinding
from trimtab.evaluation.slices import gap, gap_of

GAPS: dict[str, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalised_odds": ("true_positive_rate", "false_positive_rate"),
    "recall_gap": ("recall",),
}
"""Each fairness measure, and the rates whose largest gap it is."""


def fairness_of(by: str, slices: Sequence[Slice], *, at_least: int) -> Fairness:
    """Return every gap among the slices with at least ``at_least`` rows."""
    large = [one for one in slices if one.n >= at_least and one.metrics]
    found = {name: _largest(name, by, large) for name in GAPS}
    return Fairness(by=by, at_least=at_least, **found)


def fairness_gap(evaluation: Evaluation, name: str, *, by: str, at_least: int = 0) -> SliceFinding:
    """Return one fairness measure of an evaluation among slices with at least ``at_least`` rows."""
    return _widest(name, [gap(evaluation, rate, by=by, at_least=at_least) for rate in GAPS[name]])


def _largest(name: str, by: str, slices: Sequence[Slice]) -> SliceFinding:
    gaps = []
    for rate in GAPS[name]:
        undefined = [one.value for one in slices if one.metrics[rate].value is None]
        if len(slices) < 2 or undefined:
            why = (
                f"{rate} has no value for {by} {undefined[0]}"
                if undefined
                else "fewer than two groups are large enough"
            )
            gaps.append(SliceFinding(metric=rate, by=by, value=MetricValue(value=None, n=0, why=why)))
        else:
            gaps.append(gap_of(rate, by, slices))
    return _widest(name, gaps)


def _widest(name: str, gaps: Sequence[SliceFinding]) -> SliceFinding:
    """Return the largest gap under the measure's own name; one without a value wins, so that nothing is hidden."""
    missing = [found for found in gaps if found.value.value is None]
    widest = missing[0] if missing else max(gaps, key=lambda found: found.value.value or 0.0)
    return SliceFinding(metric=name, by=widest.by, value=widest.value, slices=widest.slices)
