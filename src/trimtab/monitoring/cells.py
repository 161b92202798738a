"""Fixed cells: where a column's values are counted, so that windows merge by addition and memory is constant.

A numeric column has the cells ``(-inf, e0), [e0, e1), .. [en, inf)`` and one for nulls; a NaN is a null. A column with
few different values has an edge at each of them and is counted exactly. Any other has reference quantiles and a fine
uniform grid, both on a lattice of a power of two, which makes counting one multiplication and one look-up. A category
or a bool has one cell for each value, one for values that the reference did not name, and one for nulls.
"""

from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.kernel import Invalid

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Kind = Literal["float", "int", "bool", "category"]
Values = Any
"""One column: a NumPy array, a ``pa.Array`` or a ``pa.ChunkedArray``."""

KINDS: tuple[Kind, ...] = ("float", "int", "bool", "category")
MOST_CELLS = 1024
TENTHS = 10
LATTICE_STEPS = 1 << 15
_BOOLS = ("false", "true")
_GREATEST = 1e300  # beyond it, differences of values overflow
_FEWEST_CELLS = 64
_BEYOND = 32
_COARSEST = 0.02  # a cell that holds more of the reference than this (and not one value) is too wide


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
    """Numeric: which edges are the reference's deciles; they bound the ten bins of PSI and Jensen-Shannon."""
    points: bool = False
    """Numeric: whether every value of the reference is an edge; other edges lie beyond its values."""
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

        Rounding keeps order, so a float32 that was an edge still is one when the edges are rounded too.
        """
        if width == np.float64:
            return self._edges
        with np.errstate(over="ignore"):
            return self._edges.astype(width)

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
    counted as unseen, in the reference too. Numbers beyond 1e300 are no edges.
    """
    if kind == "bool":
        return Cells(name=name, kind=kind, categories=_BOOLS)
    if kind == "category":
        return Cells(name=name, kind=kind, categories=_frequent(texts(values, name), at_most))
    found = numbers(values, name).astype(np.float64, copy=False)
    ordered = np.sort(np.clip(found[np.isfinite(found)], -_GREATEST, _GREATEST))
    if not ordered.size:
        return Cells(name=name, kind=kind)
    distinct = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
    if distinct.size < max(at_most, _FEWEST_CELLS):
        edges, deciles = _widened(distinct), _deciles(ordered)
        inner = np.unique(np.searchsorted(edges, deciles[deciles > distinct[0]]))
        return Cells(name=name, kind=kind, edges=tuple(edges.tolist()), tenths=tuple(inner.tolist()), points=True)
    edges = _spread(ordered, max(at_most, _FEWEST_CELLS))
    deciles = _snapped(_deciles(ordered), edges)
    places = np.unique(np.searchsorted(edges, deciles[deciles > edges[0]]))
    return Cells(name=name, kind=kind, edges=tuple(edges.tolist()), tenths=tuple(places.tolist()))


def place(cells: Cells, values: Values) -> NDArray[np.intp]:
    """Return the cell of each row."""
    if cells.numeric:
        found = numbers(values, cells.name)
        at = np.searchsorted(cells.edges_as(found.dtype), found, side="right")
        at[np.isnan(found)] = cells.size - 1
        return at
    return _codes(cells, texts(values, cells.name))


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


def _widened(distinct: Array) -> Array:
    """Return values with equal steps beyond them, for half their range on each side: what comes later may lie there."""
    if distinct.size < 2:
        return distinct
    half = (distinct[-1] - distinct[0]) / 2
    step = max(half / _BEYOND, float(np.diff(distinct).min()))
    steps = step * np.arange(1, int(half / step) + 1)
    return np.unique(np.concatenate((distinct[0] - steps, distinct, distinct[-1] + steps)))


def _deciles(ordered: Array) -> Array:
    """Return the nine inner deciles, as ``numpy.quantile`` does."""
    found: Array = np.quantile(ordered, np.arange(1, TENTHS) / TENTHS)
    return found


def lattice_step(low: float, high: float) -> float:
    """Return the power of two that divides ``low .. high`` into at most ``LATTICE_STEPS`` and over half as many."""
    exponent = int(np.ceil(np.log2((high - low) / LATTICE_STEPS)))
    return float(2.0**exponent)


def _spread(ordered: Array, at_most: int) -> Array:
    """Return edges at half as many quantiles, and on a uniform grid over the bulk and half its width on each side."""
    half = at_most // 2
    low, high = np.quantile(ordered, (0.001, 0.999))
    quantiles = np.quantile(ordered, np.linspace(0.0, 1.0, half - 1))
    quantiles = np.unique(np.concatenate((quantiles, _deciles(ordered))))
    if high <= low:
        return quantiles
    margin = (high - low) / 2
    grid = np.linspace(low - margin, high + margin, at_most - 1 - half - TENTHS)
    step = lattice_step(low - margin, high + margin)
    inside = quantiles[(quantiles > grid[0]) & (quantiles < grid[-1])]
    edges = np.unique(np.floor(np.concatenate((inside, grid)) / step) * step)
    if _fine(edges, ordered):
        return edges
    return np.unique(np.concatenate((quantiles, _geometric(ordered, grid.size) if ordered[0] >= 0 else grid)))


def _geometric(ordered: Array, size: int) -> Array:
    """Return edges in equal ratios, over the positive values and beyond them: for what reaches over powers of ten."""
    low, high = np.quantile(ordered[ordered > 0], (0.001, 0.999))
    beyond = (high / low) ** 0.25
    found: Array = np.geomspace(low / beyond, high * beyond, size)
    return found


def _fine(edges: Array, ordered: Array) -> bool:
    """Whether no cell on the lattice holds much of the reference, but for repeats of one value."""
    bounds = np.searchsorted(ordered, edges)
    for i in np.flatnonzero(np.diff(bounds) > _COARSEST * ordered.size):
        inside = ordered[bounds[i] : bounds[i + 1]]
        if np.unique(inside, return_counts=True)[1].max() < inside.size / 2:
            return False
    return True


def _snapped(values: Array, edges: Array) -> Array:
    """Return the edges at or below values that were edges before they came onto the lattice."""
    found: Array = edges[np.maximum(np.searchsorted(edges, values, side="right") - 1, 0)]
    return found
