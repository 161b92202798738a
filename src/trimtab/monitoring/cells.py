"""Fixed cells: where a column's values are counted, so that windows merge by addition and memory is constant.

A numeric column has the cells ``(-inf, e0), [e0, e1), .. [en, inf)`` and one for nulls; a NaN is a null. A column with
few different values has an edge at each of them and is counted exactly; any other has edges at quantiles of the
reference and a grid over and far beyond it: see ``edges.py``. A category or a bool has one cell for each value, one for
values that the reference did not name, and one for nulls. A bool may come as such, as text, or as 0 and 1: models take
it as a number, and so it lies in the decision log.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.kernel import Invalid
from trimtab.monitoring.edges import MOST_CELLS, choose_edges

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Kind = Literal["float", "int", "bool", "category"]
Values = Any
"""One column: a NumPy array, a ``pa.Array`` or a ``pa.ChunkedArray``."""

KINDS: tuple[Kind, ...] = ("float", "int", "bool", "category")
_BOOLS = ("false", "true")
_TOLD_BY = 1_000


class NotCountable(Invalid):
    """Values that their column's cells cannot hold: text where numbers are expected."""

    code = "monitoring.not-countable"
    default_why = "Cells of a numeric column count numbers; those of a category count texts."
    default_next = "check the column's kind in its contract"


class Cells(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Where the values of one column are counted. Made by ``cells_for``."""

    name: str
    kind: Kind
    edges: tuple[float, ...] = ()
    """Numeric: ascending; cell ``i`` holds the values with exactly ``i`` edges at or below them."""
    tenths: tuple[int, ...] = ()
    """Numeric: which edges begin a bin of PSI and Jensen-Shannon: the reference's deciles, and both ends of the cell of
    a value that holds a tenth of it. What lies below the first of them is a bin too."""
    points: bool = False
    """Numeric: whether every value of the reference is an edge; other edges lie between and beyond its values."""
    is_single: bool | msgspec.UnsetType = msgspec.UNSET
    """Numeric: whether the reference's values are 32-bit floats (0.1 in such a column is 0.10000000149...). Those of a
    window are then rounded to 32 bits: clients write the same value as 0.1, and models round as well."""
    categories: tuple[str, ...] = ()
    """Category: by frequency in the reference, then by name. Bool: false, true."""

    @property
    def numeric(self) -> bool:
        return self.kind in ("float", "int")

    @property
    def size(self) -> int:
        """How many cells there are, with that of nulls, which is the last."""
        return len(self.edges) + 2 if self.numeric else len(self.categories) + 2

    def edges_as(self, width: Any) -> NDArray[Any]:
        """Return the edges in the width of the values that they are compared with.

        Rounding keeps order, so a float32 that was an edge still is one when the edges are rounded too; the cell of a
        single value stays one.
        """
        if width == np.float64:
            return self._edges
        with np.errstate(over="ignore"):
            found = self._edges.astype(width)
            single = np.flatnonzero(self._edges[1:] == np.nextafter(self._edges[:-1], np.inf))
            found[single + 1] = np.nextafter(found[single], width.type(np.inf))
        return np.maximum.accumulate(found)

    @property
    def middle(self) -> int:
        """Numeric: the edge about which partial moments are taken: where a bin begins, about the median."""
        return self.tenths[(len(self.tenths) - 1) // 2] if self.tenths else 0

    @cached_property
    def _edges(self) -> Array:
        return np.array(self.edges, dtype=np.float64)

    @cached_property
    def cell_of(self) -> dict[str | None, int]:
        """The cell of each category, and of None."""
        return {value: i for i, value in enumerate(self.categories)} | {None: self.size - 1}

    @property
    def unseen(self) -> int | None:
        """The cell of values that the reference did not name; None for a numeric column."""
        return None if self.numeric else len(self.categories)


def cells_for(name: str, kind: Kind, values: Values, *, at_most: int = MOST_CELLS) -> Cells:
    """Choose the cells of a column from its values in the reference; ``at_most`` cells before unseen and null.

    A numeric column may have a few more. A category with more values keeps the most frequent; the others are
    counted as unseen, in the reference too. Numbers beyond 1e300 count as infinite.
    """
    if kind == "bool":
        return Cells(name=name, kind=kind, categories=_BOOLS)
    if kind == "category":
        return Cells(name=name, kind=kind, categories=_frequent(texts(values, name), at_most))
    found = numbers(values, name).astype(np.float64, copy=False)
    known = found[~np.isnan(found)]
    edges = choose_edges(known, kind=kind, at_most=at_most)
    return Cells(
        name=name, kind=kind, edges=tuple(edges.at.tolist()), tenths=tuple(edges.bins.tolist()), points=edges.points,
        is_single=_are_single(known) or msgspec.UNSET,
    )  # fmt: skip


def place(cells: Cells, values: Values) -> NDArray[np.intp]:
    """Return the cell of each row."""
    if cells.numeric:
        found = numbers_in(cells, values)
        at = np.searchsorted(cells.edges_as(found.dtype), found, side="right")
        at[np.isnan(found)] = cells.size - 1
        return at
    return _codes(cells, texts(_words_of(values, cells.name) if cells.kind == "bool" else values, cells.name))


def numbers_in(cells: Cells, values: Values) -> NDArray[Any]:
    """Return values in the width in which they are compared with the edges. Raises ``NotCountable``."""
    found = numbers(values, cells.name)
    if cells.is_single is not True or found.dtype == np.float32:
        return found
    with np.errstate(over="ignore"):  # what is beyond the largest is infinite there
        return found.astype(np.float32)


def numbers(values: Values, name: str) -> NDArray[Any]:
    """Return values as float32 when they are that, else as float64; nulls are NaN. Raises ``NotCountable``."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    try:
        if isinstance(values, pa.ChunkedArray | pa.Array):
            if not pa.types.is_floating(values.type):
                values = values.cast(pa.float64(), safe=False)
            found = np.asarray(values.to_numpy(zero_copy_only=False))
        else:
            found = np.asarray(values)
        return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)
    except (TypeError, ValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise NotCountable(f"column {name} holds values that are no numbers", where=f"monitoring: {name}") from None


def as_counted(cells: Cells, values: Sequence[Any]) -> Values:
    """Return a column as the decision log holds it in the form that is counted: numbers, or texts of one spelling.

    Models take a bool as 0.0 or 1.0, and a whole number as 7.0 where one was missing; what is the same value is the
    same text.
    """
    if cells.numeric:
        return np.array(values, dtype=np.float64)
    try:
        found = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # of several types
        found = pa.array([None if value is None else _word(value, cells.kind) for value in values], pa.string())
    return texts(_words_of(found, cells.name) if cells.kind == "bool" else found, cells.name)


def _word(value: Any, kind: Kind) -> str:
    if isinstance(value, bool) or (kind == "bool" and value in (0, 1)):
        return _BOOLS[int(value)]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _words_of(values: Values, name: str) -> Values:
    """Return the numbers 0 and 1 as false and true, and other numbers as themselves; texts and bools as they are."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
            return values
    elif np.asarray(values).dtype.kind not in "iuf":
        return values
    found = numbers(values, name)
    known = np.where(found == 1, _BOOLS[1], np.where(found == 0, _BOOLS[0], found.astype(str)))
    return pa.array(known, mask=np.isnan(found))


def texts(values: Values, name: str) -> pa.DictionaryArray:
    """Return values as a dictionary of texts; bools are ``false`` and ``true``. Raises ``NotCountable``."""
    try:
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array(np.asarray(values).tolist(), from_pandas=True)
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        dictionary = values.dictionary.cast(pa.string())
    except (TypeError, ValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise NotCountable(f"column {name} holds values that are no categories", where=f"monitoring: {name}") from None
    return pa.DictionaryArray.from_arrays(values.indices, dictionary)


def _are_single(values: Array) -> bool:
    """Say whether numbers are 32-bit floats: each is one exactly, and some fraction is not what its short text says."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.array_equal(single.astype(np.float64), values):
        return False
    some = single[:: max(1, single.size // _TOLD_BY)]
    return any(float(str(value)) != float(value) for value in some[np.isfinite(some)] if value % 1)


def _codes(cells: Cells, encoded: pa.DictionaryArray) -> NDArray[np.intp]:
    entries = [cells.cell_of.get(text, len(cells.categories)) for text in encoded.dictionary.to_pylist()]
    lookup = np.array([*entries, cells.size - 1], dtype=np.intp)
    indices = pc.fill_null(encoded.indices.cast(pa.int64()), len(entries)).to_numpy(zero_copy_only=False)
    found: NDArray[np.intp] = lookup[indices]
    return found


def _frequent(encoded: pa.DictionaryArray, at_most: int) -> tuple[str, ...]:
    names = encoded.dictionary.to_pylist()
    indices = encoded.indices.drop_null().to_numpy(zero_copy_only=False)
    found: dict[str, int] = {}
    for name, n in zip(names, np.bincount(indices, minlength=len(names)).tolist(), strict=True):
        if n and name is not None:
            found[name] = found.get(name, 0) + n
    return tuple(sorted(found, key=lambda name: (-found[name], name))[:at_most])
