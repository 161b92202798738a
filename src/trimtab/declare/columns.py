"""The fields of contracts as columns: ``Flight.carrier``, ``Flight.scheduled.hour``, ``Flight.dep_delay.mean(...)``."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from trimtab.declare.durations import Duration, DurationLike, seconds_of
from trimtab.declare.expressions import Column, Number, kind_of
from trimtab.declare.mistakes import BadColumn, BadDuration, UnknownField
from trimtab.declare.places import here
from trimtab.declare.records import ContractSpec, Field, FieldSpec, Latest, Rolling, TimePart
from trimtab.declare.render import show_moment
from trimtab.declare.spelling import closest

By = str | Sequence[str]
Function = Literal["mean", "sum", "count", "min", "max", "std"]
Part = Literal["minute", "hour", "weekday", "day", "month", "quarter", "year"]


class FieldColumn(Column):
    """A field of a contract: ``Flight.carrier``."""

    __slots__ = ("contract", "field")

    def __init__(self, contract: ContractSpec, field: FieldSpec) -> None:
        super().__init__(Field(contract=contract.name, field=field.name), kind=kind_of(field), contracts=(contract,))
        self.contract = contract
        self.field = field

    def count(self, *, over: DurationLike, by: By) -> Number:
        """How many values became known in the last ``over`` before the decision, in rows with the same ``by``."""
        return self._rolling("count", over, by)

    def _rolling(self, function: Function, over: DurationLike, by: By) -> Number:
        spec = Rolling(
            contract=self.contract.name,
            field=self.field.name,
            function=function,
            over_s=seconds_of(over, what="over"),
            by=by_of(by, self.contract),
        )
        return Number(spec, kind="number", contracts=(self.contract,))

    if not TYPE_CHECKING:  # A type checker reports a missing method by itself.

        def _refuse_mean(self, *_: object, **__: object) -> NoReturn:
            raise BadColumn(
                f"{self!r} is a {self.field.kind.value}, which has no mean, sum, least or greatest value",
                where=here(),
                why="A rolling aggregate adds or ranks numbers; anything can be counted.",
                next=f'write {self!r}.count(over="24h", by=...), or declare {self.field.name} as tt.Float',
            )

        mean = sum = min = max = std = _refuse_mean


class NumberColumn(FieldColumn, Number):
    """A number, or a yes or no, of a contract; it also has rolling aggregates over time."""

    __slots__ = ()

    def mean(self, *, over: DurationLike, by: By) -> Number:
        """Mean of the values that became known in the last ``over``, in rows with the same ``by``."""
        return self._rolling("mean", over, by)

    def sum(self, *, over: DurationLike, by: By) -> Number:
        """Sum of the values that became known in the last ``over``, in rows with the same ``by``."""
        return self._rolling("sum", over, by)

    def min(self, *, over: DurationLike, by: By) -> Number:
        """Least value that became known in the last ``over``, in rows with the same ``by``."""
        return self._rolling("min", over, by)

    def max(self, *, over: DurationLike, by: By) -> Number:
        """Greatest value that became known in the last ``over``, in rows with the same ``by``."""
        return self._rolling("max", over, by)

    def std(self, *, over: DurationLike, by: By) -> Number:
        """Sample standard deviation of the values (at least two) that became known in the last ``over``."""
        return self._rolling("std", over, by)


class CategoryColumn(FieldColumn):
    """A category, text or key of a contract: compared with ``==`` and ``!=``, and counted."""

    __slots__ = ()


class TimeColumn(FieldColumn):
    """A time of a contract: its calendar parts, in UTC, are columns; with a duration it makes a moment."""

    __slots__ = ()

    @property
    def minute(self) -> Number:
        """Minute of the hour, 0 to 59."""
        return self._part("minute")

    @property
    def hour(self) -> Number:
        """Hour of the day in UTC, 0 to 23."""
        return self._part("hour")

    @property
    def weekday(self) -> Number:
        """Day of the week in UTC, 0 for Monday to 6 for Sunday."""
        return self._part("weekday")

    @property
    def day(self) -> Number:
        """Day of the month in UTC, 1 to 31."""
        return self._part("day")

    @property
    def month(self) -> Number:
        """Month of the year in UTC, 1 to 12."""
        return self._part("month")

    @property
    def quarter(self) -> Number:
        """Quarter of the year in UTC, 1 to 4."""
        return self._part("quarter")

    @property
    def year(self) -> Number:
        """Year in UTC."""
        return self._part("year")

    def __add__(self, duration: Duration | timedelta) -> "Moment":
        return Moment(self.contract, self.field).shifted(duration, sign=1)

    def __sub__(self, duration: Duration | timedelta) -> "Moment":
        return Moment(self.contract, self.field).shifted(duration, sign=-1)

    def _part(self, part: Part) -> Number:
        of = Field(contract=self.contract.name, field=self.field.name)
        return Number(TimePart(of=of, part=part), kind="number", contracts=self.contracts)


class Moment:
    """A time of a contract plus or minus a duration: ``Flight.scheduled - tt.hours(2)``."""

    __slots__ = ("contract", "field", "offset_s", "where")

    def __init__(self, contract: ContractSpec, field: FieldSpec, *, offset_s: float = 0.0) -> None:
        self.contract = contract
        self.field = field
        self.offset_s = offset_s
        self.where = here()

    def __repr__(self) -> str:
        return show_moment(self.contract.name, self.field.name, self.offset_s)

    def __add__(self, duration: Duration | timedelta) -> "Moment":
        return self.shifted(duration, sign=1)

    def __sub__(self, duration: Duration | timedelta) -> "Moment":
        return self.shifted(duration, sign=-1)

    def shifted(self, duration: Duration | timedelta, *, sign: Literal[1, -1]) -> "Moment":
        """Return this moment later (1) or earlier (-1). Raises ``BadColumn`` or ``BadDuration``."""
        if isinstance(duration, Column | Moment):
            raise BadColumn(
                f"{self!r} {'-' if sign < 0 else '+'} {duration!r} takes two times",
                where=here(),
                why="A moment of decision is one time and a fixed duration.",
                next="calculate the difference in the source, as a field of type tt.Float",
            )
        if isinstance(duration, timedelta):
            seconds = duration.total_seconds()
        elif isinstance(duration, Duration):
            seconds = duration.seconds
        else:
            raise BadDuration(
                f"{self!r} {'-' if sign < 0 else '+'} {duration!r} has no unit",
                where=here(),
                why="A time is moved by a duration, which says its unit.",
                next=f"write {self!r} {'-' if sign < 0 else '+'} tt.hours(2)",
            )
        return Moment(self.contract, self.field, offset_s=self.offset_s + sign * seconds)


class LatestColumns(Number):
    """The newest known row of a contract: one column for each of its fields. Of a single field, a value like others."""

    __slots__ = ()


def latest(
    contract: ContractSpec, fields: Sequence[Any], *, by: By, within: DurationLike | None = None
) -> LatestColumns:
    """Return the newest known values of some fields; the verb of ``Contract.latest``. Raises ``BadColumn``."""
    if not fields:
        raise BadColumn(
            f"{contract.name}.latest names no field",
            where=here(),
            why="It gives one column for each field that it names.",
            next=f"write {contract.name}.latest({_example(contract)!r}, by=...)",
        )
    found = [field_named(contract, name) for name in fields]
    for field in found:
        if kind_of(field) == "time":
            raise BadColumn(
                f"{contract.name}.{field.name} is a time, which is no feature",
                where=here(),
                why="A model would learn the date itself, which never comes back.",
                next=f"leave {field.name} out; the age of the row is limited by within=",
            )
    twice = [field.name for field in found if found.count(field) > 1]
    if twice:
        raise BadColumn(
            f"{contract.name}.latest names {twice[0]!r} twice",
            where=here(),
            why="Two columns would have the same name.",
            next=f"write {twice[0]!r} once",
        )
    spec = Latest(
        contract=contract.name,
        fields=tuple(field.name for field in found),
        by=by_of(by, contract),
        within_s=None if within is None else seconds_of(within, what="within"),
    )
    return LatestColumns(spec, kind=kind_of(found[0]), contracts=(contract,))


def by_of(by: By, contract: ContractSpec) -> tuple[str, ...]:
    """Return the names of the fields on which rows are matched. Raises ``UnknownField`` or ``BadColumn``."""
    given: Sequence[object] = [by] if isinstance(by, str | Column) else tuple(by)
    if not given:
        raise BadColumn(
            "by= names no field",
            where=here(),
            why="Rows are matched on the values of at least one field.",
            next=f"write for example by={contract.keys[0]!r}",
        )
    fields = [field_named(contract, name) for name in given]
    for field in fields:
        if field.kind in ("float", "time", "event_time"):
            raise BadColumn(
                f"{contract.name} cannot be matched by {field.name!r}, a {field.kind.value}",
                where=here(),
                why="Rows are matched on equal texts, whole numbers, or yes and no.",
                next="match by a key or a category",
            )
    return tuple(dict.fromkeys(field.name for field in fields))


def field_named(contract: ContractSpec, name: object) -> FieldSpec:
    """Return a contract's field. Raises ``UnknownField``, with the nearest name."""
    field = contract.field(name) if isinstance(name, str) else None
    if field is not None:
        return field
    names = [field.name for field in contract.fields]
    own = name.field.name if isinstance(name, FieldColumn) else None
    raise UnknownField(
        f"{contract.name} has no field {name!r}",
        where=here(),
        why="Fields are named by text here." if own else f"Its fields are {', '.join(names)}.",
        next=f'write "{own}"' if own else closest(str(name), names) or f"declare {name} in contract {contract.name}",
    )


def _example(contract: ContractSpec) -> str:
    plain = [field.name for field in contract.fields if kind_of(field) != "time" and field.name not in contract.keys]
    return (plain or list(contract.keys))[0]
