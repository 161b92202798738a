"""When a field becomes known: the one rule that everything in this room obeys."""

from trimtab.declare import ContractSpec, FeatureViewSpec, FieldKind, FieldSpec
from trimtab.features.errors import TableProblem
from trimtab.kernel import Invalid


def field_of(contract: ContractSpec, name: str, *, where: str) -> FieldSpec:
    """Return a field of a contract; raise ``Invalid`` when the contract promises no such column."""
    field = contract.field(name)
    if field is None:
        raise Invalid(
            f"{contract.name} has no field {name!r}",
            where=where,
            why="A column can only be made from what a contract promises.",
            next=f"use one of: {', '.join(f.name for f in contract.fields)}",
        )
    return field


def known_column(contract: ContractSpec, name: str) -> str:
    """Return the time column that says when a fact's field becomes known: its ``known_at``, else the event time."""
    return late_column(contract, name) or contract.event_time


def late_column(contract: ContractSpec, name: str) -> str | None:
    """Return the time column at which a field becomes known, or None when it is given with the row.

    A time that says when other fields become known (``departed``) is itself known only when it has come.
    """
    field = contract.field(name)
    if field is None:
        raise TableProblem(
            f"{contract.name} has no field {name!r}",
            where=contract.where or f"contract {contract.name}",
            why="Its known time was asked for.",
            next="correct the field's name",
        )
    if field.known_at is not None:
        return field.known_at
    if field.kind is FieldKind.TIME and _says_when(contract, name):
        return name
    return None


def known_when_decided(view: FeatureViewSpec, name: str) -> bool:
    """Say whether a field of the row itself is known, by declaration, at the moment of decision.

    It is when it comes with the row, or when it becomes known at the very time that ``decided`` names or earlier. An
    event time that says when other fields become known (``arrived``) comes with the row only where the decision is
    counted from it: who decides two hours before kick-off knows when that will be.
    """
    late = late_column(view.of, name)
    if late is not None:
        return late == view.decided and view.decided_offset_s >= 0
    return name == view.decided or name != view.of.event_time or not _says_when(view.of, name)


def _says_when(contract: ContractSpec, name: str) -> bool:
    return any(field.known_at == name for field in contract.fields)
