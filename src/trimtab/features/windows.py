"""Aggregate, for each asking row, the values that became known in a stretch of time up to its moment."""

from collections.abc import Callable
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from trimtab.features.exact import FRACTION_BITS, deviation_of, limbs_of, sums_of
from trimtab.features.rows import Floats, Ints

_ROOM = 2**62


class KnownValues:
    """Values of one field by key, in the order in which they became known.

    A window is then a stretch of neighbours: its ends are found by binary search, its sum is the difference of two
    exact prefix sums, its extremes come from a table of the extremes of all stretches of 1, 2, 4, ... values.
    """

    def __init__(self, *, key: Ints, known: Ints, values: Floats, size: int, where: str) -> None:
        usable = key >= 0
        if not usable.all():
            key, known, values = key[usable], known[usable], values[usable]
        self._where = where
        self._first = int(known.min()) if len(known) else 0
        # Positions in time of a key: 0 is before everything, `span - 1` is the last known time.
        self._span = (int(known.max()) - self._first if len(known) else 0) + 2
        self._times: Ints | None = None
        if max(size, 1) * self._span >= _ROOM:
            self._times = np.unique(known)
            self._span = len(self._times) + 1
        place = key * self._span + self._place_of(known)
        order = np.argsort(place, kind="stable")
        self._sorted = place[order]
        self._values = values[order]

    def until(self, key: Ints, moment: Ints) -> Ints:
        """Return for each asking row the end of the values of its key that were known at ``moment``."""
        wanted = np.where(key < 0, 0, key * self._span + self._place_of(moment))
        return np.where(key < 0, 0, np.searchsorted(self._sorted, wanted, side="right"))

    def aggregate(
        self, function: Literal["mean", "sum", "count", "min", "max", "std"], start: Ints, end: Ints
    ) -> pa.Array:
        """Return the aggregate of each stretch ``start..end``; null (0 for ``count``) where it is empty."""
        count = end - start
        if function == "count":
            return pa.array(count)
        if function == "std":
            return pa.array(list(map(deviation_of, count.tolist(), *self._units(start, end))), pa.float64())
        empty = count == 0
        if function in ("min", "max"):
            return pa.array(self._extreme(function, start, count), mask=empty)
        total = self._sum(start, end, int(count.max(initial=0)))
        if function == "mean":
            total = total / np.maximum(count, 1)
        return pa.array(total, mask=empty)

    def _place_of(self, time: Ints) -> Ints:
        if self._times is not None:
            return np.searchsorted(self._times, time, side="right")
        return np.clip(time, self._first - 1, self._first + self._span - 2) - (self._first - 1)

    @cached_property
    def _limbs(self) -> tuple[Ints, Ints]:
        return limbs_of(self._values, where=self._where)

    @cached_property
    def _prefix(self) -> tuple[Ints, Ints]:
        return _running(self._limbs[0]), _running(self._limbs[1])

    def _sum(self, start: Ints, end: Ints, longest: int) -> Floats:
        whole, fraction = self._prefix
        largest = int(np.abs(self._limbs[0]).max(initial=0)) + 1
        if longest * largest < _ROOM and longest < 2**22:
            # Running sums may wrap around, but their differences, which are this small, come out right.
            return sums_of(whole[end] - whole[start], fraction[end] - fraction[start])
        wide = [_running(limb.astype(object)) for limb in self._limbs]
        return sums_of(wide[0][end] - wide[0][start], wide[1][end] - wide[1][start])

    def _units(self, start: Ints, end: Ints) -> tuple[list[int], list[int]]:
        """Return the exact sums of units and of their squares; these outgrow 64 bits, so they are Python integers."""
        whole, fraction = (limb.tolist() for limb in self._limbs)
        units = [(w << FRACTION_BITS) + f for w, f in zip(whole, fraction, strict=True)]
        sums = list(accumulate(units, initial=0))
        squares = list(accumulate((u * u for u in units), initial=0))
        pairs = list(zip(start.tolist(), end.tolist(), strict=True))
        return [sums[e] - sums[s] for s, e in pairs], [squares[e] - squares[s] for s, e in pairs]

    def _extreme(self, function: str, start: Ints, count: Ints) -> Floats:
        pick: Callable[[Any, Any], Any] = np.minimum if function == "min" else np.maximum
        found = np.zeros(len(start))
        level, stretch = self._values, 1
        while True:
            # A stretch of n values is covered by two overlapping ones of the largest power of two up to n.
            here = np.flatnonzero((count >= stretch) & (count < 2 * stretch))
            found[here] = pick(level[start[here]], level[start[here] + count[here] - stretch])
            if 2 * stretch > int(count.max(initial=0)):
                return found
            level, stretch = pick(level[:-stretch], level[stretch:]), 2 * stretch


def _running(values: Any) -> Any:
    total = np.zeros(len(values) + 1, values.dtype)
    np.cumsum(values, out=total[1:])
    return total
