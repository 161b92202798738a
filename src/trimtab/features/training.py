"""Compute a training frame: every row of the view's own contract with what was known at its moment of decision."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.declare import Label
from trimtab.features.blindness import label_columns
from trimtab.features.compile import KEY_PREFIX, compile_label, compile_view
from trimtab.features.expressions import column_of, constant_column, parts_of_times
from trimtab.features.keys import shared_codes, taken
from trimtab.features.kinds import kind_of_value
from trimtab.features.latest import newest_known
from trimtab.features.records import CompiledView, Computed, Given, Newest, Own, Part, Value, View, Windowed
from trimtab.features.rows import TIME_TYPE, Floats, Ints, Mask, Rows, numbers, rows_of
from trimtab.features.windows import KnownValues
from trimtab.kernel import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def training_frame(
    view: View,
    tables: Mapping[str, pa.Table],
    *,
    label: Label | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    known_by: datetime | None = None,
) -> pa.Table:
    """Return every row of the view's own contract, in its order, with the features that were known at its decision.

    Columns: ``key_<key>`` for each key, ``decided_at`` (``timestamp[us, UTC]``), the view's columns, and with a label
    ``label`` (bool for a comparison, else double) and ``label_known_at``, and ``label_final_at`` when a column of the
    row says when it is final. ``tables`` maps contract names to their rows, in any order; the order decides only
    between facts with equal event and known times, where the later row wins.

    ``since`` and ``until`` keep the rows with ``since <= decided_at < until``. With ``known_by``, facts and labels that
    became known later do not exist. Times without a zone are UTC. A row without a moment of decision keeps its own
    fields; its lookups and windows, counts included, are null. A row without a by-key, or with one that no fact has,
    finds nothing: null, and 0 for counts. A label is null when it is not known, is known after ``known_by``, or was
    known at the decision already, when there was nothing to predict. Raises ``NotKnownYet`` and ``LabelVisible`` for a
    view that could see what it must not, and ``TableProblem`` when a table is not what its contract says.
    """
    compiled = compile_view(view)
    spine = rows_of(compiled.view.of, tables)
    moment, decidable = decisions(compiled, spine)
    inside = _inside(moment, decidable, since, until)
    if not inside.all():
        spine, moment, decidable = spine.where(inside), moment[inside], decidable[inside]
    horizon = None if known_by is None else micros_of(known_by)
    frame = _Frame(compiled, tables, spine, moment, decidable, horizon)
    columns = frame.asked()
    for column in compiled.columns:
        columns[column.name] = frame.column(column.value)
    if label is not None:
        columns |= frame.labels(label)
    return pa.table(columns)


def label_frame(view: View, rows: pa.Table, label: Label, *, known_by: datetime | None = None) -> pa.Table:
    """Return the keys, ``decided_at`` and the label's columns of ``training_frame``, for all rows of its contract."""
    compiled = compile_view(view)
    tables = {compiled.view.of.name: rows}
    spine = rows_of(compiled.view.of, tables)
    moment, decidable = decisions(compiled, spine)
    frame = _Frame(compiled, tables, spine, moment, decidable, None if known_by is None else micros_of(known_by))
    return pa.table({**frame.asked(), **frame.labels(label)})


def decisions(compiled: CompiledView, spine: Rows) -> tuple[Ints, Mask]:
    """Return the moment of decision of each row, in microseconds, and which rows have one."""
    times, valid = spine.times(compiled.view.decided)
    return times + compiled.offset_us, valid


def micros_of(at: datetime) -> int:
    """Return a moment in microseconds since 1970; raise ``Invalid`` for one without a time zone."""
    if at.tzinfo is None:
        raise Invalid(
            f"{at.isoformat()} has no time zone",
            where="features",
            why="Every moment in Trimtab is an aware UTC time.",
            next="pass datetime(..., tzinfo=UTC)",
        )
    return (at - _EPOCH) // timedelta(microseconds=1)


def when(micros: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC time."""
    return _EPOCH + timedelta(microseconds=micros)


class _Frame:
    """One computation: the asking rows, and what several columns share (matched keys, found rows, sorted values)."""

    def __init__(
        self,
        compiled: CompiledView,
        tables: Mapping[str, pa.Table],
        spine: Rows,
        moment: Ints,
        decidable: Mask,
        horizon: int | None,
    ) -> None:
        self._compiled = compiled
        self._tables = tables
        self._spine = spine
        self._moment = moment
        self._decidable = decidable
        self._horizon = horizon
        self._facts: dict[str, Rows] = {}
        self._codes: dict[tuple[str, tuple[str, ...]], tuple[Ints, Ints, int]] = {}
        self._found: dict[int, Ints] = {}
        self._ends: dict[tuple[int, str, int], Ints] = {}
        self._known: dict[tuple[int, str], tuple[KnownValues, Ints]] = {}

    def asked(self) -> dict[str, pa.Array]:
        """Return which rows ask, and when each is decided."""
        keys = {f"{KEY_PREFIX}{key}": self._spine.values(key) for key in self._compiled.view.of.keys}
        return {**keys, "decided_at": pa.array(self._moment, mask=~self._decidable).cast(TIME_TYPE)}

    def column(self, value: Value) -> pa.Array:
        """Return one value for every asking row."""
        match value:
            case Own():
                return self._spine.values(value.field)
            case Part():
                micros, valid = self._spine.times(value.field)
                return pa.array(parts_of_times(value, micros), mask=~valid)
            case Newest():
                return self._newest(value)
            case Windowed():
                return self._windowed(value)
            case Given():
                return constant_column(value.value, self._spine.count)
            case Computed():
                kinds = (kind_of_value(value.left), kind_of_value(value.right))
                return column_of(value.op, self.column(value.left), self.column(value.right), kinds=kinds)
            case _:
                assert_never(value)

    def labels(self, label: Label) -> dict[str, pa.Array]:
        """Return the label's columns."""
        value, known = self.label(label)
        found = {"label": value, "label_known_at": known}
        if label.matures_at:
            found["label_final_at"] = self._spine.values(label.matures_at).cast(TIME_TYPE)
        return found

    def label(self, label: Label) -> tuple[pa.Array, pa.Array]:
        """Return the label of every row and when it became known; null where it must not be learnt from."""
        view = self._compiled.view
        known = np.full(self._spine.count, np.iinfo(np.int64).min)
        valid = np.ones(self._spine.count, np.bool_)
        for name in label_columns(view, label):
            times, there = self._spine.times(name)
            known, valid = np.maximum(known, times), valid & there
        value = self.column(compile_label(view, label.expression))
        usable = valid & self._decidable & (known > self._moment)
        if self._horizon is not None:
            usable &= known <= self._horizon
        if not pa.types.is_boolean(value.type) or label.task == "regression":
            value = value.cast(pa.float64(), safe=False) if not pa.types.is_boolean(value.type) else _as_floats(value)
        value = pc.if_else(pa.array(usable), value, pa.scalar(None, value.type))
        return value, pa.array(known, mask=~valid).cast(TIME_TYPE)

    def _newest(self, value: Newest) -> pa.Array:
        lookup = self._compiled.lookups[value.lookup]
        facts = self._rows(lookup.contract)
        event, happened = facts.times(facts.contract.event_time)
        if value.lookup not in self._found:
            known, valid = facts.times(lookup.known)
            theirs, ours, _ = self._shared(lookup.contract, lookup.by)
            self._found[value.lookup] = newest_known(
                key=np.where(valid & happened & self._exists(known), theirs, -1),
                known=known,
                event=event,
                row=np.arange(facts.count),
                asked_key=np.where(self._decidable, ours, -1),
                moment=self._moment,
            )
        rows = self._found[value.lookup]
        if value.within_us is not None and facts.count:
            rows = np.where((rows >= 0) & (self._moment - event[rows] <= value.within_us), rows, -1)
        return taken(facts.values(value.field), rows)

    def _windowed(self, value: Windowed) -> pa.Array:
        known, ours = self._values(value.tail, value.field)
        end = self._until(value, known, ours, 0)
        start = self._until(value, known, ours, value.over_us)
        found = known.aggregate(value.function, start, end)
        return (
            found
            if self._decidable.all()
            else pc.if_else(pa.array(self._decidable), found, pa.scalar(None, found.type))
        )

    def _until(self, value: Windowed, known: KnownValues, ours: Ints, before_us: int) -> Ints:
        place = (value.tail, value.field, before_us)
        if place not in self._ends:
            self._ends[place] = known.until(ours, self._moment - before_us)
        return self._ends[place]

    def _values(self, number: int, field: str) -> tuple[KnownValues, Ints]:
        if (number, field) not in self._known:
            tail = self._compiled.tails[number]
            facts = self._rows(tail.contract)
            times, valid = facts.times(tail.known)
            theirs, ours, size = self._shared(tail.contract, tail.by)
            values, present = values_of(facts, field)
            known = KnownValues(
                key=np.where(valid & present & self._exists(times), theirs, -1),
                known=times,
                values=values,
                size=size,
                where=f"contract {tail.contract}, field {field}",
            )
            self._known[number, field] = (known, np.where(self._decidable, ours, -1))
        return self._known[number, field]

    def _rows(self, contract: str) -> Rows:
        if contract not in self._facts:
            view = self._compiled.view
            spec = view.of if contract == view.of.name else view.contract(contract)
            whole = contract == view.of.name and self._spine.count == self._tables[contract].num_rows
            self._facts[contract] = self._spine if whole else rows_of(spec, self._tables)
        return self._facts[contract]

    def _shared(self, contract: str, by: tuple[str, ...]) -> tuple[Ints, Ints, int]:
        if (contract, by) not in self._codes:
            self._codes[contract, by] = shared_codes(self._rows(contract), self._spine, by)
        return self._codes[contract, by]

    def _exists(self, known: Ints) -> Mask | bool:
        return True if self._horizon is None else known <= self._horizon


def values_of(facts: Rows, field: str) -> tuple[Floats, Mask]:
    """Return a field as floats with a mask of what is there; of texts and times only the mask means something."""
    column = facts.values(field)
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return numbers(column)
    return np.zeros(len(column)), np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)


def _inside(moment: Ints, decidable: Mask, since: datetime | None, until: datetime | None) -> Mask:
    inside = np.ones(len(moment), np.bool_)
    if since is not None:
        inside &= decidable & (moment >= micros_of(since))
    if until is not None:
        inside &= decidable & (moment < micros_of(until))
    return inside


def _as_floats(column: pa.Array) -> pa.Array:
    return column.cast(pa.int64()).cast(pa.float64())
