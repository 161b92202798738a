"""How late values become known: from a row's event time to the time that its field names with ``known_at``."""

import numpy as np
import pyarrow as pa

from trimtab.data.records import Delay
from trimtab.declare import ContractSpec


def known_delay(contract: ContractSpec, table: pa.Table) -> dict[str, Delay]:
    """Return, for each field with a ``known_at``, how long after the event time it became known.

    Rows that have no value, or that do not say when it became known, are left out; so is a field that has no such row.
    """
    happened = _microseconds(table.column(contract.event_time))
    delays: dict[str, Delay] = {}
    for field in contract.fields:
        if field.known_at is None:
            continue
        known = _microseconds(table.column(field.known_at))
        has_value = np.array(table.column(field.name).combine_chunks().is_valid())
        usable = ~np.isnan(known) & ~np.isnan(happened) & has_value
        if not usable.any():
            continue
        late_s = np.sort(known[usable] - happened[usable]) / 1e6
        median, p95, p99 = (float(late_s[round(q * (len(late_s) - 1))]) for q in (0.5, 0.95, 0.99))
        delays[field.name] = Delay(rows=len(late_s), median_s=median, p95_s=p95, p99_s=p99)
    return delays


def _microseconds(column: pa.ChunkedArray) -> np.ndarray:
    # Microseconds of our times lie below 2**53 until the year 2255, so floats hold them exactly, and nulls as NaN.
    return np.asarray(column.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
