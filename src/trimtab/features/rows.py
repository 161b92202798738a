"""A contract's table, read column by column into the canonical form that features are computed from.

Times are int64 microseconds since 1970 in UTC (a time without zone is UTC); floats have no NaN (it is null) and no
-0.0 (it is 0.0), infinities stay; texts are plain strings; whole numbers are int64.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data import MixedTimeZones, WrongType, conform
from trimtab.declare import ContractSpec, FieldSpec
from trimtab.features.errors import TableProblem
from trimtab.features.known import field_of

Times = tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.bool_]]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

TIME_TYPE = pa.timestamp("us", "UTC")


class Rows:
    """The rows of one contract. Columns are converted when first asked for, and kept."""

    def __init__(self, contract: ContractSpec, table: pa.Table) -> None:
        self.contract = contract
        self.count: int = table.num_rows
        self._table = table
        self._values: dict[str, pa.Array] = {}
        self._times: dict[str, Times] = {}
        self._codes: dict[str, tuple[Ints, pa.Array]] = {}

    def values(self, name: str) -> pa.Array:
        """Return a column in its canonical Arrow type, as one array; times as ``timestamp[us, UTC]``."""
        if name not in self._values:
            field = field_of(self.contract, name, where=f"contract {self.contract.name}")
            self._values[name] = self._read(field)
        return self._values[name]

    def times(self, name: str) -> Times:
        """Return a time column as microseconds and as a mask of what is there (absent ones are 0 and False)."""
        if name not in self._times:
            column = self.values(name)
            if not pa.types.is_timestamp(column.type):
                raise self._wrong(name, f"{name} is no time")
            valid = np.ones(len(column), np.bool_) if column.null_count == 0 else _mask(pc.is_valid(column))
            micros = column.cast(pa.int64())
            self._times[name] = (pc.fill_null(micros, 0).to_numpy(), valid)
        return self._times[name]

    def codes(self, name: str) -> tuple[Ints, pa.Array]:
        """Return a grouping column as numbers into its distinct values; an absent value is -1."""
        if name not in self._codes:
            column = self.values(name)
            if pa.types.is_boolean(column.type):
                column = column.cast(pa.int64())
            encoded = column.dictionary_encode()
            indices = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
            self._codes[name] = (indices, encoded.dictionary)
        return self._codes[name]

    def where(self, mask: Mask) -> "Rows":
        """Return the rows of a mask, in their order."""
        return self if mask.all() else Rows(self.contract, self._table.filter(pa.array(mask)))

    def _column(self, name: str) -> pa.ChunkedArray:
        found = self._table.schema.get_all_field_indices(name)
        if len(found) != 1:
            raise TableProblem(
                f"the table of {self.contract.name} has {len(found) or 'no'} columns {name!r}",
                where=f"contract {self.contract.name}, field {name}",
                why="Features are computed from the columns that the contract promises.",
                next=f"give the source of {self.contract.name} a column {name!r}",
            )
        return self._table.column(found[0])

    def _read(self, field: FieldSpec) -> pa.Array:
        """Return a column as the contract means it, as a snapshot would hold it; raise ``TableProblem``."""
        column = self._column(field.name)
        try:
            found = conform(self.contract, field, column)
        except (WrongType, MixedTimeZones) as error:
            raise self._wrong(field.name, error.what) from None
        if found.wrong is not None and found.given is not None:
            example = str(found.given[int(np.flatnonzero(found.wrong)[0])].as_py())
            raise self._wrong(field.name, f"{field.name} holds {example[:60]!r}, promised a {field.kind.value}")
        return without_oddities(found.array) if pa.types.is_floating(found.array.type) else found.array

    def _wrong(self, name: str, what: str) -> TableProblem:
        return TableProblem(
            f"{self.contract.name}.{what}",
            where=f"contract {self.contract.name}, field {name}",
            why="The column is not of the kind that the contract promises.",
            next=f"convert {name!r} in the source of {self.contract.name}",
        )


def rows_of(contract: ContractSpec, tables: Mapping[str, pa.Table]) -> Rows:
    """Return the rows of a contract from the tables at hand; raise ``TableProblem`` when there is no such table."""
    table = tables.get(contract.name)
    if table is None:
        raise TableProblem(
            f"there is no table for the contract {contract.name}",
            where=f"contract {contract.name}",
            why="A feature view reads it.",
            next=f"pass tables={{{contract.name!r}: ...}}, or declare a source for {contract.name}",
        )
    return Rows(contract, table)


def without_oddities(column: pa.Array) -> pa.Array:
    """Return floats with NaN as null and -0.0 as 0.0."""
    values = pc.fill_null(column, 0.0).to_numpy() + 0.0
    absent = np.isnan(values)
    if column.null_count:
        absent |= ~_mask(pc.is_valid(column))
    return pa.array(values, mask=absent) if absent.any() else pa.array(values)


def numbers(column: pa.Array) -> tuple[Floats, Mask]:
    """Return a column of numbers, or of yes and no, as floats and as a mask of what is there."""
    valid = np.ones(len(column), np.bool_) if column.null_count == 0 else _mask(pc.is_valid(column))
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    values = column.to_numpy(zero_copy_only=False) if column.null_count == 0 else pc.fill_null(column, 0).to_numpy()
    return values.astype(np.float64, copy=False), valid


def _mask(column: pa.Array) -> Mask:
    found: Mask = column.to_numpy(zero_copy_only=False)
    return found
