"""Prove, from the declaration alone, that no column of a view can see the label."""

from typing import assert_never

from trimtab.declare import (
    Arithmetic,
    Comparison,
    Constant,
    Derived,
    FeatureViewSpec,
    Field,
    Label,
    Latest,
    Operand,
    Rolling,
    TimePart,
)
from trimtab.features.compile import compile_label, compile_view
from trimtab.features.errors import LabelVisible
from trimtab.features.known import known_column, known_when_decided, late_column
from trimtab.features.records import CompiledView, Proof, View


def prove_blind_to(view: View, label: Label) -> Proof:
    """Return the proof that no column can see the label of its own row, line by line, as ``plan`` prints it.

    The argument: a column holds a value of the row itself only when that is known at the decision (else compiling
    raises ``NotKnownYet``); any other value enters only when its known time is not after the decision; and the label
    becomes known later than the decision, because a row whose label was known by then is given no label in training.
    Raises ``LabelVisible`` when the declaration lets the label be known at the decision.
    """
    compiled = compile_view(view)
    late = label_columns(compiled.view, label)
    of = compiled.view.of
    because = ", ".join(f"known_at {column}" for column in late) + f" > decided ({decided_text(compiled.view)})"
    lines = tuple(f"{column.name}: {_why(column.source, compiled)}" for column in compiled.columns)
    names = " and ".join(f"{of.name}.{name}" for name in label_fields(label))
    return Proof(
        summary=f"no column can see the label ({names})",
        because=because,
        lines=lines,
    )


def label_columns(view: FeatureViewSpec, label: Label) -> tuple[str, ...]:
    """Return the time columns at which a label becomes known; raise ``LabelVisible`` when it is known too early."""
    compile_label(view, label.expression)
    where = view.where or f"features {view.name}"
    names = label_fields(label)
    late = [name for name in names if late_column(view.of, name) is not None]
    if not late:
        field = names[0] if names else label.name
        raise LabelVisible(
            f"the label {view.of.name}.{field} is known as soon as the row is",
            where=where,
            next=f"say when it becomes known: {field}: tt.Float = tt.known_at('...')",
        )
    if all(known_when_decided(view, name) for name in late):
        raise LabelVisible(
            f"the label {view.of.name}.{late[0]} is known at {late_column(view.of, late[0])}, "
            f"and the decision is taken {decided_text(view)}",
            where=where,
            next=f"decide earlier, for example decided={view.of.name}.{view.of.event_time} - tt.hours(2)",
        )
    return tuple(dict.fromkeys(known_column(view.of, name) for name in late))


def label_fields(label: Label) -> tuple[str, ...]:
    """Return the fields of the row that a label is made of, each once."""
    return tuple(dict.fromkeys(_fields(label.expression)))


def decided_text(view: FeatureViewSpec) -> str:
    """Write the moment of decision for people: ``2 h before scheduled``."""
    seconds = view.decided_offset_s
    if seconds == 0:
        return f"at {view.decided}"
    size, unit = next(
        (s, u) for s, u in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")) if abs(seconds) >= s or s == 1
    )
    return f"{abs(seconds) / size:g} {unit} {'after' if seconds > 0 else 'before'} {view.decided}"


def _fields(operand: Operand) -> list[str]:
    match operand:
        case Field():
            return [operand.field]
        case TimePart():
            return [operand.of.field]
        case Arithmetic() | Comparison():
            return _fields(operand.left) + _fields(operand.right)
        case Constant() | Latest() | Rolling():
            return []
        case _:
            assert_never(operand)


def _why(source: Operand | Derived, compiled: CompiledView) -> str:
    view = compiled.view
    match source:
        case Field() | TimePart():
            name = source.field if isinstance(source, Field) else source.of.field
            late = late_column(view.of, name)
            return "given with the row" if late is None else f"known at {late}, which is when it is decided or before"
        case Latest():
            contract = view.of if source.contract == view.of.name else view.contract(source.contract)
            known = sorted({known_column(contract, name) for name in source.fields})
            return f"newest {source.contract} with {' and '.join(known)} <= decided"
        case Rolling():
            contract = view.of if source.contract == view.of.name else view.contract(source.contract)
            known_at = known_column(contract, source.field)
            own = "; its own row too counts only from then" if source.contract == view.of.name else ""
            return f"only {source.contract}.{source.field} with {known_at} <= decided{own}"
        case Constant():
            return "a constant"
        case Arithmetic() | Comparison():
            return f"{_why(source.left, compiled)}; {_why(source.right, compiled)}"
        case Derived():
            return f"computed: {_why(source.expression, compiled)}"
        case _:
            assert_never(source)
