"""Match rows of two tables by the values of some columns, as numbers: equal values, equal number."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.features.rows import Ints, Rows

_MOST = 2**31


def shared_codes(facts: Rows, asking: Rows, by: Sequence[str]) -> tuple[Ints, Ints, int]:
    """Return one number for each fact, one for each asking row, and how many numbers there are.

    Numbers run from 0 in no particular order. A row without a value in any ``by`` column, and an asking row whose
    values no fact has, gets -1 and matches nothing. With no ``by`` columns every row has number 0.
    """
    theirs = np.zeros(facts.count, np.int64)
    ours = np.zeros(asking.count, np.int64)
    size = 1
    for name in by:
        fact_codes, values = facts.codes(name)
        own_codes, own_values = asking.codes(name)
        translated = pc.fill_null(pc.index_in(own_values, value_set=values), -1).to_numpy().astype(np.int64)
        own_codes = np.append(translated, -1)[own_codes]  # -1 takes the last, which is -1
        theirs = _join(theirs, fact_codes, len(values))
        ours = _join(ours, own_codes, len(values))
        size *= max(len(values), 1)
        if size > _MOST:
            theirs, ours, size = _renumber(theirs, ours)
    return theirs, ours, size


def _join(codes: Ints, more: Ints, size: int) -> Ints:
    joined: Ints = np.where((codes < 0) | (more < 0), -1, codes * size + more)
    return joined


def _renumber(theirs: Ints, ours: Ints) -> tuple[Ints, Ints, int]:
    present = np.unique(theirs[theirs >= 0])
    at = np.searchsorted(present, ours)
    found = (ours >= 0) & (at < len(present))
    found[found] = present[at[found]] == ours[found]
    facts = np.where(theirs < 0, -1, np.searchsorted(present, theirs))
    return facts, np.where(found, at, -1), len(present)


def taken(column: pa.Array, rows: Ints) -> pa.Array:
    """Return a column's values at row numbers; -1 gives null."""
    return column.take(pa.array(rows, mask=rows < 0))
