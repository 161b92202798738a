"""Hold a model's conditions to what its evaluations will measure, before anything is trained."""

from collections.abc import Iterable, Iterator
from typing import assert_never

from trimtab.declare import AllOf, AnyOf, Condition, Every, Metric, ModelSpec, Policy, Scaled
from trimtab.evaluation import refused_conditions
from trimtab.features import compile_view
from trimtab.kernel import Invalid

_SLICING = ("bool", "category", "int")


class NeverAnswered(Invalid):
    """A condition that no evaluation of this model could answer, so that no version would ever pass."""

    code = "loop.condition-never-answered"


def conditions_of(policy: Policy) -> Iterator[Condition]:
    """Return every condition of a policy, in the order in which they were written."""
    match policy:
        case Condition():
            yield policy
        case AnyOf() | AllOf():
            for term in policy.terms:
                yield from conditions_of(term)
        case Every():
            pass
        case _:
            assert_never(policy)


def metrics_of(conditions: Iterable[Condition]) -> Iterator[Metric]:
    """Return every metric that conditions name, on either side."""
    for condition in conditions:
        for side in (condition.left, condition.right):
            inner = side.metric if isinstance(side, Scaled) else side
            if isinstance(inner, Metric):
                yield inner


def rules_of(model: ModelSpec) -> dict[str, tuple[Condition, ...]]:
    """Return the conditions of a model, by the word that they were declared with."""
    rules = {"accept_if": model.accept}
    if model.serving is not None and model.serving.roll_back_if is not None:
        rules["roll_back_if"] = tuple(conditions_of(model.serving.roll_back_if))
    if model.retraining is not None:
        rules["retrain_when"] = tuple(conditions_of(model.retraining.when))
    return rules


def check_conditions(model: ModelSpec) -> None:
    """Raise ``NeverAnswered`` for the first condition that could not be answered on the test span, or in service.

    Slices are cut by the columns of the model's view, so a condition can name only those.
    """
    where = model.where or f"model {model.name}"
    for refused in refused_conditions(model.accept, task=model.label.task):
        condition, _, why = refused.partition(": ")
        raise NeverAnswered(
            f"accept_if of {model.name} asks for what is never measured: {condition}",
            where=where,
            why=f"{why[:1].upper()}{why[1:]}.",
            next=f"correct or remove this condition of {model.name}.accept_if",
        )
    columns = {column.name for column in compile_view(model.view).columns if column.kind in _SLICING}
    for word, conditions in rules_of(model).items():
        for metric in metrics_of(conditions):
            if metric.slice_by is not None and metric.slice_by not in columns:
                raise _no_column(model, word, metric.slice_by, columns, where=where)


def _no_column(model: ModelSpec, word: str, by: str, columns: Iterable[str], *, where: str) -> NeverAnswered:
    usable = ", ".join(sorted(columns))
    rows = "the held-out rows, which hold" if word == "accept_if" else "the decisions, which are logged with"
    return NeverAnswered(
        f"{word} of {model.name} slices by {by!r}, which is no column of features {model.view.name}",
        where=where,
        why=f"Slices are cut on {rows} the columns of the view and nothing else.",
        next=f"add {model.view.of.name}.{by} to the columns of {model.view.name}"
        + (f", or slice by one of: {usable}" if usable else ""),
    )
