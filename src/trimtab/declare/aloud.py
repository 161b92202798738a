"""Read a policy aloud: ``auc at least 0.65``, ``log loss above the champion's log loss times 1.03``."""

from typing import Literal

from trimtab.declare.durations import duration_text
from trimtab.declare.meanings import words_for
from trimtab.declare.records import AllOf, AnyOf, AtApproval, Condition, Every, Metric, Policy, Scaled, Threshold

_OPS: dict[Literal["<", "<=", ">", ">="], str] = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}


def describe(policy: Policy | Metric | Scaled | AtApproval | Threshold) -> str:
    """Return a policy, or a part of one, in words, as plans, evidence and audit records quote it."""
    match policy:
        case Condition():
            return f"{describe(policy.left)} {_OPS[policy.op]} {describe(policy.right)}"
        case AnyOf():
            return ", or ".join(_term(term) for term in policy.terms)
        case AllOf():
            return ", and ".join(_term(term) for term in policy.terms)
        case Every():
            return f"every {duration_text(policy.seconds)}"
        case Threshold():
            return policy.text or f"{policy.value:.12g}"
        case AtApproval():
            return "its value at approval"
        case Scaled():
            text = describe(policy.metric)
            text += f" times {policy.factor:.12g}" if policy.factor != 1 else ""
            return text + (f" {'minus' if policy.plus < 0 else 'plus'} {abs(policy.plus):.12g}" if policy.plus else "")
        case Metric():
            return _metric(policy)


def _term(term: Policy) -> str:
    return f"({describe(term)})" if isinstance(term, AnyOf | AllOf) else describe(term)


def _metric(metric: Metric) -> str:
    text = words_for(metric.name) + (f" of {metric.feature}" if metric.feature else "")
    if metric.over_slices == "worst":
        text = f"worst {text} by {metric.slice_by}"
    elif metric.over_slices is not None:
        text = f"{text} gap by {metric.slice_by}"
        text += " beyond chance" if metric.over_slices == "gap_beyond_chance" else ""
    if metric.at_least:
        text += f" (at least {metric.at_least} rows)"
    if metric.of == "champion":
        text = f"the champion's {text}"
    elif metric.of == "at_approval":
        text = f"the {text} at approval"
    return text + (f" over {duration_text(metric.over_s)}" if metric.over_s else "")
