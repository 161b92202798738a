"""Turn a declared view into named columns with kinds, and into the fewest lookups that give their values."""

import math
from typing import Any, assert_never

from trimtab.declare import (
    RESERVED,
    Arithmetic,
    Column,
    Comparison,
    Constant,
    Derived,
    FeatureView,
    FeatureViewSpec,
    Field,
    FieldKind,
    Latest,
    Operand,
    Rolling,
    TimePart,
    column_names,
    show,
)
from trimtab.features.errors import NotKnownYet
from trimtab.features.identity import digest_of_meaning
from trimtab.features.kinds import kind_of_field, kind_of_value
from trimtab.features.known import field_of, known_column, known_when_decided, late_column
from trimtab.features.records import (
    CompiledView,
    Computed,
    FeatureColumn,
    Given,
    Lookup,
    Newest,
    Own,
    Part,
    Tail,
    TailField,
    Value,
    View,
    Windowed,
)
from trimtab.kernel import Invalid

KEY_PREFIX = "key_"

_GROUPING = (FieldKind.KEY, FieldKind.CATEGORY, FieldKind.TEXT, FieldKind.INT, FieldKind.BOOL)
_NUMERIC = ("float", "int", "bool")


def compile_view(view: View) -> CompiledView:
    """Make a view ready for training frames, online rows and proofs; a compiled view is returned as it is.

    Raises ``NotKnownYet`` when a column uses a field of the row itself that becomes known only after the decision,
    and ``Invalid`` when a field does not exist, two columns have one name, or a value cannot be a feature.
    """
    if isinstance(view, CompiledView):
        return view
    if isinstance(view, FeatureView):
        view = view.spec
    _check_decided(view)
    work = _Work(view)
    columns = [column for declared in view.columns for column in work.columns_of(declared)]
    _check_names(view, columns)
    lookups = tuple(Lookup(contract=c, by=b, known=k, fields=tuple(f)) for (c, b, k), f in work.lookups.items())
    tails = tuple(Tail(contract=c, by=b, known=k, fields=tuple(f.values())) for (c, b, k), f in work.tails.items())
    return CompiledView(
        view=view,
        digest=digest_of_meaning(view, columns, (*lookups, *tails)),
        columns=tuple(columns),
        lookups=lookups,
        tails=tails,
        request_fields=tuple(work.request),
    )


def digest_of_view(view: View) -> str:
    """Return the digest of what a view means: the same as long as its values are computed in the same way.

    Owners, descriptions, places in the source, promises about ranges and fields that no column uses are no part of it.
    """
    return compile_view(view).digest


def compile_label(view: FeatureViewSpec, expression: Field | Comparison) -> Value:
    """Compile a label over the view's own fields, whenever they become known; raise ``Invalid`` for anything else."""
    work = _Work(view, label=True)
    value = work.value_of(expression, where=f"label of features {view.name}")
    if kind_of_value(value) == "category":
        raise Invalid(
            "a label must be a number or a comparison",
            where=view.where or f"features {view.name}",
            why="Models learn yes or no, or a quantity; a text is neither.",
            next="compare the field with one of its values, for example Flight.status == 'late'",
        )
    return value


class _Work:
    """The state of one compilation: lookups and tails found so far, shared between columns."""

    def __init__(self, view: FeatureViewSpec, *, label: bool = False) -> None:
        self.view = view
        self.lookups: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
        self.tails: dict[tuple[str, tuple[str, ...], str], dict[str, TailField]] = {}
        self.request: dict[str, None] = {}
        self._label = label
        self._where = view.where or f"features {view.name}"

    def columns_of(self, declared: Column) -> list[FeatureColumn]:
        """Return the output columns of one declared column, in order."""
        where = f"{self._where}: {show(declared)}"
        values: list[Value]
        match declared:
            case Latest():
                values = [self._newest(declared, field, where) for field in declared.fields]
            case Derived():
                values = [self.value_of(declared.expression, where=where)]
            case Field() | TimePart() | Rolling():
                values = [self.value_of(declared, where=where)]
            case _:
                assert_never(declared)
        named = zip(column_names(declared), values, strict=True)
        return [FeatureColumn(name=n, kind=kind_of_value(v), source=declared, value=v) for n, v in named]

    def value_of(self, operand: Operand, *, where: str) -> Value:
        match operand:
            case Field():
                return self._own(operand, where)
            case TimePart():
                return self._part(operand, where)
            case Latest():
                if len(operand.fields) != 1:
                    raise Invalid(
                        f"an expression uses the latest {len(operand.fields)} fields at once",
                        where=where,
                        why="Each side of an operator is one value.",
                        next=f"name one field: {operand.contract}.latest({operand.fields[0]!r}, ...)"
                        if operand.fields
                        else "name one field",
                    )
                return self._newest(operand, operand.fields[0], where)
            case Rolling():
                return self._windowed(operand, where)
            case Constant():
                return self._given(operand, where)
            case Arithmetic() | Comparison():
                return self._computed(operand, where)
            case _:
                assert_never(operand)

    def _own(self, column: Field, where: str) -> Own:
        self._own_contract(column.contract, column.field, where)
        field = field_of(self.view.of, column.field, where=where)
        kind = kind_of_field(field)
        if kind is None:
            raise Invalid(
                f"{column.contract}.{column.field} is a time and cannot be a feature as it stands",
                where=where,
                why="A model would learn the date itself, which never comes back.",
                next=f"use a part of it: {column.contract}.{column.field}.hour",
            )
        self._needs(column.field, where)
        return Own(field=column.field, kind=kind)

    def _part(self, column: TimePart, where: str) -> Part:
        self._own_contract(column.of.contract, column.of.field, where)
        field = field_of(self.view.of, column.of.field, where=where)
        if field.kind not in (FieldKind.TIME, FieldKind.EVENT_TIME):
            raise Invalid(
                f"{column.of.contract}.{column.of.field} is a {field.kind.value}, which has no {column.part}",
                where=where,
                why="Only times have parts.",
                next="take the part of a time field",
            )
        self._needs(column.of.field, where)
        return Part(field=column.of.field, part=column.part)

    def _newest(self, column: Latest, name: str, where: str) -> Newest:
        contract = self._contract(column.contract, where)
        kind = kind_of_field(field_of(contract, name, where=where))
        if kind is None:
            raise Invalid(
                f"{column.contract}.{name} is a time and cannot be a feature",
                where=where,
                why="A model would learn the date itself, which never comes back.",
                next="leave it out",
            )
        known = known_column(contract, name)
        self._check_by(column.by, column.contract, known, where)
        key = (column.contract, column.by, known)
        fields = self.lookups.setdefault(key, [])
        if name not in fields:
            fields.append(name)
        within = None if column.within_s is None else _micros(column.within_s, "within", where, least=0)
        return Newest(lookup=list(self.lookups).index(key), field=name, within_us=within, kind=kind)

    def _windowed(self, column: Rolling, where: str) -> Windowed:
        contract = self._contract(column.contract, where)
        kind = kind_of_field(field_of(contract, column.field, where=where))
        if column.function != "count" and kind not in _NUMERIC:
            raise Invalid(
                f"{column.contract}.{column.field} is not a number, so it has no {column.function}",
                where=where,
                why="Texts and times can be counted, not added.",
                next=f"use {column.contract}.{column.field}.count(...)",
            )
        over = _micros(column.over_s, "over", where, least=1)
        known = known_column(contract, column.field)
        self._check_by(column.by, column.contract, known, where)
        key = (column.contract, column.by, known)
        fields = self.tails.setdefault(key, {})
        seen = fields.get(column.field)
        fields[column.field] = TailField(
            field=column.field,
            longest_us=max(over, seen.longest_us if seen else 0),
            extremes=column.function in ("min", "max") or bool(seen and seen.extremes),
            squares=column.function == "std" or bool(seen and seen.squares),
            sums=column.function in ("mean", "sum", "std") or bool(seen and seen.sums),
        )
        return Windowed(tail=list(self.tails).index(key), field=column.field, function=column.function, over_us=over)

    def _given(self, constant: Constant, where: str) -> Given:
        value = constant.value
        if (isinstance(value, float) and math.isnan(value)) or (isinstance(value, int) and abs(value) >= 2**63):
            raise Invalid(
                f"the constant {value} cannot stand in an expression",
                where=where,
                why="Constants are numbers of 64 bits, texts, or yes and no.",
                next="write a number that a column could hold",
            )
        return Given(value=value)

    def _computed(self, expression: Arithmetic | Comparison, where: str) -> Computed:
        left = self.value_of(expression.left, where=where)
        right = self.value_of(expression.right, where=where)
        numbers = [kind_of_value(side) in _NUMERIC for side in (left, right)]
        texts_compared = isinstance(expression, Comparison) and not any(numbers)
        if not (all(numbers) or texts_compared):
            raise Invalid(
                f"{kind_of_value(left)} {expression.op} {kind_of_value(right)} has no meaning",
                where=where,
                why="Arithmetic takes numbers; a comparison takes two numbers or two texts.",
                next="make both sides of one kind",
            )
        return Computed(op=expression.op, left=left, right=right)

    # --- what a column may use --------------------------------------------------------------------------------------

    def _contract(self, name: str, where: str) -> Any:
        for contract in (self.view.of, *self.view.contracts):
            if contract.name == name:
                return contract
        raise Invalid(
            f"the view does not know the contract {name!r}",
            where=where,
            why="A view lists every contract that its columns read.",
            next="declare the view with tt.features(...), which collects them",
        )

    def _own_contract(self, contract: str, field: str, where: str) -> None:
        if contract != self.view.of.name:
            raise Invalid(
                f"{contract}.{field} is not a field of {self.view.of.name}",
                where=where,
                why=f"A row of {self.view.of.name} has many rows of {contract} beside it; one must be chosen.",
                next=f"write {contract}.latest({field!r}, by=...) or {contract}.{field}.mean(over=..., by=...)",
            )

    def _needs(self, name: str, where: str) -> None:
        """Note a field that a request must bring; raise ``NotKnownYet`` when it cannot."""
        if not self._label and not known_when_decided(self.view, name):
            of = self.view.of.name
            late = late_column(self.view.of, name)
            raise NotKnownYet(
                f"{of}.{name} becomes known at {of}.{late or name}, after the decision",
                where=where,
                why="" if late else "It says when other fields become known, so it is not known before it has come.",
                next=f"use what earlier rows tell: {of}.{name}.mean(over='24h', by=...)"
                if field_of(self.view.of, name, where=where).kind is FieldKind.FLOAT
                else f"leave {of}.{name} out",
            )
        self.request[name] = None

    def _check_by(self, by: tuple[str, ...], contract_name: str, known: str, where: str) -> None:
        contract = self._contract(contract_name, where)
        for name in by:
            theirs = field_of(contract, name, where=where)
            ours = field_of(self.view.of, name, where=where)
            if theirs.kind not in _GROUPING or kind_of_field(theirs) != kind_of_field(ours):
                raise Invalid(
                    f"{contract_name} cannot be matched by {name!r}: {theirs.kind.value} there, {ours.kind.value} here",
                    where=where,
                    why="Rows are matched on equal texts, whole numbers, or yes and no.",
                    next="match by a key or a category that both contracts have under one name and kind",
                )
            self._needs(name, where)
            late = late_column(contract, name)
            if late is not None and late != known:
                raise NotKnownYet(
                    f"{contract_name}.{name} becomes known at {late}, not with the value that it groups",
                    where=where,
                    why="Grouping by it would use it before anybody knew it.",
                    next="group by a field that comes with the row",
                )


def _check_decided(view: FeatureViewSpec) -> None:
    where = view.where or f"features {view.name}"
    field = field_of(view.of, view.decided, where=where)
    if field.kind not in (FieldKind.TIME, FieldKind.EVENT_TIME):
        raise Invalid(
            f"{view.of.name}.{view.decided} is a {field.kind.value}, not a time",
            where=where,
            why="The moment of decision is a time column plus or minus a duration.",
            next=f"write decided={view.of.name}.{view.of.event_time}",
        )
    late = late_column(view.of, view.decided)
    if late is not None and not known_when_decided(view, view.decided):
        # Rows would be placed in time by what nobody knew: the newest fact then tells when a flight will have left.
        of = view.of.name
        known = "is known only when it has come" if late == view.decided else f"becomes known at {of}.{late}"
        raise NotKnownYet(
            f"the decision is counted from {of}.{view.decided}, which {known}",
            where=where,
            why="Nobody can wait for a moment that is known only later, and what is read at it tells when it was.",
            next=f"count from a time that comes with the row, for example {of}.{view.of.event_time}",
        )
    if not view.columns:
        raise Invalid("the view has no columns", where=where, why="There is nothing to learn from.", next="add columns")


def _check_names(view: FeatureViewSpec, columns: list[FeatureColumn]) -> None:
    seen: set[str] = set()
    for column in columns:
        name = column.name
        if name in seen or name in RESERVED or name.startswith(KEY_PREFIX):
            taken = "two columns are called" if name in seen else "a column cannot be called"
            raise Invalid(
                f"{taken} {name!r}",
                where=view.where or f"features {view.name}",
                why="Each column of a training frame needs a name of its own; "
                f"{', '.join(RESERVED)} and {KEY_PREFIX}* are taken.",
                next='remove one of them, or give a calculation another name with .named("...")',
            )
        seen.add(name)


def _micros(seconds: float, what: str, where: str, *, least: int) -> int:
    if not abs(seconds) < 9e9 or round(seconds * 1_000_000) < least:  # NaN is not smaller either
        raise Invalid(
            f"{what} is {seconds} seconds",
            where=where,
            why="A window and a greatest age are positive stretches of time.",
            next=f'write for example {what}="24h"',
        )
    return round(seconds * 1_000_000)
