"""Judge a declared policy by what was measured in service: does it hold, and on which evidence."""

import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from trimtab.declare import (
    AllOf,
    AnyOf,
    AtApproval,
    Condition,
    Every,
    Metric,
    Policy,
    Scaled,
    Threshold,
    describe,
    duration_text,
)
from trimtab.evaluation import apart
from trimtab.kernel import figure

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity as it was measured: its value (None: it could not be, and ``why`` says so) and the rows behind it.

    ``doubt`` says why the value is not enough to act on, although it is one. ``chance`` is of a gap between groups: how
    large a one chance alone gives at these sizes in 19 of 20 cases. ``left_out`` names the groups that it is without.
    """

    value: float | None
    n: int = 0
    why: str = ""
    doubt: str = ""
    chance: float | None = None
    left_out: str = ""


Measure = Callable[[Metric], Measured]
"""Measures one metric now. It is called with ``of="at_approval"`` for what it was at approval."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a policy holds, with one line of evidence for each condition.

    ``because`` are the conditions that made it hold, and ``said`` their lines.
    """

    holds: bool
    lines: tuple[str, ...]
    because: tuple[Condition | Every, ...] = ()
    said: tuple[str, ...] = ()


def judge_policy(policy: Policy, measure: Measure, *, last: datetime, now: datetime) -> Judged:
    """Judge a policy at ``now``; ``last`` is when what it asks for happened the last time.

    A condition that cannot be measured does not hold, and its line says why: silence is no reason to act.
    """
    match policy:
        case Condition():
            return _condition(policy, measure)
        case Every(seconds=seconds):
            passed = now - last >= timedelta(seconds=seconds)
            text = f"every {duration_text(seconds)}: {_days(now - last)} since {last:%Y-%m-%d %H:%M}"
            return _leaf(policy, text, holds=passed)
        case AnyOf(terms=terms) | AllOf(terms=terms):
            found = [judge_policy(term, measure, last=last, now=now) for term in terms]
            holds = any(one.holds for one in found) if isinstance(policy, AnyOf) else all(one.holds for one in found)
            return Judged(
                holds=holds,
                lines=tuple(line for one in found for line in one.lines),
                because=tuple(leaf for one in found if one.holds for leaf in one.because) if holds else (),
                said=tuple(line for one in found if one.holds for line in one.said) if holds else (),
            )
        case _:
            assert_never(policy)


def _condition(condition: Condition, measure: Measure) -> Judged:
    left = _value(condition.left, condition, measure)
    right = _value(condition.right, condition, measure)
    words = describe(condition)
    if left.value is None or right.value is None:
        return Judged(holds=False, lines=(f"{words}: not known, {left.why or right.why}",))
    exceeds = _COMPARE[condition.op](left.value, right.value)
    doubt = left.doubt or right.doubt
    is_so = condition.op if exceeds else f"is not {condition.op}"
    observed, threshold = apart(left.value, right.value, _metric_of(condition).name)
    line = f"{words}: {observed}{_rests_on(left)} {is_so} {threshold}"
    holds = exceeds and not doubt
    line += f"; is not sure yet, {doubt}" if exceeds and doubt else ""
    return _leaf(condition, line, holds=holds)


def _rests_on(found: Measured) -> str:
    """Write ``(1 200 rows, chance alone gives up to 0.14)``."""
    parts = [f"{found.n:,} rows".replace(",", " ")] if found.n else []
    parts += [f"chance alone gives up to {figure(found.chance)}"] if found.chance is not None else []
    parts += [found.left_out] if found.left_out else []
    return f" ({', '.join(parts)})" if parts else ""


def _leaf(leaf: Condition | Every, line: str, *, holds: bool) -> Judged:
    return Judged(holds=holds, lines=(line,), because=(leaf,) if holds else (), said=(line,) if holds else ())


def _value(side: Metric | Scaled | Threshold | AtApproval, condition: Condition, measure: Measure) -> Measured:
    match side:
        case Threshold(value=value):
            return Measured(value=value)
        case Metric():
            return measure(side)
        case AtApproval():
            return measure(msgspec.structs.replace(_metric_of(condition), of="at_approval", over_s=None))
        case Scaled(metric=metric, factor=factor, plus=plus):
            found = _value(metric, condition, measure)
            return msgspec.structs.replace(found, value=None if found.value is None else found.value * factor + plus)
        case _:
            assert_never(side)


def _metric_of(condition: Condition) -> Metric:
    """Return the metric that ``at_approval`` speaks of: the one on the other side."""
    for side in (condition.left, condition.right):
        inner = side.metric if isinstance(side, Scaled) else side
        if isinstance(inner, Metric):
            return inner
    raise AssertionError("declare refuses a condition without a metric")


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.1f} d"
