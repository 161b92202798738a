"""What a version was made on: every column and the prediction counted in cells, block by block.

A block is a day, or the natural window of the model. Keeping them apart makes ordinary day-to-day variation part of
what is expected: a window is unusual only when it is unusual among days.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.declare import parse_duration
from trimtab.kernel import Invalid
from trimtab.monitoring.cells import KINDS, Array, Cells, Counts, cells_for, numbers, place
from trimtab.monitoring.edges import unit_of
from trimtab.monitoring.influence import association_influence, predictions_apart
from trimtab.monitoring.partial_moments import of_blocks, of_bytes
from trimtab.monitoring.partial_moments import to_bytes as bytes_of_moments

PREDICTION = "prediction"
Width = Literal[1, 2, 4, 8]
_WIDTHS: tuple[Width, ...] = (1, 2, 4, 8)


class NoReference(Invalid):
    """Rows from which no reference can be made."""

    code = "monitoring.no-reference"


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a numeric column of the reference: n without nulls; ``deviation`` is that of the population."""

    n: int
    mean: float
    deviation: float
    low: float
    high: float


class Tally(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One column's counts, (blocks, cells), little-endian in the smallest width that holds them."""

    width: Width
    cells: int
    data: bytes
    moments: Moments | None = None
    influence: float = 1.0
    """How much the prediction depends on the column, 0 to 1: see ``influence.py``. 1 when nobody has measured it."""
    partial: bytes | msgspec.UnsetType = msgspec.UNSET
    """The partial moments of each block; references made before 2026-12 have none."""

    @cached_property
    def partial_blocks(self) -> Array | None:
        """Partial moments of each block, (blocks, 2): see ``partial_moments.py``. None where they were not kept."""
        return None if self.partial is msgspec.UNSET else of_bytes(self.partial)

    @cached_property
    def partial_total(self) -> Array | None:
        """Partial moments of the whole reference. Shape: (2,)."""
        return None if self.partial_blocks is None else self.partial_blocks.sum(axis=0)

    @cached_property
    def blocks(self) -> Counts:
        """Counts of each block. Shape: (blocks, cells)."""
        return np.frombuffer(self.data, dtype=f"<u{self.width}").reshape(-1, self.cells).astype(np.int64)

    @cached_property
    def total(self) -> Counts:
        """Counts of the whole reference. Shape: (cells,)."""
        found: Counts = self.blocks.sum(axis=0)
        return found


class Reference(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a version was made on. Made by ``build_reference``; ``to_bytes`` keeps it, ``reference_of`` reads it."""

    columns: tuple[Cells, ...]
    tallies: tuple[Tally, ...]
    """Parallel to ``columns``."""
    prediction: Cells
    predicted: Tally
    """Of the rows that the model had not learnt from; blocks that hold none are 0 throughout."""
    rows: int
    block_s: float
    starts: tuple[datetime, ...]
    """When each block begins; blocks without rows are left out."""
    since: datetime
    until: datetime
    """The first and the last moment of a row."""

    @property
    def predicted_rows(self) -> int:
        """How many rows the prediction is compared with."""
        return int(self.predicted.total.sum())

    def tally(self, name: str) -> Tally:
        """Return the counts of a column. Raises ``KeyError``."""
        return self._by_name[name][1]

    def cells(self, name: str) -> Cells:
        """Return the cells of a column. Raises ``KeyError``."""
        return self._by_name[name][0]

    @cached_property
    def _by_name(self) -> dict[str, tuple[Cells, Tally]]:
        pairs = zip(self.columns, self.tallies, strict=True)
        return {cells.name: (cells, tally) for cells, tally in pairs}


def build_reference(
    frame: pa.Table,
    *,
    kinds: Mapping[str, str],
    prediction: Any,
    at: pa.Array,
    block: str = "1d",
    held_out: Any = None,
    influence: Mapping[str, float] | None = None,
) -> Reference:
    """Count the rows that a version was made on, and its predictions for those that it had not learnt from.

    ``kinds`` names the columns to watch and their kind; kinds other than float, int, bool and category are left out.
    ``at`` is when each row was decided (timestamps, UTC), ``block`` the natural window. ``held_out`` says (true or
    false, a row) which rows the model had not learnt from; without it, none. What a model says of rows that it knows is
    surer than what it will say of new ones, so ``prediction`` is one number (a probability, or the predicted value) for
    each row that was held out. ``influence`` as from ``permuted_influence``; without it each column's is measured by
    association. Raises ``NoReference`` and ``NotCountable``.
    """
    moments_us = _microseconds(at)
    predictions = numbers(prediction, PREDICTION).astype(np.float64, copy=False)
    held = np.ones(frame.num_rows, np.bool_) if held_out is None else np.asarray(held_out, dtype=np.bool_)
    fits = frame.num_rows == moments_us.size == held.size and np.count_nonzero(held) == predictions.size
    if not predictions.size or not fits:
        raise NoReference(
            f"{frame.num_rows} rows, {predictions.size} predictions and {moments_us.size} moments",
            where="build_reference",
            why="A reference has at least one row with a prediction, and each row has the moment of its decision.",
            next="pass the frame, its decision times and the predictions of what was held out, in the same order",
        )
    block_s = _seconds(block)
    starts, blocks = np.unique(moments_us // round(block_s * 1e6), return_inverse=True)
    counted, apart = [], predictions_apart(predictions)
    for name, kind in kinds.items():
        if kind in KINDS:
            cells, places, tally = _counted(name, kind, frame.column(name), blocks, starts.size)
            measured = (influence or {}).get(name)
            if measured is None:
                measured = association_influence(cells, places[held], predictions, apart=apart)
            counted.append((cells, msgspec.structs.replace(tally, influence=measured)))
    prediction_cells, _, predicted = _counted(PREDICTION, "float", predictions, blocks[held], starts.size)
    return Reference(
        columns=tuple(cells for cells, _ in counted),
        tallies=tuple(tally for _, tally in counted),
        prediction=prediction_cells,
        predicted=predicted,
        rows=frame.num_rows,
        block_s=block_s,
        starts=tuple(_moment(int(start) * round(block_s * 1e6)) for start in starts),
        since=_moment(int(moments_us.min())),
        until=_moment(int(moments_us.max())),
    )


def to_bytes(reference: Reference) -> bytes:
    """Return the reference as bytes; the same reference gives the same bytes."""
    return msgspec.msgpack.encode(reference)


def reference_of(data: bytes) -> Reference:
    """Read what ``to_bytes`` wrote."""
    return msgspec.msgpack.decode(data, type=Reference)


def without(reference: Reference, first: int, last: int) -> Reference:
    """Return the reference without its blocks ``first`` to ``last``, as if those rows had not been there."""
    kept = np.ones(len(reference.starts), dtype=np.bool_)
    kept[first:last] = False
    tallies = tuple(_without(tally, kept) for tally in reference.tallies)
    predicted = _without(reference.predicted, kept)
    return msgspec.structs.replace(
        reference,
        tallies=tallies,
        predicted=predicted,
        rows=int((tallies[0] if tallies else predicted).total.sum()),
        starts=tuple(start for start, keep in zip(reference.starts, kept, strict=True) if keep),
    )


def _without(tally: Tally, kept: NDArray[np.bool_]) -> Tally:
    data = tally.blocks[kept].astype(f"<u{tally.width}").tobytes()
    blocks = tally.partial_blocks
    partial = msgspec.UNSET if blocks is None else bytes_of_moments(blocks[kept])
    return msgspec.structs.replace(tally, data=data, partial=partial)


def _counted(
    name: str, kind: Any, values: Any, blocks: NDArray[np.intp], n: int
) -> tuple[Cells, NDArray[np.intp], Tally]:
    cells = cells_for(name, kind, values)
    places = place(cells, values)
    flat = np.bincount(blocks * cells.size + places, minlength=n * cells.size)
    width = next(w for w in _WIDTHS if int(flat.max()) < 1 << 8 * w)
    data = flat.astype(f"<u{width}").tobytes()
    moments = _moments_of(numbers(values, name).astype(np.float64, copy=False)) if cells.numeric else None
    partial = bytes_of_moments(of_blocks(cells, values, blocks, n)) if cells.numeric else msgspec.UNSET
    return cells, places, Tally(width=width, cells=cells.size, data=data, moments=moments, partial=partial)


def _moments_of(values: Array) -> Moments | None:
    found = values[np.isfinite(values)]
    if not found.size:
        return None
    unit = unit_of(found)
    return Moments(
        n=found.size,
        mean=float((found / unit).mean()) * unit,
        deviation=float((found / unit).std()) * unit,
        low=float(found.min()),
        high=float(found.max()),
    )


def _seconds(block: str) -> float:
    found = parse_duration(block)
    if not found:
        raise NoReference(
            f"{block!r} is no block of time",
            where="build_reference: block",
            why="A block is a length of time, such as a day or an hour.",
            next='pass a duration, for example block="1d"',
        )
    return found


def _microseconds(at: Any) -> NDArray[np.int64]:
    values = at.combine_chunks() if isinstance(at, pa.ChunkedArray) else pa.array(at)
    if values.null_count:
        raise NoReference(
            f"{values.null_count} rows have no moment of decision",
            where="build_reference: at",
            why="Blocks of the reference are blocks of time.",
            next="pass the decision time of each row",
        )
    found = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(found.to_numpy(zero_copy_only=False))


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
