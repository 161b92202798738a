"""Labels: what a model is to predict about a row."""

import msgspec

from trimtab.declare.columns import TimeColumn
from trimtab.declare.durations import DurationLike, seconds_of
from trimtab.declare.expressions import Column
from trimtab.declare.mistakes import BadModel
from trimtab.declare.places import here
from trimtab.declare.records import (
    Arithmetic,
    Comparison,
    Constant,
    Derived,
    FeatureViewSpec,
    Field,
    FieldKind,
    Label,
    Latest,
    Operand,
    Rolling,
    TimePart,
)
from trimtab.declare.render import show


def label_of(label: object, view: FeatureViewSpec) -> Label:
    """Return the label of a model over the view's own rows. Raises ``BadModel``."""
    of = view.of.name
    if not isinstance(label, Column):
        raise BadModel(
            f"label={label!r} is nothing to predict",
            where=here(),
            why="A label is a comparison (yes or no) or a column (a number) of the view's own contract.",
            next=f"write for example label={of}.arr_delay > 15",
        )
    spec = label.spec
    _check_own(spec, label, view)
    match spec:
        case Comparison():
            return Label(expression=spec, name=show(spec).replace(f"{of}.", ""))
        case Derived(expression=Comparison() as comparison):
            return Label(expression=comparison, name=spec.name)
        case Field() if label.kind == "number":
            return Label(expression=spec, name=spec.field)
        case Field() if label.kind == "truth":
            return Label(expression=Comparison(op="==", left=spec, right=Constant(value=True)), name=spec.field)
        case Field():
            raise BadModel(
                f"label={label!r} is a {label.kind}",
                where=label.where,
                why="Models learn yes or no, or a number.",
                next="write a part of it as a number in the source"
                if label.kind == "time"
                else f'compare it with one of its values: {label!r} == "..."',
            )
        case _:
            raise BadModel(
                f"label={label!r} is calculated",
                where=label.where,
                why="A label is one comparison, or one number as it stands in the data.",
                next=f"compare it, for example ({label!r}) > 15, or calculate the number in the source of {of}",
            )


def matured(label: Label, matures: DurationLike | TimeColumn | None, view: FeatureViewSpec) -> Label:
    """Return the label with the age, or the column, by which it is final. Raises ``BadModel`` and ``BadDuration``."""
    if matures is None:
        return label
    if not isinstance(matures, Column):
        return msgspec.structs.replace(label, matures_s=seconds_of(matures, what="matures"))
    field = matures.spec
    if isinstance(field, Field) and field.contract == view.of.name and matures.kind == "time":
        return msgspec.structs.replace(label, matures_at=field.field)
    times = [f"{view.of.name}.{one.name}" for one in view.of.fields if one.kind is FieldKind.TIME]
    raise BadModel(
        f"matures={matures!r} says no time of the row",
        where=matures.where,
        why="A label is final at an age, or at a time that stands in a column of the view's own contract.",
        next=f"write matures={times[0]}" if times else 'write for example matures="30d"',
    )


def _check_own(spec: Operand | Derived, label: Column, view: FeatureViewSpec) -> None:
    match spec:
        case Latest() | Rolling():
            raise BadModel(
                f"the label uses {show(spec)}, a value of other rows",
                where=label.where,
                why="A label is what became of the row itself.",
                next=f"write for example label={view.of.name}.arr_delay > 15",
            )
        case Field(contract=contract, field=field) | TimePart(of=Field(contract=contract, field=field)):
            if contract != view.of.name:
                raise BadModel(
                    f"the label uses {contract}.{field}, and the view is of {view.of.name}",
                    where=label.where,
                    why="A label is what became of the row itself.",
                    next=f"use a field of {view.of.name}: {', '.join(one.name for one in view.of.fields)}",
                )
        case Arithmetic() | Comparison():
            _check_own(spec.left, label, view)
            _check_own(spec.right, label, view)
        case Derived():
            _check_own(spec.expression, label, view)
        case Constant():
            pass
