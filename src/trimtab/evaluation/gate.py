"""The gate: hold an evaluation to the declared conditions, one line of evidence each."""

import operator
from collections.abc import Callable
from datetime import datetime

from trimtab.declare import Condition, Threshold
from trimtab.evaluation.latency import Latency
from trimtab.evaluation.metrics import Task
from trimtab.evaluation.reading import (
    FRESH_FOR_S,
    MINIMUM_ROWS,
    Evidence,
    Reading,
    metric_in,
    read,
    refusal,
)
from trimtab.evaluation.records import Comparison, Evaluation, EvidenceLine, Verdict
from trimtab.evaluation.wording import OPERATORS, Side, apart, counted, number, side, spoken
from trimtab.kernel import digest_of

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def judge(
    accept: tuple[Condition, ...],
    *,
    candidate: Evaluation,
    now: datetime,
    champion: Evaluation | None = None,
    at_approval: Evaluation | None = None,
    latency: Latency | None = None,
    champion_latency: Latency | None = None,
    comparison: Comparison | None = None,
    fresh_for_s: float = FRESH_FOR_S,
    minimum_rows: int = MINIMUM_ROWS,
) -> Verdict:
    """Judge a candidate: it passes when every condition holds.

    ``champion`` is the champion's evaluation on the same rows, ``at_approval`` the one that its approval rested on,
    ``latency`` and ``champion_latency`` call times measured in the same way;
    without them a condition about them passes, and its line says that there is no champion yet. A value that is
    missing, not finite, older than ``fresh_for_s`` seconds, without an interval, or from fewer than ``minimum_rows``
    rows fails its line, with the reason. ``comparison`` adds the paired difference to the text. A gate that asked for
    nothing proves nothing: without a condition that was measured, it does not pass, and a line says so.
    """
    evidence = Evidence(
        candidate=candidate, champion=champion, at_approval=at_approval, latency=latency,
        champion_latency=champion_latency, now=now, fresh_for_s=fresh_for_s, minimum_rows=minimum_rows,
    )  # fmt: skip
    lines = tuple(_line(condition, evidence, comparison) for condition in accept)
    if all(line.passed and (line.observed is None or line.threshold is None) for line in lines):
        lines = (*lines, _NOTHING_APPLIED if lines else _NOTHING_ASKED)
    return Verdict(passed=all(line.passed for line in lines), lines=lines, policy=digest_of(accept))


def refused_conditions(accept: tuple[Condition, ...], *, task: Task) -> tuple[str, ...]:
    """Return one sentence for each condition that no evaluation could ever answer, for a plan to show."""
    found = []
    for condition in accept:
        for term in (condition.left, condition.right):
            metric = metric_in(term)
            why = refusal(metric, task=task) if metric else ""
            if why:
                found.append(f"{spoken(condition)}: {why}")
    return tuple(found)


def _nothing(text: str) -> EvidenceLine:
    return EvidenceLine(text=text, condition="", observed=None, threshold=None, passed=False)


_NOTHING_ASKED = _nothing("no condition was declared, so nothing was asked: its approval needs an override")
_NOTHING_APPLIED = _nothing("no condition could be applied, so nothing was shown: its approval needs an override")


def _line(condition: Condition, evidence: Evidence, comparison: Comparison | None) -> EvidenceLine:
    left = read(condition.left, condition.left, evidence)
    right = read(condition.right, condition.left, evidence)
    declared = spoken(condition)
    why = left.why or right.why
    if why:
        return _answer(condition, left, right, passed=False, text=f"{declared}: failed, because {why}", why=why)
    if left.absent or right.absent:
        absent = left.absent or right.absent
        known = [_observed(term, found) for term, found in ((condition.left, left), (condition.right, right))
                 if found.value is not None and not isinstance(term, Threshold)]  # fmt: skip
        text = "; ".join([*known, f"{declared}: passed, {absent}"])
        return _answer(condition, left, right, passed=True, text=text, why=absent)
    assert left.value is not None
    assert right.value is not None
    passed = _COMPARE[condition.op](left.value, right.value)
    text = _sentence(condition, left, right, passed=passed) + _paired(condition, evidence, comparison)
    return _answer(condition, left, right, passed=passed, text=text, why="")


def _answer(condition: Condition, left: Reading, right: Reading, *, passed: bool, text: str, why: str) -> EvidenceLine:
    return EvidenceLine(
        text=text, condition=spoken(condition), observed=left.value, threshold=right.value, passed=passed, why=why,
        n=left.n, low=left.low, high=left.high,
    )  # fmt: skip


def _sentence(condition: Condition, left: Reading, right: Reading, *, passed: bool) -> str:
    """Write ``AUC is 0.731 (0.722 to 0.74, 10 032 rows), at least 0.65``."""
    assert left.value is not None
    assert right.value is not None
    metric = _name_of(condition.left)
    observed, threshold = apart(left.value, right.value, metric)
    asked = side(condition.right)
    if not isinstance(condition.right, Threshold):
        asked += f", which is {threshold}"
    answer = OPERATORS[condition.op] if passed else f"not {OPERATORS[condition.op]}"
    return f"{side(condition.left)} is {observed}{_details(left, metric)}, {answer} {asked}"


def _observed(term: Side, found: Reading) -> str:
    name = _name_of(term)
    assert found.value is not None
    return f"{side(term)} is {number(found.value, name)}{_details(found, name)}"


def _details(found: Reading, metric: str) -> str:
    parts = list(found.slices)
    if found.gap is not None:
        parts.append(f"the gap is {number(found.gap, metric)}")
    if found.low is not None and found.high is not None:
        parts.append(f"{number(found.low, metric)} to {number(found.high, metric)}")
    if found.n:
        parts.append(counted(found.n, "calls" if metric.startswith("latency.") else "rows"))
    if found.chance is not None:
        parts.append(f"chance alone gives up to {number(found.chance, metric)}")
    return f" ({', '.join(parts)})" if parts else ""


def _paired(condition: Condition, evidence: Evidence, comparison: Comparison | None) -> str:
    """Add the paired difference when the candidate's own metric was compared with the champion's."""
    left, right = metric_in(condition.left), metric_in(condition.right)
    if comparison is None or left is None or right is None or comparison.rows != evidence.candidate.rows:
        return ""
    if left.name != right.name or {left.of, right.of} != {"self", "champion"} or left.slice_by or right.slice_by:
        return ""
    found = comparison.metrics.get(left.name)
    if found is None or found.difference.value is None or found.difference.low is None or found.difference.high is None:
        return ""
    difference = found.difference
    assert difference.value is not None
    return (
        f"; candidate minus champion, paired: {difference.value:+.4g} ({difference.low:+.4g} to {difference.high:+.4g})"
    )


def _name_of(term: Side) -> str:
    metric = metric_in(term)
    return metric.name if metric else ""
