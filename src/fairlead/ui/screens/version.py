"""``/ui/models/{model}/{version}``: what a version is bound to, how good it is line by line, and what was decided."""

from collections.abc import Mapping

import msgspec

from fairlead.evaluation import Comparison, Difference, Evaluation, MetricValue, SavedEvaluation, get_evaluation
from fairlead.kernel import Body, Call, FairleadError, Route
from fairlead.registry import approval_state, get_model, get_version, list_approvals, list_releases
from fairlead.ui.draw import Chart, Histogram, Series, Whisker, histogram_pair, line_chart, whisker_of
from fairlead.ui.screen import Desk, shown_at

AT = "/ui/models"
SLICES_AT_MOST = 12


class MetricLine(msgspec.Struct, frozen=True):
    """A metric with its interval, and the champion's on the same rows where they were compared."""

    name: str
    value: MetricValue
    whisker: Whisker | None
    against: Difference | None


class SliceLine(msgspec.Struct, frozen=True):
    by: str
    value: str
    n: int
    metric: MetricValue
    whisker: Whisker | None


def routes(desk: Desk) -> list[Route]:
    """Return the page of a version."""
    store = desk.rooms.store

    def version(call: Call) -> Body:
        found = get_version(store, f"{call.path['model']}@{call.path['version']}")
        model = get_model(store, found.model)
        saved, trouble = _saved(desk, found.evaluation_id)
        report = saved.report if saved else None
        evaluation = report.evaluation if report else None
        return desk.pages.page(
            call, "version.html", at=AT, version=found, model=model, saved=saved, trouble=trouble, report=report,
            aliases=[alias for alias, number in model.aliases.items() if number == found.number],
            approvals=list_approvals(store, found), releases=list_releases(store, found),
            state=approval_state(store, found), metrics=_metrics(evaluation, report.comparison if report else None),
            slices=_slices(evaluation), by=call.query.get("by", ""),
            calibration=_calibration(evaluation), roc=_roc(evaluation), histogram=_histogram(evaluation),
        )  # fmt: skip

    return [shown_at(f"{AT}/{{model}}/{{version}}", version, about="One version: lineage, evaluation, approvals")]


def _saved(desk: Desk, id_: str | None) -> tuple[SavedEvaluation | None, str]:
    if id_ is None:
        return None, ""
    try:
        return get_evaluation(desk.rooms.store, id_), ""
    except FairleadError as error:
        return None, f"{error.what}. {error.why}"


def _metrics(evaluation: Evaluation | None, comparison: Comparison | None) -> list[MetricLine]:
    if evaluation is None:
        return []
    against: Mapping[str, Difference] = comparison.metrics if comparison else {}
    lines = []
    for name, value in evaluation.metrics.items():
        other = against.get(name)
        champion = other.champion if other else None
        lines.append(MetricLine(name, value, _whisker(value, champion=champion), other))
    return lines


def _whisker(value: MetricValue, *, champion: float | None = None) -> Whisker | None:
    """Place a metric on a scale that shows its interval and the champion's: from 0 to 1 for what lies in it."""
    if value.value is None:
        return None
    seen = [v for v in (value.value, value.low, value.high, champion) if v is not None]
    inside = min(seen) >= 0 and max(seen) <= 1
    scale = (0.0, 1.0) if inside else (min(0.0, *seen), max(seen) * 1.1)
    return whisker_of(value.value, value.low, value.high, scale=scale, mark=champion)


def _slices(evaluation: Evaluation | None) -> dict[str, list[SliceLine]]:
    """Return, for each column, its slices by the main metric, the worst first."""
    found: dict[str, list[SliceLine]] = {}
    for by, slices in (evaluation.slices if evaluation else {}).items():
        lines = []
        for one in slices:
            name = next((name for name in ("auc", "rmse", "log_loss") if name in one.metrics), None)
            if name is not None and one.metrics[name].value is not None:
                metric = one.metrics[name]
                lines.append(SliceLine(by, one.value, one.n, metric, _whisker(metric)))
        falling = not any(line.metric.method.startswith("rmse") for line in lines)
        found[by] = sorted(lines, key=lambda line: line.metric.value or 0.0, reverse=not falling)[:SLICES_AT_MOST]
    return {by: lines for by, lines in found.items() if lines}


def _calibration(evaluation: Evaluation | None) -> Chart | None:
    bins = evaluation.reliability if evaluation else ()
    if len(bins) < 2:
        return None
    observed = Series(
        name="observed", points=[(b.predicted, b.observed) for b in bins], low=[b.low for b in bins],
        high=[b.high for b in bins],
    )  # fmt: skip
    perfect = Series(
        name="perfect", points=[(bins[0].predicted, bins[0].predicted), (bins[-1].predicted, bins[-1].predicted)]
    )
    return line_chart([observed, perfect], x_name="predicted", tell_last=False)


def _roc(evaluation: Evaluation | None) -> Chart | None:
    points = evaluation.roc if evaluation else ()
    if len(points) < 2:
        return None
    curve = Series(name="this version", points=[(p.false_positive_rate, p.true_positive_rate) for p in points])
    chance = Series(name="chance", points=[(0.0, 0.0), (1.0, 1.0)])
    return line_chart([curve, chance], x_name="false positive rate", include=(0.0, 1.0), tell_last=False)


def _histogram(evaluation: Evaluation | None) -> Histogram | None:
    drawn = evaluation.histogram if evaluation else None
    if drawn is None:
        return None
    if drawn.positives is None:
        return histogram_pair(drawn.edges, drawn.counts, name="predictions")
    negatives = [n - p for n, p in zip(drawn.counts, drawn.positives, strict=True)]
    return histogram_pair(drawn.edges, negatives, name="negative", other=drawn.positives, other_name="positive")
