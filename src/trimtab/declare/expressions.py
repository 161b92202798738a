"""Column expressions: values of a row at its moment of decision, calculated and compared but never looked at.

Each wraps one frozen spec (``.spec``). Equality builds a comparison, as in ``Flight.carrier == "AA"``, so expressions
are told apart by their specs.
"""

import math
from typing import TYPE_CHECKING, Literal, NoReturn

from trimtab.declare.mistakes import BadColumn, UnknownWord
from trimtab.declare.places import here
from trimtab.declare.records import (
    Arithmetic,
    Comparison,
    Constant,
    ContractSpec,
    Derived,
    Field,
    FieldKind,
    FieldSpec,
    Latest,
    Operand,
    Rolling,
    TimePart,
)
from trimtab.declare.render import show
from trimtab.declare.spelling import closest, is_name, refuse_truth

Kind = Literal["number", "text", "truth", "time"]
Calculating = Literal["+", "-", "*", "/"]
Comparing = Literal["<", "<=", ">", ">=", "==", "!="]
ColumnSpec = Field | TimePart | Latest | Rolling | Derived | Arithmetic | Comparison

_KINDS: dict[FieldKind, Kind] = {
    FieldKind.KEY: "text",
    FieldKind.CATEGORY: "text",
    FieldKind.TEXT: "text",
    FieldKind.FLOAT: "number",
    FieldKind.INT: "number",
    FieldKind.BOOL: "truth",
    FieldKind.TIME: "time",
    FieldKind.EVENT_TIME: "time",
}
_WORDS: dict[Kind, str] = {"number": "a number", "text": "a text", "truth": "a yes or no", "time": "a time"}
_OWN = ("contract", "contracts", "field", "kind", "spec", "where")
_LARGEST = 2**53


def kind_of(field: FieldSpec) -> Kind:
    """Return what a field's values are to expressions: a number, a text, yes or no, or a time."""
    return "number" if field.value_type == "int" else _KINDS[field.kind]


class Column:
    """One value of a row at its moment of decision. Never true or false itself."""

    __slots__ = ("contracts", "kind", "spec", "where")

    def __init__(self, spec: ColumnSpec, *, kind: Kind, contracts: tuple[ContractSpec, ...]) -> None:
        self.spec = spec
        self.kind: Kind = kind
        self.contracts = contracts
        """The contracts that it reads, each once."""
        self.where = here()

    def __bool__(self) -> NoReturn:  # noqa: PLE0304  it always raises
        refuse_truth(self, policy=False)

    def __repr__(self) -> str:
        return show(self.spec)

    def __hash__(self) -> int:
        return hash(self.spec)

    def __eq__(self, other: object) -> "Test":  # type: ignore[override]  # builds an expression, as the module says
        return compare("==", self, other)

    def __ne__(self, other: object) -> "Test":  # type: ignore[override]
        return compare("!=", self, other)

    def named(self, name: str) -> "Column":
        """Give a calculated column its name: ``(Flight.distance / 60).named("hours")``. Raises ``BadColumn``."""
        return column(name, self)

    if not TYPE_CHECKING:  # A type checker reports these by itself, in its own words.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_") or name in _OWN:
                raise AttributeError(name)
            words = [word for word in dir(type(self)) if not word.startswith("_") and word not in _OWN]
            # What is there only to refuse (the mean of a time) is not offered.
            words = [word for word in words if "_refuse" not in getattr(getattr(type(self), word), "__name__", "")]
            raise UnknownWord(
                f"{self!r} has no {name!r}",
                where=here(),
                why=f"It is {_WORDS[self.kind]}, which knows {', '.join(words)}.",
                next=closest(name, words) or "use one of these",
            )

        def _refuse_order(self, *_: object, **__: object) -> NoReturn:
            raise BadColumn(
                f"{self!r} is {_WORDS[self.kind]}, which has no order, sum or mean",
                where=here(),
                why="Only numbers are ranked, calculated with and averaged.",
                next="declare the field as tt.Float or tt.Int if it is one, or calculate the number in the source",
            )

        __lt__ = __le__ = __gt__ = __ge__ = _refuse_order
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = (
            _refuse_order
        )

        def _refuse_logic(self, *_: object) -> NoReturn:
            raise BadColumn(
                f"{self!r} cannot be combined by &, | or ~",
                where=here(),
                why="A column holds one calculation or one comparison; policies are what & and | combine.",
                next="calculate the combination in the source, as a field of type tt.Bool",
            )

        __and__ = __rand__ = __or__ = __ror__ = __invert__ = _refuse_logic


class Number(Column):
    """A column that can be calculated with and compared with numbers."""

    __slots__ = ()

    def __add__(self, other: "Number | float") -> "Number":
        return calculate("+", self, other)

    def __radd__(self, other: float) -> "Number":
        return calculate("+", other, self)

    def __sub__(self, other: "Number | float") -> "Number":
        return calculate("-", self, other)

    def __rsub__(self, other: float) -> "Number":
        return calculate("-", other, self)

    def __mul__(self, other: "Number | float") -> "Number":
        return calculate("*", self, other)

    def __rmul__(self, other: float) -> "Number":
        return calculate("*", other, self)

    def __truediv__(self, other: "Number | float") -> "Number":
        return calculate("/", self, other)

    def __rtruediv__(self, other: float) -> "Number":
        return calculate("/", other, self)

    def __neg__(self) -> "Number":
        return calculate("-", 0, self)

    def __lt__(self, other: "Number | float") -> "Test":
        return compare("<", self, other)

    def __le__(self, other: "Number | float") -> "Test":
        return compare("<=", self, other)

    def __gt__(self, other: "Number | float") -> "Test":
        return compare(">", self, other)

    def __ge__(self, other: "Number | float") -> "Test":
        return compare(">=", self, other)

    def at_least(self, least: "Number | float") -> "Test":
        """The spelled-out form of ``>=``."""
        return compare(">=", self, least)

    def at_most(self, most: "Number | float") -> "Test":
        """The spelled-out form of ``<=``."""
        return compare("<=", self, most)

    def above(self, bound: "Number | float") -> "Test":
        """The spelled-out form of ``>``."""
        return compare(">", self, bound)

    def below(self, bound: "Number | float") -> "Test":
        """The spelled-out form of ``<``."""
        return compare("<", self, bound)


class Test(Column):
    """A comparison of columns: yes, no, or missing where a side is missing."""

    __slots__ = ()
    __test__ = False  # pytest would look into a class of this name


def column(name: str, expression: Column) -> Column:
    """Name a calculated column: ``tt.column("speed", Flight.distance / Flight.hours)``. Raises ``BadColumn``."""
    if not is_name(name):
        raise BadColumn(
            f"{name!r} cannot name a column",
            where=here(),
            why="A name starts with a letter and holds letters, digits and _.",
            next='write for example tt.column("ratio", ...)',
        )
    if not isinstance(expression, Column) or not isinstance(expression.spec, Arithmetic | Comparison):
        named = isinstance(expression, Column) and isinstance(expression.spec, Derived)
        raise BadColumn(
            f"{expression!r} cannot be given the name {name!r}",
            where=here(),
            why="It has a name already." if named else "Only a calculation or a comparison needs a name of its own.",
            next="list it under the name it has",
        )
    cls = Number if expression.kind == "number" else Test
    return cls(Derived(name=name, expression=expression.spec), kind=expression.kind, contracts=expression.contracts)


def calculate(op: Calculating, left: object, right: object) -> Number:
    """Return ``left op right``; numbers, and yes or no as 1 or 0. Raises ``BadColumn``."""
    first, second = _side(left), _side(right)
    for side in (first, second):
        if side.kind not in ("number", "truth"):
            raise BadColumn(
                f"{_text(left)} {op} {_text(right)} has no meaning",
                where=here(),
                why=f"{_text(side.given)} is {_WORDS[side.kind]}; only numbers are calculated with.",
                next="calculate it in the source" if side.kind == "time" else "use columns of type tt.Float or tt.Int",
            )
    spec = Arithmetic(op=op, left=first.operand, right=second.operand)
    return Number(spec, kind="number", contracts=_merged(left, right))


def compare(op: Comparing, left: object, right: object) -> Test:
    """Return ``left op right``: numbers in any way, texts and yes or no for equality. Raises ``BadColumn``."""
    first, second = _side(left), _side(right)
    said = f"{_text(left)} {op} {_text(right)}"
    if "time" in (first.kind, second.kind):
        raise BadColumn(
            f"{said} compares a time",
            where=here(),
            why="A date never comes back, so a rule about it teaches nothing.",
            next="compare a part of it, such as .hour, or calculate the difference in the source",
        )
    if first.kind != second.kind:
        raise BadColumn(
            f"{said} compares {_WORDS[first.kind]} with {_WORDS[second.kind]}",
            where=here(),
            why="Two things of different kinds are never equal, less or more.",
            next=f"compare it with {_WORDS[first.kind]}, or change the field's type in its contract",
        )
    if first.kind != "number" and op not in ("==", "!="):
        raise BadColumn(
            f"{said} ranks {_WORDS[first.kind]}",
            where=here(),
            why="Only numbers have an order.",
            next="use == or !=",
        )
    _check_promised(first, second, said)
    spec = Comparison(op=op, left=first.operand, right=second.operand)
    return Test(spec, kind="truth", contracts=_merged(left, right))


class _Side:
    """One side of an operator, understood."""

    def __init__(self, given: object, operand: Operand, kind: Kind) -> None:
        self.given = given
        self.operand = operand
        self.kind: Kind = kind


def _side(value: object) -> _Side:
    if isinstance(value, Column):
        spec = value.spec
        if isinstance(spec, Latest) and len(spec.fields) > 1:
            raise BadColumn(
                f"{value!r} is {len(spec.fields)} columns, not one",
                where=here(),
                why="Each side of an operator is one value.",
                next=f"name one field: {spec.contract}.latest({spec.fields[0]!r}, ...)",
            )
        return _Side(value, spec.expression if isinstance(spec, Derived) else spec, value.kind)
    if isinstance(value, bool):
        return _Side(value, Constant(value=value), "truth")
    if isinstance(value, str):
        return _Side(value, Constant(value=value), "text")
    if isinstance(value, int | float) and abs(value) < _LARGEST:
        plain = int(value) if isinstance(value, int) else float(value)  # numpy's float64 is a float of its own
        return _Side(value, Constant(value=plain), "number")
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    raise BadColumn(
        f"{value!r} cannot stand in a column expression",
        where=here(),
        why="A missing value equals nothing; a comparison with it is missing too."
        if missing
        else "The other side of an operator is a column, a finite number below 2**53, a text, True or False.",
        next="count what is there, for example Flight.dep_delay.count(over='24h', by='carrier')"
        if missing
        else "calculate it in the source",
    )


def _check_promised(first: _Side, second: _Side, said: str) -> None:
    for side, other in ((first, second), (second, first)):
        field = getattr(side.given, "field", None) if isinstance(side.given, Column) else None
        if not isinstance(field, FieldSpec) or field.values is None or not isinstance(other.operand, Constant):
            continue
        if other.operand.value not in field.values:
            raise BadColumn(
                f"{said} is never true",
                where=here(),
                why=f"{side.given!r} promises one of {', '.join(field.values)}.",
                next=closest(str(other.operand.value), field.values) or "compare it with one of these",
            )


def _merged(*sides: object) -> tuple[ContractSpec, ...]:
    contracts = [contract for side in sides if isinstance(side, Column) for contract in side.contracts]
    return tuple(dict.fromkeys(contracts))


def _text(value: object) -> str:
    return repr(value)
