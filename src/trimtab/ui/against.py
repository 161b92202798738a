"""What a column looks like now beside its reference: both in the same few bins, or category by category."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.monitoring import Reference, as_counted
from trimtab.serving import decision_tables
from trimtab.store import Store
from trimtab.ui.draw import Histogram, histogram_pair

Array = NDArray[np.float64]
BINS = 40
VALUES_AT_MOST = 48
"""A column with at most so many different values has a bin for each."""
CATEGORIES_AT_MOST = 12
PREDICTION = "prediction"


class CategoryLine(msgspec.Struct, frozen=True):
    """The share of one value in the reference and now."""

    value: str
    before: float
    now: float


class Against(msgspec.Struct, frozen=True):
    """One column now and in the reference: a pair of histograms, or shares by category.

    ``rows`` were read of the decision log, and ``without`` of them hold no value that can be drawn: none, or an
    infinite one.
    """

    name: str
    rows: int
    without: int
    histogram: Histogram | None
    categories: tuple[CategoryLine, ...]


def against_reference(
    store: Store, endpoint: str, reference: Reference, name: str, *, version: int, since: datetime, until: datetime
) -> Against:
    """Compare a column of a version's decisions, answered in [since, until), with its reference.

    ``name`` is a column of the reference, or ``prediction``. Raises ``KeyError`` for another.
    """
    whole = name == PREDICTION
    cells = reference.prediction if whole else reference.cells(name)
    before = (reference.predicted if whole else reference.tally(name)).total
    values = _values(store, endpoint, name, version=version, since=since, until=until)
    if cells.numeric:
        numbers = np.array([value for value in values if value is not None], dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        edges, counts, others = _binned(cells.edges, before, numbers, points=cells.points)
        pair = histogram_pair(edges, counts, name="now", other=others, other_name="reference") if numbers.size else None
        return Against(name, len(values), len(values) - numbers.size, pair, ())
    shares = _shares(cells.categories, before, as_counted(cells, values).to_pylist())
    return Against(name, len(values), sum(value is None for value in values), None, shares)


def _values(
    store: Store, endpoint: str, name: str, *, version: int, since: datetime, until: datetime
) -> list[Any]:  # fmt: skip
    """Return a column of the decision log. A prediction is a classifier's probability, or the number itself."""
    wanted = ("result_probability", "result_prediction") if name == PREDICTION else (f"feature_{name}",)
    found: list[Any] = []
    for table in decision_tables(store, endpoint, since=since, until=until):
        column = next((one for one in wanted if one in table.column_names), None)
        if column is not None and not pa.types.is_list(table[column].type):
            found += table.filter(pc.equal(table["version"], version))[column].to_pylist()
    return found


def _binned(
    cell_edges: Sequence[float], before: NDArray[np.int64], now: Array, *, points: bool
) -> tuple[list[float], list[float], list[float]]:
    """Return the edges of a few bins, how many values lie in each now, and how many did in the reference."""
    at = np.asarray(cell_edges, dtype=np.float64)
    if not at.size:
        return [], [], []
    inner = at if points else np.append((at[:-1] + at[1:]) / 2, at[-1])
    centres = np.concatenate([at[:1], inner])
    weights = before[: centres.size].astype(np.float64)
    values = _seen(at, before, now) if points else at
    if points and values.size <= VALUES_AT_MOST:
        edges = _around(values)
    else:
        low, high = _middle(centres, weights)
        if now.size:
            low, high = min(low, float(np.quantile(now, 0.01))), max(high, float(np.quantile(now, 0.99)))
        edges = np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])
    inside = (float(edges[0]), float(np.nextafter(edges[-1], edges[0])))
    counts, _ = np.histogram(np.clip(now, *inside), bins=edges)
    others, _ = np.histogram(np.clip(centres, *inside), bins=edges, weights=weights)
    return edges.tolist(), counts.tolist(), others.tolist()


def _seen(values: Array, before: NDArray[np.int64], now: Array) -> Array:
    """Return the values that the reference or the window holds."""
    found: Array = np.unique(np.concatenate([values[before[1 : values.size + 1] > 0], now]))
    return found if found.size else values[:1]


def _around(values: Array) -> Array:
    """Return edges half-way between values, so that each has a bin of its own."""
    if values.size == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    gaps = np.diff(values)
    edges: Array = np.concatenate(
        [[values[0] - gaps[0] / 2], values[:-1] + gaps / 2, [values[-1] + gaps[-1] / 2]]
    )  # fmt: skip
    return edges


def _middle(centres: Array, weights: Array) -> tuple[float, float]:
    """Return where all but the outermost half percent on each side lies."""
    total = weights.sum()
    if total <= 0:
        return float(centres[0]), float(centres[-1])
    below = np.cumsum(weights) / total
    last = centres.size - 1
    return (
        float(centres[min(int(np.searchsorted(below, 0.005)), last)]),
        float(centres[min(int(np.searchsorted(below, 0.995)), last)]),
    )


def _shares(
    categories: Sequence[str], before: NDArray[np.int64], now: Sequence[str | None]
) -> tuple[CategoryLine, ...]:
    """Return the most frequent categories of the reference, then all others together, then what it never saw."""
    total = max(int(before[:-1].sum()), 1)
    known = [value for value in now if value is not None]
    n = max(len(known), 1)
    counts = {name: known.count(name) for name in set(known)}
    shown = categories[:CATEGORIES_AT_MOST]
    lines = [CategoryLine(name, int(before[i]) / total, counts.get(name, 0) / n) for i, name in enumerate(shown)]
    rest = categories[CATEGORIES_AT_MOST:]
    if rest:
        others = sum(int(before[i]) for i in range(len(shown), len(categories)))
        lines.append(
            CategoryLine(f"{len(rest)} others", others / total, sum(counts.get(name, 0) for name in rest) / n)
        )  # fmt: skip
    new = sum(count for name, count in counts.items() if name not in set(categories))
    lines.append(CategoryLine("never seen before", int(before[len(categories)]) / total, new / n))
    return tuple(lines)
