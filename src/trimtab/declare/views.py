"""Feature views: what a model may know about a row, and at which moment."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from trimtab.declare.asking import answers
from trimtab.declare.columns import Moment, NumberColumn, TimeColumn
from trimtab.declare.contracts import Contract, contract_of
from trimtab.declare.expressions import Column, Test, kind_of
from trimtab.declare.labels import label_of
from trimtab.declare.mistakes import BadView
from trimtab.declare.names import RESERVED, column_names
from trimtab.declare.places import here
from trimtab.declare.records import (
    Arithmetic,
    Comparison,
    ContractSpec,
    Derived,
    FeatureViewSpec,
    Field,
    FieldKind,
    Latest,
    Operand,
    Rolling,
    TimePart,
)
from trimtab.declare.records import (
    Column as ColumnSpec,
)
from trimtab.declare.registry import note
from trimtab.declare.render import quoted, show, show_moment
from trimtab.declare.spelling import closest, is_name, said

if TYPE_CHECKING:
    import pandas as pd


class FeatureView:
    """A declared feature view. Made by ``tt.features``."""

    def __init__(self, spec: FeatureViewSpec) -> None:
        self._spec = spec
        note(self)

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def spec(self) -> FeatureViewSpec:
        """The view as a frozen value."""
        return self._spec

    def training(
        self,
        *,
        since: date | str | None = None,
        until: date | str | None = None,
        known_by: date | str | None = None,
        label: Test | NumberColumn | None = None,
    ) -> "pd.DataFrame":
        """Return the training frame, from the newest snapshot of each source: ``delay.training(since="2013-01-01")``.

        One row for each row of the view's own contract that is decided in ``[since, until)``, in its order:
        ``key_<key>``, ``decided_at``, the features as a train function gets them, and with a ``label``
        (``Flight.arr_delay > 15``) also ``label`` and ``label_known_at``. What became known after ``known_by`` (now)
        does not exist. Times without an offset are UTC. Needs pandas and a store; raises ``NotFound`` when a source
        has no snapshot yet.
        """
        wanted = None if label is None else label_of(label, self._spec)
        return answers().training(self._spec, label=wanted, since=since, until=until, known_by=known_by)

    def online(self, **keys: Any) -> "pd.DataFrame":
        """Return the one row that these keys name, as a served decision reads it: ``delay.online(flight_id=...)``.

        The columns are those of ``training``. The moment is the row's own moment of decision, and never later than
        now. Raises ``UnknownRow``, ``NotMaterialised``, ``BeforeHorizon``, and ``Invalid`` for a missing or wrong key.
        """
        return answers().online(self._spec, keys)

    def __repr__(self) -> str:
        spec = self._spec
        decided = show_moment(spec.of.name, spec.decided, spec.decided_offset_s)
        columns = ", ".join(show(column) for column in spec.columns)
        owner = f", owner={quoted(spec.owner)}" if spec.owner else ""
        return f"tt.features({quoted(spec.name)}, of={spec.of.name}, decided={decided}, columns=[{columns}]{owner})"


def features(
    name: str,
    *,
    of: type[Contract],
    decided: TimeColumn | Moment,
    columns: Sequence[Column],
    owner: str = "",
    description: str = "",
) -> FeatureView:
    """Declare what may be known about each row of ``of`` at the moment ``decided``, and in which columns.

    Own fields stand as they are (``Flight.carrier``), other rows' through ``latest`` and rolling aggregates; nothing
    that becomes known after ``decided`` is ever seen. Raises ``BadView``.
    """
    where = here()
    spine = contract_of(of)
    if not is_name(name):
        raise BadView(
            f"{name!r} cannot name a feature view",
            where=where,
            why="A name starts with a letter and holds letters, digits and _.",
            next='write for example tt.features("delay", ...)',
        )
    field, offset_s = _moment(decided, spine, where)
    checking = _Checking(spine, where)
    given = _listed(columns, where)
    specs = tuple(checking.column(column) for column in given)
    checking.names(specs)
    contracts = dict.fromkeys([spine, *(contract for column in given for contract in column.contracts)])
    spec = FeatureViewSpec(
        name=name, of=spine, decided=field, decided_offset_s=offset_s, columns=specs, contracts=tuple(contracts),
        owner=said(owner, "owner", most=200), description=said(description, "description"), where=where,
    )  # fmt: skip
    return FeatureView(spec)


def _moment(decided: object, spine: ContractSpec, where: str) -> tuple[str, float]:
    if not isinstance(decided, TimeColumn | Moment):
        raise BadView(
            f"decided={decided!r} is not a moment",
            where=where,
            why=f"A decision about a row is taken at one of its times ({', '.join(_times(spine))}), or before it.",
            next=f"write decided={spine.name}.{spine.event_time} - tt.hours(2)",
        )
    if decided.contract.name != spine.name:
        raise BadView(
            f"decided={decided!r} is a time of {decided.contract.name}, and the view is of {spine.name}",
            where=where,
            why="The decision is about the view's own rows, so one of their times says when it is taken.",
            next=f"write decided={spine.name}.{spine.event_time}",
        )
    return decided.field.name, decided.offset_s if isinstance(decided, Moment) else 0.0


def _times(contract: ContractSpec) -> list[str]:
    return [field.name for field in contract.fields if field.kind in (FieldKind.EVENT_TIME, FieldKind.TIME)]


def _listed(columns: object, where: str) -> list[Column]:
    if isinstance(columns, Column | str) or not isinstance(columns, Sequence):
        raise BadView(
            f"columns={columns!r} is not a list",
            where=where,
            why="A view lists its columns in the order in which the model sees them.",
            next="write columns=[...]",
        )
    if not columns:
        raise BadView(
            "the view has no columns",
            where=where,
            why="A model that knows nothing about a row cannot tell it from another.",
            next="list at least one column, for example columns=[Flight.carrier]",
        )
    for column in columns:
        if not isinstance(column, Column):
            raise BadView(
                f"columns lists {column!r}, which is no column",
                where=where,
                why="Columns are taken from contracts, so that a misspelt one is found at once.",
                next=f"write Flight.{column}" if is_name(column) else "write for example Flight.carrier",
            )
    return list(columns)


class _Checking:
    """Holds each column against the view's own contract."""

    def __init__(self, spine: ContractSpec, where: str) -> None:
        self._spine = spine
        self._where = where

    def column(self, column: Column) -> ColumnSpec:
        """Return the column's spec. Raises ``BadView`` at the place where the column was written."""
        spec = column.spec
        if isinstance(spec, Arithmetic | Comparison):
            raise BadView(
                f"the column {show(spec)} has no name",
                where=column.where,
                why="A calculated column needs a name, under which it is served, shown and watched.",
                next=f'write ({show(spec)}).named("...")',
            )
        self._check(spec, column)
        return spec

    def names(self, specs: Sequence[ColumnSpec]) -> None:
        """Refuse two columns of one name. Raises ``BadView``."""
        seen: dict[str, ColumnSpec] = {}
        for spec in specs:
            for name in column_names(spec):
                if name in RESERVED or name.startswith("key_"):
                    raise BadView(
                        f"a column cannot be called {name!r}",
                        where=self._where,
                        why=f"{', '.join(RESERVED)} and key_... have their own meaning in a training frame.",
                        next="rename the field in its contract and source",
                    )
                if name in seen:
                    raise BadView(
                        f"two columns are called {name!r}",
                        where=self._where,
                        why=f"They are {show(seen[name])} and {show(spec)}.",
                        next="leave one of them out"
                        if seen[name] == spec
                        else "rename a field, or give one .named(...)",
                    )
                seen[name] = spec

    def _check(self, spec: ColumnSpec | Operand, column: Column) -> None:
        match spec:
            case Field():
                self._check_own(spec.contract, spec.field, column)
                field = self._spine.field(spec.field)
                if field is not None and kind_of(field) == "time":
                    raise BadView(
                        f"{show(spec)} is a time and cannot be a column as it stands",
                        where=column.where,
                        why="A model would learn the date itself, which never comes back.",
                        next=f"use a part of it: {show(spec)}.hour",
                    )
            case TimePart():
                self._check_own(spec.of.contract, spec.of.field, column)
            case Latest() | Rolling():
                self._check_by(spec, column)
            case Derived():
                self._check(spec.expression, column)
            case Arithmetic() | Comparison():
                self._check(spec.left, column)
                self._check(spec.right, column)
            case _:
                pass  # constants are always known

    def _check_own(self, contract: str, field: str, column: Column) -> None:
        if contract != self._spine.name:
            raise BadView(
                f"{contract}.{field} is not a field of {self._spine.name}",
                where=column.where,
                why=f"A row of {self._spine.name} has many rows of {contract} beside it; one must be chosen.",
                next=f'write {contract}.latest("{field}", by=...) or {contract}.{field}.mean(over="24h", by=...)',
            )

    def _check_by(self, spec: Latest | Rolling, column: Column) -> None:
        theirs = next(contract for contract in column.contracts if contract.name == spec.contract)
        for name in spec.by:
            ours, other = self._spine.field(name), theirs.field(name)
            names = [field.name for field in self._spine.fields]
            if ours is None or other is None:
                raise BadView(
                    f"by={name!r} is no field of {self._spine.name}",
                    where=column.where,
                    why=f"Rows of {spec.contract} are matched with rows of {self._spine.name} on what both have.",
                    next=closest(name, names) or f"declare {name} in {self._spine.name}, or match by another field",
                )
            if kind_of(ours) != kind_of(other):
                raise BadView(
                    f"by={name!r} is {ours.kind.value} in {self._spine.name} and {other.kind.value} in {spec.contract}",
                    where=column.where,
                    why="A text never equals a number, so no row would be found.",
                    next="give both fields one type",
                )
