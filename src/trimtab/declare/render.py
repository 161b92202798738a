"""Write declared values as a user would have written them: ``Flight.dep_delay.mean(over="24h", by="carrier")``."""

from collections.abc import Iterable
from itertools import groupby

from trimtab.declare.durations import Duration, duration_text
from trimtab.declare.records import (
    AllOf,
    AnyOf,
    Arithmetic,
    AtApproval,
    Column,
    Comparison,
    Condition,
    Constant,
    Derived,
    Every,
    Field,
    Latest,
    Metric,
    Operand,
    Policy,
    Rolling,
    Scaled,
    Stage,
    Threshold,
    TimePart,
)

# Windows are written as 24h, which says what it does at a change of summer time better than 1d.
_DAYS_FROM = 2


def show(spec: Column | Operand) -> str:
    """Write a column as Python; evaluating the text with the contracts and ``tt`` gives the same spec."""
    match spec:
        case Field():
            return f"{spec.contract}.{spec.field}"
        case TimePart():
            return f"{show(spec.of)}.{spec.part}"
        case Latest():
            parts = [*map(quoted, spec.fields), f"by={_names(spec.by)}"]
            if spec.within_s is not None:
                parts.append(f'within="{duration_text(spec.within_s, days_from=_DAYS_FROM)}"')
            return f"{spec.contract}.latest({', '.join(parts)})"
        case Rolling():
            over = duration_text(spec.over_s, days_from=_DAYS_FROM)
            return f'{spec.contract}.{spec.field}.{spec.function}(over="{over}", by={_names(spec.by)})'
        case Constant():
            return quoted(spec.value) if isinstance(spec.value, str) else repr(spec.value)
        case Arithmetic() | Comparison():
            return f"{_inner(spec.left)} {spec.op} {_inner(spec.right)}"
        case Derived():
            return f"({show(spec.expression)}).named({quoted(spec.name)})"


def show_moment(contract: str, field: str, offset_s: float) -> str:
    """Write a moment of decision: ``Flight.scheduled - tt.hours(2)``."""
    if not offset_s:
        return f"{contract}.{field}"
    return f"{contract}.{field} {'-' if offset_s < 0 else '+'} {Duration(abs(offset_s))!r}"


def show_policy(spec: Policy | Metric | Scaled | AtApproval | Threshold) -> str:
    """Write a policy, or a part of one, as Python."""
    match spec:
        case Condition():
            return f"{show_policy(spec.left)} {spec.op} {show_policy(spec.right)}"
        case AnyOf():
            return " | ".join(f"({show_policy(term)})" for term in spec.terms)
        case AllOf():
            return " & ".join(f"({show_policy(term)})" for term in spec.terms)
        case Every():
            return f'tt.every("{duration_text(spec.seconds)}")'
        case Threshold():
            return quoted(spec.text) if spec.text else f"{spec.value!r}"
        case AtApproval():
            return "tt.at_approval"
        case Scaled():
            text = show_policy(spec.metric)
            text += f" * {spec.factor!r}" if spec.factor != 1 else ""
            return text + (f" {'-' if spec.plus < 0 else '+'} {abs(spec.plus)!r}" if spec.plus else "")
        case Metric():
            return _metric(spec)


def show_rollout(stages: Iterable[Stage]) -> str:
    """Write a rollout: ``tt.shadow("1d") >> tt.canary(5, 25, 50, each="12h") >> tt.full``."""
    parts = []
    for (kind, hold_s, least), group in groupby(stages, key=lambda one: (one.kind, one.hold_s, one.decisions)):
        also = f", decisions={least}" if least else ""
        if kind == "full":
            parts.append("tt.full")
        elif kind == "shadow":
            parts.append(f'tt.shadow("{duration_text(hold_s)}"{also})')
        else:
            shares = ", ".join(f"{stage.percent:g}" for stage in group)
            parts.append(f'tt.canary({shares}, each="{duration_text(hold_s)}"{also})')
    return " >> ".join(parts)


def quoted(text: str) -> str:
    """Write a text in double quotes, as Python would read it."""
    # repr chooses double quotes when the text holds a single quote and no double one.
    return repr("'" + text)[2:-1].join('""') if '"' not in text else repr(text)


def number_text(value: float) -> str:
    """Write a number to its last digit, so that it is never taken for a neighbour: ``5``, ``0.65``, ``12345678901``."""
    text = repr(float(value) + 0.0)  # -0.0 is 0
    return text.removesuffix(".0")


def _inner(operand: Operand) -> str:
    return f"({show(operand)})" if isinstance(operand, Arithmetic | Comparison) else show(operand)


def _names(by: tuple[str, ...]) -> str:
    return quoted(by[0]) if len(by) == 1 else f"[{', '.join(map(quoted, by))}]"


def _metric(metric: Metric) -> str:
    whose = {"self": "tt.", "champion": "tt.champion.", "at_approval": "tt.at_approval."}[metric.of]
    least = [f"at_least={metric.at_least}"] if metric.at_least else []
    if metric.name == "equalised_odds":
        text = f"{whose}equalised_odds({', '.join([f'by={quoted(metric.slice_by or str())}', *least])})"
    else:
        text = whose + metric.name + (f"({quoted(metric.feature)})" if metric.feature else "")
        if metric.over_slices:
            how = "worst" if metric.over_slices == "worst" else "gap"
            text += f".{how}({', '.join([f'by={quoted(metric.slice_by or str())}', *least])})"
    text += ".beyond_chance" if metric.over_slices == "gap_beyond_chance" else ""
    return text + (f'.over("{duration_text(metric.over_s)}")' if metric.over_s else "")
