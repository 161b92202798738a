"""Find, for each asking row, the newest fact that was known at its moment: the point-in-time join."""

import duckdb
import numpy as np
import pyarrow as pa

from trimtab.features.rows import Ints

# A fact matters only if, when it became known, no known fact of its key had happened later. Among facts that became
# known at the same moment the one that happened last matters, then the later row. What is left has one row for each
# key and known time, so the ASOF join has no ties to break and answers the same on every run.
_SQL = """
WITH ordered AS (
    SELECT key, known, event, row,
           max(event) OVER (
               PARTITION BY key ORDER BY known, event, row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS newest_before,
           lead(known) OVER (PARTITION BY key ORDER BY known, event, row) AS next_known
    FROM facts
),
newest AS (
    SELECT key, known, row
    FROM ordered
    WHERE (newest_before IS NULL OR event >= newest_before) AND (next_known IS NULL OR next_known > known)
)
SELECT asked.n, newest.row
FROM asked ASOF JOIN newest ON asked.key = newest.key AND asked.moment >= newest.known
"""


def newest_known(*, key: Ints, known: Ints, event: Ints, row: Ints, asked_key: Ints, moment: Ints) -> Ints:
    """Return for each asking row the ``row`` of the newest fact with its key and ``known <= moment``, or -1.

    All arrays are int64, times in microseconds; keys below 0 match nothing. Newest is the greatest ``event``, then
    the greatest ``known``, then the greatest ``row``.
    """
    found = np.full(len(asked_key), -1, np.int64)
    wanted = np.flatnonzero(asked_key >= 0)
    usable = key >= 0
    if not len(wanted) or not usable.any():
        return found
    facts = pa.table({"key": key[usable], "known": known[usable], "event": event[usable], "row": row[usable]})
    asked = pa.table({"n": wanted, "key": asked_key[wanted], "moment": moment[wanted]})
    with duckdb.connect(":memory:") as connection:
        connection.register("facts", facts)
        connection.register("asked", asked)
        matched = connection.sql(_SQL).to_arrow_table()
    found[matched["n"].to_numpy()] = matched["row"].to_numpy()
    return found
