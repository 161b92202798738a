"""The types of a contract's fields, as descriptors: on the class they give column expressions.

``temp: tt.Float`` declares a column; ``Weather.temp`` is then a ``NumberColumn`` that editors complete.
"""

from typing import ClassVar, Generic, TypeVar

from trimtab.declare.columns import CategoryColumn, FieldColumn, NumberColumn, TimeColumn
from trimtab.declare.records import FieldKind

T = TypeVar("T")


class FieldType:
    """Base of the descriptors. One stands on the contract's class for each field."""

    kind: ClassVar[FieldKind]
    column: ClassVar[type[FieldColumn]]

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def _on(self, owner: type) -> FieldColumn:
        contract = owner.__contract__  # type: ignore[attr-defined]  # every contract's class has one
        return self.column(contract, contract.field(self._name))


class Key(FieldType, Generic[T]):
    """Names the row, alone or with other keys: ``tt.Key[str]`` or ``tt.Key[int]``. Never missing."""

    kind = FieldKind.KEY
    column = CategoryColumn

    def __get__(self, instance: None, owner: type) -> CategoryColumn:
        return self._on(owner)  # type: ignore[return-value]


class EventTime(FieldType):
    """When the row's fact happened. Each contract has exactly one. Never missing."""

    kind = FieldKind.EVENT_TIME
    column = TimeColumn

    def __get__(self, instance: None, owner: type) -> TimeColumn:
        return self._on(owner)  # type: ignore[return-value]


class Time(FieldType):
    """Another time of the row. It may be missing: what has not happened yet has none."""

    kind = FieldKind.TIME
    column = TimeColumn

    def __get__(self, instance: None, owner: type) -> TimeColumn:
        return self._on(owner)  # type: ignore[return-value]


class Float(FieldType):
    """A number."""

    kind = FieldKind.FLOAT
    column = NumberColumn

    def __get__(self, instance: None, owner: type) -> NumberColumn:
        return self._on(owner)  # type: ignore[return-value]


class Int(FieldType):
    """A whole number."""

    kind = FieldKind.INT
    column = NumberColumn

    def __get__(self, instance: None, owner: type) -> NumberColumn:
        return self._on(owner)  # type: ignore[return-value]


class Bool(FieldType):
    """Yes or no; in calculations 1 or 0."""

    kind = FieldKind.BOOL
    column = NumberColumn

    def __get__(self, instance: None, owner: type) -> NumberColumn:
        return self._on(owner)  # type: ignore[return-value]


class Category(FieldType):
    """One of a limited number of texts."""

    kind = FieldKind.CATEGORY
    column = CategoryColumn

    def __get__(self, instance: None, owner: type) -> CategoryColumn:
        return self._on(owner)  # type: ignore[return-value]


class Text(FieldType):
    """Any text."""

    kind = FieldKind.TEXT
    column = CategoryColumn

    def __get__(self, instance: None, owner: type) -> CategoryColumn:
        return self._on(owner)  # type: ignore[return-value]
