"""What kind of column a field or a compiled value makes."""

from typing import assert_never

from trimtab.declare import FieldKind, FieldSpec
from trimtab.features.records import Computed, Given, Kind, Newest, Own, Part, Value, Windowed

_KINDS: dict[FieldKind, Kind] = {
    FieldKind.FLOAT: "float",
    FieldKind.INT: "int",
    FieldKind.BOOL: "bool",
    FieldKind.CATEGORY: "category",
    FieldKind.TEXT: "category",
}


def kind_of_field(field: FieldSpec) -> Kind | None:
    """Return the kind of column that a field makes; None for times, which are features only by their parts."""
    if field.kind is FieldKind.KEY:
        return "int" if field.value_type == "int" else "category"
    return _KINDS.get(field.kind)


def kind_of_value(value: Value) -> Kind:
    """Return the kind of a compiled value."""
    match value:
        case Own() | Newest():
            return value.kind
        case Part():
            return "int"
        case Windowed():
            return "int" if value.function == "count" else "float"
        case Computed():
            return "float" if value.op in "+-*/" else "bool"
        case Given():
            return _kind_of_constant(value.value)
        case _:
            assert_never(value)


def _kind_of_constant(value: float | str | bool) -> Kind:
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "category"
