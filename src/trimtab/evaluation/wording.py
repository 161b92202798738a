"""How evidence reads: numbers, counts and names of metrics in words that can be spoken."""

from trimtab.declare import AtApproval, Condition, Metric, Scaled, Threshold, number_text
from trimtab.kernel import figure

Side = Metric | Scaled | Threshold | AtApproval
"""One side of a condition."""
OPERATORS = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}
_LONG = {"auc": "AUC", "pr_auc": "PR AUC", "f1": "F1", "r2": "R2", "rmse": "RMSE", "mae": "MAE", "brier": "Brier score"}


def named(metric: str) -> str:
    """Return a metric's name as it is spoken: ``log_loss`` is log loss, ``latency.p99`` is latency p99."""
    return _LONG.get(metric) or metric.replace("_", " ").replace(".", " ")


def number(value: float, metric: str, *, digits: int = 4) -> str:
    """Write a value of a metric; latencies are in seconds and read in milliseconds below one second."""
    if not metric.startswith("latency."):
        return figure(value, digits=digits)
    return f"{figure(value * 1000, digits=digits)} ms" if abs(value) < 1 else f"{figure(value, digits=digits)} s"


def apart(value: float, other: float, metric: str) -> tuple[str, str]:
    """Write two values with so many digits that different values read differently."""
    for digits in (4, 6, 8, 12, 17):
        texts = number(value, metric, digits=digits), number(other, metric, digits=digits)
        if texts[0] != texts[1] or value == other:
            break
    return texts


def count(n: int) -> str:
    """Write a count with thin groups: 336 776."""
    return f"{n:,}".replace(",", " ")


def counted(n: int, nouns: str) -> str:
    """Write how many there are: ``1 row``, ``336 776 rows``."""
    return f"{count(n)} {nouns.removesuffix('s') if n == 1 else nouns}"


def subject(metric: Metric) -> str:
    """Name a metric and where it is looked at: ``AUC worst by carrier (at least 1 000 rows)``."""
    text = named(metric.name)
    if metric.over_slices or metric.slice_by:
        text += f" {'worst' if metric.over_slices == 'worst' else 'gap'} by {metric.slice_by}"
        text += " beyond chance" if metric.over_slices == "gap_beyond_chance" else ""
        if metric.at_least:
            text += f" (at least {counted(metric.at_least, 'rows')})"
    if metric.over_s is not None:
        text += f" over {metric.over_s / 86400:g} days"
    match metric.of:
        case "champion":
            return f"the champion's {text}"
        case "at_approval":
            return f"{text} at approval"
        case "self":
            return text


def side(term: Side) -> str:
    """Write one side of a condition."""
    match term:
        case Threshold():
            return term.text or number_text(term.value)
        case Metric():
            return subject(term)
        case AtApproval():
            return "its value at approval"
        case Scaled():
            text = side(term.metric)
            text = text if term.factor == 1.0 else f"{number_text(term.factor)} times {text}"
            return (
                text
                if term.plus == 0.0
                else f"{text} {'plus' if term.plus > 0 else 'minus'} {number_text(abs(term.plus))}"
            )


def spoken(condition: Condition) -> str:
    """Write a condition as it was declared: ``AUC is at least 0.65``."""
    return f"{side(condition.left)} is {OPERATORS[condition.op]} {side(condition.right)}"
