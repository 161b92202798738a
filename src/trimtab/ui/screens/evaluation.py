"""``/ui/models/{model}/{version}/evaluation``: how good a version is, against the champion, and where it is worst."""

import msgspec

from trimtab.evaluation import (
    Comparison,
    Difference,
    Evaluation,
    EvidenceLine,
    MetricValue,
    SavedEvaluation,
    Slice,
    SliceFinding,
    Verdict,
    direction_of,
    get_evaluation,
    metrics_of,
)
from trimtab.kernel import Body, Call, Invalid, NotFound, Route, TrimtabError
from trimtab.registry import get_model, get_version
from trimtab.store import Store
from trimtab.ui.draw import Chart, Histogram, Series, Whisker, histogram_pair, line_chart, whisker_of
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/models"
SLICES_AT_MOST = 10
SLICES_OF_ONE = 100
MAIN = {"classification": "log_loss", "regression": "rmse"}
"""The metric of each task by which slices are sorted when nobody chose another."""
GAPS = ("demographic_parity", "equal_opportunity", "equalised_odds", "recall_gap")


class GateLine(msgspec.Struct, frozen=True):
    """One condition of the gate, and its value with the threshold on a small scale."""

    evidence: EvidenceLine
    whisker: Whisker | None


class MetricLine(msgspec.Struct, frozen=True):
    """A metric with its interval, and the paired difference to the champion where they were compared."""

    name: str
    value: MetricValue
    whisker: Whisker | None
    against: Difference | None
    difference: Whisker | None
    word: str


class SliceLine(msgspec.Struct, frozen=True):
    slice: Slice
    metric: MetricValue | None
    whisker: Whisker | None


class SliceTable(msgspec.Struct, frozen=True):
    """The first slices of one column, in an order that is said: the worst first where a side of the metric is worse."""

    by: str
    lines: tuple[SliceLine, ...]
    count: int


class GapLine(msgspec.Struct, frozen=True):
    measure: str
    finding: SliceFinding


def routes(desk: Desk) -> list[Route]:
    """Return the page of a version's evaluation."""
    store = desk.rooms.store

    def evaluation(call: Call) -> Body:
        version = get_version(store, f"{call.path['model']}@{call.path['version']}")
        saved, trouble = saved_evaluation(store, version.evaluation_id)
        if saved is None:
            raise NotFound(
                f"there is no evaluation of {version.ref} to show",
                where="pages: evaluation",
                why=trouble or "It was registered without one.",
                next=f"trimtab get versions {version.ref}",
            )
        found = saved.report.evaluation
        metric, whole = _asked_metric(call.query.get("metric", ""), found), call.query.get("by", "")
        whole = whole if whole in found.slices else ""
        return desk.pages.page(
            call, "evaluation.html", at=AT, version=version, saved=saved, report=saved.report, evaluation=found,
            aliases=[a for a, number in get_model(store, version.model).aliases.items() if number == version.number],
            gate=gate_lines(saved.report.verdict), metrics=metric_lines(found, saved.report.comparison),
            better=direction_of(metric),
            metric=metric, choices=metrics_of(found.task), slices=_slices(found, metric, whole=whole),
            gaps={} if whole else _gaps(found), whole=whole, calibration=None if whole else _calibration(found),
            roc=None if whole else _roc(found), histogram=None if whole else _histogram(found),
            query_values=dict(call.query),
        )  # fmt: skip

    path = f"{AT}/{{model}}/{{version}}/evaluation"
    return [shown_at(path, evaluation, about="How good a version is: metrics, slices, gate")]


def saved_evaluation(store: Store, id: str | None) -> tuple[SavedEvaluation | None, str]:
    """Return an evaluation, or why it cannot be shown."""
    if id is None:
        return None, ""
    try:
        return get_evaluation(store, id), ""
    except TrimtabError as error:
        return None, f"{error.what}. {error.why}"


def gate_lines(verdict: Verdict | None) -> list[GateLine]:
    """Return each condition with its measured value, its interval and the threshold on one scale."""
    return [GateLine(line, _beside_threshold(line)) for line in (verdict.lines if verdict else ())]


def metric_lines(evaluation: Evaluation, comparison: Comparison | None) -> list[MetricLine]:
    """Return every metric with its interval, and its difference to the champion: better is always right."""
    lines = []
    for name, value in evaluation.metrics.items():
        against = comparison.metrics.get(name) if comparison else None
        champion = against.champion if against else None
        lines.append(
            MetricLine(
                name, value, _whisker(value, mark=champion), against, _difference(name, against), _word(name, against)
            )
        )
    return lines


def _beside_threshold(line: EvidenceLine) -> Whisker | None:
    if line.observed is None or line.threshold is None:
        return None
    seen = [v for v in (line.observed, line.low, line.high, line.threshold) if v is not None]
    low, high = min(seen), max(seen)
    pad = (high - low) * 0.15 or abs(high) * 0.1 or 1.0
    return whisker_of(line.observed, line.low, line.high, scale=(low - pad, high + pad), mark=line.threshold)


def _whisker(value: MetricValue, *, mark: float | None = None, most: float | None = None) -> Whisker | None:
    """Place a metric on a scale that shows its interval and the mark: from 0 to 1 for what lies in it."""
    if value.value is None:
        return None
    seen = [v for v in (value.value, value.low, value.high, mark, most) if v is not None]
    inside = min(seen) >= 0 and max(seen) <= 1 and most is None
    scale = (0.0, 1.0) if inside else (min(0.0, *seen), max(seen) * 1.05)
    return whisker_of(value.value, value.low, value.high, scale=scale, mark=mark)


def _difference(name: str, against: Difference | None) -> Whisker | None:
    """Place a paired difference around zero; where less is better, the scale is turned round."""
    direction = direction_of(name)
    if against is None or against.difference.value is None or direction is None:
        return None
    found = against.difference
    most = max(abs(v) for v in (found.value, found.low, found.high) if v is not None) * 1.1 or 1.0
    scale = (most, -most) if direction == "lower" else (-most, most)
    assert found.value is not None
    return whisker_of(found.value, found.low, found.high, scale=scale, mark=0.0)


def _word(name: str, against: Difference | None) -> str:
    if against is None or direction_of(name) is None:
        return ""
    return {"challenger": "better", "champion": "worse", "undecided": "undecided"}[against.better]


def _asked_metric(name: str, evaluation: Evaluation) -> str:
    known = metrics_of(evaluation.task)
    if not name:
        return MAIN[evaluation.task]
    if name not in known:
        raise Invalid(
            f"{name[:40]!r} is no metric of this evaluation", where="query metric",
            why=f"It measured a {evaluation.task}.", next=f"use one of: {', '.join(known)}",
        )  # fmt: skip
    return name


def _slices(evaluation: Evaluation, metric: str, *, whole: str) -> list[SliceTable]:
    """Return a table for each column, the worst slice first; ``whole`` names one that is shown alone, to its end."""
    tables = []
    for by, slices in evaluation.slices.items():
        if whole not in ("", by):
            continue
        values = [one.metrics[metric] for one in slices if metric in one.metrics]
        most = max((v for value in values for v in (value.value, value.high) if v is not None), default=None)
        overall = evaluation.metrics[metric].value
        lines = []
        for one in sorted(slices, key=lambda one: _badness(one, metric)):
            value = one.metrics.get(metric)
            lines.append(SliceLine(one, value, _whisker(value, mark=overall, most=most) if value else None))
        shown = lines[: SLICES_OF_ONE if by == whole else SLICES_AT_MOST]
        tables.append(SliceTable(by, tuple(shown), len(lines)))
    return tables


def _badness(one: Slice, metric: str) -> tuple[bool, float, int]:
    """Sort the worst first (the highest, where neither side is worse), then what has no value, the largest first."""
    value = one.metrics[metric].value if metric in one.metrics else None
    if value is None:
        return (True, 0.0, -one.n)
    return (False, value if direction_of(metric) == "higher" else -value, -one.n)


def _gaps(evaluation: Evaluation) -> dict[str, list[GapLine]]:
    """Return, for each column, how differently its groups are treated."""
    found = {}
    for by, fairness in evaluation.fairness.items():
        found[by] = [GapLine(name.replace("_", " "), getattr(fairness, name)) for name in GAPS]
    return found


def _calibration(evaluation: Evaluation) -> Chart | None:
    bins = evaluation.reliability
    if len(bins) < 2:
        return None
    observed = Series(
        name="observed", points=[(b.predicted, b.observed) for b in bins], low=[b.low for b in bins],
        high=[b.high for b in bins],
    )  # fmt: skip
    return line_chart([observed], x_name="predicted", guide=[(0.0, 0.0), (1.0, 1.0)], tell_last=False)


def _roc(evaluation: Evaluation) -> Chart | None:
    points = evaluation.roc
    if len(points) < 2:
        return None
    curve = Series(name="this version", points=[(p.false_positive_rate, p.true_positive_rate) for p in points])
    # The last threshold that is not below the declared one: where the model decides.
    used = [p for p in points if p.threshold is None or p.threshold >= evaluation.at][-1]
    decides = Series(name=f"decided at {evaluation.at:g}", points=[(used.false_positive_rate, used.true_positive_rate)])
    return line_chart([curve, decides], x_name="false positive rate", guide=[(0.0, 0.0), (1.0, 1.0)], tell_last=False)


def _histogram(evaluation: Evaluation) -> Histogram | None:
    drawn = evaluation.histogram
    if drawn is None:
        return None
    if drawn.positives is None:
        return histogram_pair(drawn.edges, drawn.counts, name="predictions")
    negatives = [n - p for n, p in zip(drawn.counts, drawn.positives, strict=True)]
    return histogram_pair(drawn.edges, negatives, name="negative", other=drawn.positives, other_name="positive")
