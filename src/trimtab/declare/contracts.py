"""Contracts: what a table of facts promises, as a class whose annotations are its columns."""

import sys
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast, get_args, get_origin

from trimtab.declare.columns import By, LatestColumns, latest
from trimtab.declare.durations import DurationLike
from trimtab.declare.fields import FieldType, Key
from trimtab.declare.mistakes import BadContract, BadPromise, UnknownField
from trimtab.declare.places import field_lines, here, place, users_frame
from trimtab.declare.promises import Promise
from trimtab.declare.records import ContractSpec, FieldKind, FieldSpec
from trimtab.declare.spelling import closest

_TYPES = "tt.Key[str], tt.EventTime, tt.Time, tt.Float, tt.Int, tt.Bool, tt.Category or tt.Text"
_NEVER_MISSING = (FieldKind.KEY, FieldKind.EVENT_TIME)
_FITS = {
    "between": (FieldKind.FLOAT, FieldKind.INT),
    "one_of": (FieldKind.CATEGORY, FieldKind.TEXT, FieldKind.KEY),
}
_RESERVED = ("latest",)


class ContractType(type):
    """Makes a contract's class out of its annotations, and answers for fields that it does not have."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> "ContractType":
        promises = {key: value for key, value in namespace.items() if isinstance(value, Promise)}
        plain = {key: value for key, value in namespace.items() if key not in promises}
        cls = super().__new__(mcs, name, bases, plain, **options)
        if not any(isinstance(base, ContractType) for base in bases):
            return cls
        reading = _Reading(cls, promises)
        fields = reading.fields()
        spec = ContractSpec(name=name, fields=fields, description=_first_line(cls), where=reading.where)
        reading.check(spec)
        type.__setattr__(cls, "__contract__", spec)
        return cls

    def __setattr__(cls, name: str, value: object) -> None:
        if name.startswith("__"):
            super().__setattr__(name, value)
            return
        raise BadContract(
            f"{cls.__name__}.{name} cannot be set",
            where=here(),
            why="A contract is declared once, in its class body.",
            next=f"write the field into class {cls.__name__}",
        )

    def __call__(cls, *_: object, **__: object) -> NoReturn:
        raise BadContract(
            f"{cls.__name__}() makes no row",
            where=here(),
            why="A contract says what a table promises; its rows come from a source.",
            next=f"write @tt.source({cls.__name__}) above a function that returns the rows",
        )

    def __repr__(cls) -> str:
        spec = cast("ContractSpec | None", cls.__dict__.get("__contract__"))
        return f"<contract {spec.name}: {', '.join(field.name for field in spec.fields)}>" if spec else "tt.Contract"

    if not TYPE_CHECKING:  # A type checker reports unknown fields by itself.

        def __getattr__(cls, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(name)
            spec = cls.__dict__.get("__contract__")
            names = [field.name for field in spec.fields] if spec else []
            near = closest(name, names)
            raise UnknownField(
                f"{cls.__name__} has no field {name!r}",
                where=here(),
                why=f"Its fields are {', '.join(names)}." if names else "tt.Contract itself has no fields.",
                next=near.replace("write ", f"write {cls.__name__}.")
                or f"declare {name} in class {cls.__name__}, or use one of these",
            )


class Contract(metaclass=ContractType):
    """Base of contracts: each annotation of a subclass is a column, with its type and what it promises.

    A contract has at least one ``tt.Key`` and exactly one ``tt.EventTime``. Bare fields promise to be never missing
    (but ``tt.Time``, which promises nothing). Raises ``BadContract`` or ``BadPromise`` where the class is defined.
    """

    @classmethod
    def latest(cls, *fields: str, by: By, within: DurationLike | None = None) -> LatestColumns:
        """Give the newest row known at the decision with the same ``by`` values: a column for each of ``fields``.

        A row older than ``within`` (by its event time) counts as none. Raises ``BadColumn`` or ``UnknownField``.
        """
        return latest(contract_of(cls), fields, by=by, within=within)


def contract_of(contract: object) -> ContractSpec:
    """Return the frozen spec of a contract's class. Raises ``BadContract`` for anything else."""
    spec = contract.__dict__.get("__contract__") if isinstance(contract, ContractType) else None
    if isinstance(spec, ContractSpec):
        return spec
    raise BadContract(
        f"{contract!r} is not a contract",
        where=here(),
        why="A contract is a class that derives from tt.Contract.",
        next="write class Flight(tt.Contract): ... and pass Flight",
    )


class _Reading:
    """One class body being read: its annotations, its promises, and the lines they stand on."""

    def __init__(self, cls: ContractType, promises: dict[str, Promise]) -> None:
        frame = users_frame()
        self._cls = cls
        self._promises = promises
        self._file = frame.f_code.co_filename
        self._scope = ({**vars(sys.modules.get(cls.__module__, sys)), **frame.f_globals}, frame.f_locals)
        self._lines = field_lines(self._file, frame.f_lineno, cls.__name__)
        self.where = place(self._file, frame.f_lineno)

    def fields(self) -> tuple[FieldSpec, ...]:
        """Return the fields of the bases, then the body's own, and put a descriptor for each on the class."""
        fields: dict[str, FieldSpec] = {}
        for base in self._cls.__mro__[1:]:
            inherited = base.__dict__.get("__contract__")
            if inherited is not None:
                fields = {field.name: field for field in inherited.fields} | fields
        annotations = self._annotations()
        for name in self._promises:
            if name not in annotations:
                raise self._bad(
                    name, "has a promise and no type", "A field needs both.", f"write {name}: tt.Float = ..."
                )
        for name, annotation in annotations.items():
            fields[name] = self._field(name, annotation)
        return tuple(fields.values())

    def check(self, spec: ContractSpec) -> None:
        """Hold the fields against each other. Raises ``BadContract`` or ``BadPromise``."""
        if not spec.keys:
            raise BadContract(
                f"contract {spec.name} has no key",
                where=spec.where,
                why="Without a key no row can be told from another, corrected or looked up.",
                next="write for example flight_id: tt.Key[str]",
            )
        times = [field for field in spec.fields if field.kind is FieldKind.EVENT_TIME]
        if not times:
            raise BadContract(
                f"contract {spec.name} has no event time",
                where=spec.where,
                why="Every fact happened at some moment; features, training spans and drift depend on it.",
                next="write for example at: tt.EventTime",
            )
        if len(times) > 1:
            raise BadContract(
                f"contract {spec.name} has {len(times)} event times: {', '.join(field.name for field in times)}",
                where=times[1].where,
                why="A row is one fact, which happened once.",
                next=f"write {times[1].name}: tt.Time",
            )
        for field in spec.fields:
            self._check_known_at(spec, field)

    def _annotations(self) -> dict[str, Any]:
        try:
            found = dict(self._cls.__annotations__)
        except NameError as error:  # since Python 3.14 annotations are evaluated here
            raise self._bad(
                str(error.name), "is not defined", f"Python says: {error}.", "import it, or correct its name"
            ) from None
        return {name: self._evaluated(name, value) for name, value in found.items()}

    def _evaluated(self, name: str, annotation: Any) -> Any:
        """Return an annotation as an object; ``from __future__ import annotations`` leaves its text."""
        if not isinstance(annotation, str):
            return annotation
        try:
            return eval(annotation, *self._scope)  # noqa: S307  the text is the user's own source code
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            raise self._bad(
                name, f"has the type {annotation}, which Python cannot find", f"It says: {error}.", f"write {_TYPES}"
            ) from None

    def _field(self, name: str, annotation: Any) -> FieldSpec:
        kind, value_type = self._type(name, annotation)
        if name.startswith("_") or name in _RESERVED:
            raise self._bad(
                name,
                "cannot be the name of a field",
                f"Names that start with _, and {', '.join(_RESERVED)}, are the language's own.",
                "rename the column in its source, for example latest_value",
            )
        if name in self._cls.__dict__:
            raise self._bad(
                name,
                f"is given {self._cls.__dict__[name]!r}, which is no promise",
                "A field has a type and, after the =, what its values promise.",
                "write tt.between(...), tt.one_of(...), tt.known_at(...) or tt.missing(...), or nothing",
            )
        descriptor = (get_origin(annotation) or annotation)()
        type.__setattr__(self._cls, name, descriptor)
        descriptor.__set_name__(self._cls, name)
        where = place(self._file, self._lines[name]) if name in self._lines else self.where
        promise = self._promises.get(name)
        if promise is None:
            missing = None if kind is FieldKind.TIME else 0.0
            return FieldSpec(name=name, kind=kind, value_type=value_type, missing=missing, where=where)
        self._check_fits(name, kind, value_type, promise)
        return FieldSpec(
            name=name, kind=kind, value_type=value_type, low=promise.low, high=promise.high, values=promise.values,
            missing=promise.missing, known_at=promise.known_at, where=where,
        )  # fmt: skip

    def _type(self, name: str, annotation: Any) -> tuple[FieldKind, Literal["text", "int"]]:
        origin = get_origin(annotation) or annotation
        if not (isinstance(origin, type) and issubclass(origin, FieldType) and origin is not FieldType):
            plain = {float: "tt.Float", int: "tt.Int", bool: "tt.Bool", str: "tt.Category"}.get(annotation)
            shown = annotation.__name__ if isinstance(annotation, type) else annotation
            raise self._bad(
                name,
                f"has the type {shown}, which is no field of a contract",
                f"The types of fields are {_TYPES}; what may be missing is said by tt.missing(share).",
                f"write {name}: {plain or 'tt.Float'}",
            )
        if origin is Key:
            of = get_args(annotation) or (str,)
            if of[0] not in (str, int):
                raise self._bad(
                    name,
                    f"is a key of {getattr(of[0], '__name__', of[0])}",
                    "Rows are named by texts or whole numbers, which are equal or not.",
                    f"write {name}: tt.Key[str] or tt.Key[int]",
                )
            return origin.kind, "int" if of[0] is int else "text"
        return origin.kind, "text"

    def _check_fits(self, name: str, kind: FieldKind, value_type: str, promise: Promise) -> None:
        fits = _FITS.get(promise.word)
        if fits is not None and (kind not in fits or value_type == "int"):
            kinds = " or ".join(f"tt.{one.value.title()}" for one in fits)
            raise BadPromise(
                f"{self._cls.__name__}.{name} is a {kind.value} and promises {promise!r}",
                where=promise.where,
                why=f"tt.{promise.word} is a promise about {kinds}.",
                next=f"change the type of {name}, or leave the promise out",
            )
        if kind in _NEVER_MISSING and (promise.missing or promise.known_at):
            raise BadPromise(
                f"{self._cls.__name__}.{name} is a {kind.value} and promises {promise!r}",
                where=promise.where,
                why="Keys and event times are never missing, and are known with their row.",
                next=f"leave the promise out, or declare {name} as another type",
            )

    def _check_known_at(self, spec: ContractSpec, field: FieldSpec) -> None:
        if field.known_at is None:
            return
        other = spec.field(field.known_at)
        times = [one.name for one in spec.fields if one.kind in (FieldKind.TIME, FieldKind.EVENT_TIME)]
        if other is None:
            raise BadPromise(
                f"{spec.name}.{field.name} is known at {field.known_at!r}, which is no field of {spec.name}",
                where=field.where,
                why="The moment at which a value becomes known is a time column of the same row.",
                next=closest(field.known_at, times).replace("write ", "write known_at ")
                or f"declare {field.known_at}: tt.Time in {spec.name}",
            )
        if other.name not in times:
            raise BadPromise(
                f"{spec.name}.{field.name} is known at {field.known_at!r}, which is a {other.kind.value}",
                where=field.where,
                why="The moment at which a value becomes known is a time.",
                next=f"name one of the times: {', '.join(times)}",
            )

    def _bad(self, name: str, what: str, why: str, next: str) -> BadContract:
        where = place(self._file, self._lines[name]) if name in self._lines else self.where
        return BadContract(f"{self._cls.__name__}.{name} {what}", where=where, why=why, next=next)


def _first_line(cls: type) -> str:
    doc = cls.__dict__.get("__doc__") or ""
    return doc.strip().partition("\n")[0]
