"""Which conditions can be judged where: before a version is accepted, while it rolls out, while it serves."""

from collections.abc import Iterator
from typing import Literal

from trimtab.declare.conditions import Policy
from trimtab.declare.meanings import MEANINGS
from trimtab.declare.mistakes import BadPolicy
from trimtab.declare.names import column_names
from trimtab.declare.places import here
from trimtab.declare.records import (
    AllOf,
    AnyOf,
    AtApproval,
    Every,
    FeatureViewSpec,
    FieldKind,
    Label,
    Metric,
    Scaled,
    Threshold,
)
from trimtab.declare.records import (
    Condition as ConditionSpec,
)
from trimtab.declare.records import (
    Policy as PolicySpec,
)
from trimtab.declare.render import show_policy
from trimtab.declare.spelling import closest

Occasion = Literal["accept", "roll_back", "retrain"]
_SLICING = (FieldKind.KEY, FieldKind.CATEGORY, FieldKind.TEXT, FieldKind.INT, FieldKind.BOOL)


def accepted(conditions: tuple[object, ...], *, view: FeatureViewSpec, label: Label) -> tuple[ConditionSpec, ...]:
    """Return the conditions of ``accept_if``, each one line of evidence. Raises ``BadPolicy``."""
    if not conditions:
        raise BadPolicy(
            "accept_if names no condition",
            where=here(),
            why="Every version would be good enough.",
            next="write for example late.accept_if(tt.auc >= 0.65)",
        )
    found: list[ConditionSpec] = []
    for condition in conditions:
        spec = checked(condition, "accept", view=view, label=label)
        parts = spec.terms if isinstance(spec, AllOf) else (spec,)
        for part in parts:
            if not isinstance(part, ConditionSpec):
                raise BadPolicy(
                    f"accept_if is given {show_policy(part)}",
                    where=_place(condition),
                    why="Each condition of acceptance is one line of evidence, and all of them must hold.",
                    next="give each condition by itself: late.accept_if(tt.auc >= 0.65, tt.recall >= 0.3)",
                )
            found.append(part)
    return tuple(dict.fromkeys(found))


def checked(policy: object, occasion: Occasion, *, view: FeatureViewSpec, label: Label) -> PolicySpec:
    """Return a policy's spec when each of its conditions can be judged on that occasion. Raises ``BadPolicy``."""
    if not isinstance(policy, Policy):
        word = {"accept": "accept_if", "roll_back": "roll_back_if", "retrain": "retrain_when"}[occasion]
        raise BadPolicy(
            f"{word} is given {policy!r}, which is no condition",
            where=here(),
            why="A condition compares a metric with what it should be.",
            next="write for example tt.auc >= 0.65" if occasion == "accept" else "write for example tt.errors > 0.01",
        )
    where = _place(policy)
    for part in _leaves(policy.spec):
        if isinstance(part, Every):
            if occasion != "retrain":
                raise BadPolicy(
                    f"{show_policy(part)} judges no version",
                    where=where,
                    why="That time has passed says nothing about how good a version is.",
                    next="use it in retrain_when",
                )
            continue
        for metric in _metrics(part):
            _check_metric(metric, show_policy(part), occasion, where, view=view, label=label)
    return policy.spec


def retraining_policy(policy: object, *, view: FeatureViewSpec, label: Label) -> PolicySpec:
    """Return the spec of a policy for ``retrain_when``. Raises ``BadPolicy`` for one that could never be judged."""
    return checked(policy, "retrain", view=view, label=label)


def _leaves(policy: PolicySpec) -> Iterator[ConditionSpec | Every]:
    if isinstance(policy, AnyOf | AllOf):
        for term in policy.terms:
            yield from _leaves(term)
    else:
        yield policy


def _metrics(condition: ConditionSpec) -> Iterator[Metric | AtApproval]:
    for side in (condition.left, condition.right):
        inner = side.metric if isinstance(side, Scaled) else side
        if not isinstance(inner, Threshold):
            yield inner


def _check_metric(
    metric: Metric | AtApproval, said: str, occasion: Occasion, where: str, *, view: FeatureViewSpec, label: Label
) -> None:
    whose = "at_approval" if isinstance(metric, AtApproval) else metric.of
    if occasion == "accept" and whose == "at_approval":
        raise BadPolicy(
            f"{said} looks at an approval that has not happened",
            where=where,
            why="A version is accepted before it is approved.",
            next="compare it with tt.champion, the model in service",
        )
    if occasion == "retrain" and whose == "champion":
        raise BadPolicy(
            f"{said} compares the model in service with itself",
            where=where,
            why="When retraining is decided, the champion is the model that is judged.",
            next="compare it with tt.at_approval, for example tt.log_loss.over('7d') > tt.at_approval * 1.10",
        )
    if isinstance(metric, AtApproval):
        return
    meaning = MEANINGS[metric.name]
    if meaning.task not in (None, label.task):
        raise BadPolicy(
            f"{said} is about {meaning.task}, and the model is a {label.task}",
            where=where,
            why=f"The label {label.name} is {'yes or no' if label.task == 'classification' else 'a number'}.",
            next=f"use one of: {', '.join(sorted(name for name, one in MEANINGS.items() if one.task == label.task))}",
        )
    if occasion == "accept" and (not meaning.at_test or metric.over_s is not None):
        raise BadPolicy(
            f"{said} is measured in service",
            where=where,
            why="A version is accepted on held-out rows, before it has served anyone.",
            next="use it in serve(roll_back_if=...) or retrain_when(...)",
        )
    if metric.slice_by is not None:
        _check_slices(metric.slice_by, said, where, view)
    if metric.feature is not None:
        names = [name for column in view.columns for name in column_names(column)]
        if metric.feature not in names:
            raise BadPolicy(
                f"{said} watches {metric.feature!r}, which is no column of {view.name}",
                where=where,
                why=f"Its columns are {', '.join(names)}.",
                next=closest(metric.feature, names) or "name one of these",
            )


def _check_slices(by: str, said: str, where: str, view: FeatureViewSpec) -> None:
    field = view.of.field(by)
    names = [one.name for one in view.of.fields if one.kind in _SLICING]
    if field is None or field.kind not in _SLICING:
        raise BadPolicy(
            f"{said} slices by {by!r}, which is "
            + (f"no field of {view.of.name}" if field is None else f"a {field.kind.value}"),
            where=where,
            why=f"Slices are the values of a category of the view's own contract: {', '.join(names)}.",
            next=closest(by, names).replace("write ", "write by=") or "name one of these",
        )


def _place(policy: object) -> str:
    return policy.where if isinstance(policy, Policy) else here()
