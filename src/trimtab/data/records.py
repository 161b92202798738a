"""The nouns of the data room: what was found in a column, which promises were broken, the snapshot kept."""

from datetime import datetime
from typing import NamedTuple

import msgspec
import pyarrow as pa


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What one column holds, as numbers small enough to keep for ever.

    Of numbers and times: ``min``, ``max``, ``mean``, ``std``, ``quantiles`` and a histogram of equal cells
    (``counts[i]`` lies from ``edges[i]`` up to ``edges[i + 1]``, the last cell with its upper edge). Times are seconds
    since 1970 in all of these. Whole numbers from 2**53 on, which no float tells from their neighbours, stay whole
    numbers in ``min``, ``max`` and ``quantiles``. Of categories and booleans: ``top``, the most frequent values with
    their counts. Nulls are counted and take no other part.
    """

    name: str
    kind: str
    rows: int
    nulls: int
    distinct: int
    min: int | float | None = None
    max: int | float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: dict[str, int | float] = {}
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    top: tuple[tuple[str, int], ...] = ()

    @property
    def missing(self) -> float:
        """The share of nulls, 0 to 1."""
        return self.nulls / self.rows if self.rows else 0.0


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of each column, and how many rows repeat the key and event time of an earlier one."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    duplicates: int = 0

    def column(self, name: str) -> ColumnProfile | None:
        return next((column for column in self.columns if column.name == name), None)


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """One promise that rows broke: how many, and the first of them in words.

    ``reason`` is the promise (``promised 0 to 120``); ``example`` the first row in words
    (``wind_speed 1048.36 at EWR, 2013-02-12 (promised 0 to 120)``).
    """

    field: str
    reason: str
    rows: int
    example: str

    @property
    def sentence(self) -> str:
        """The example, and how many rows more there are like it."""
        more = self.rows - 1
        return self.example + (f" and {more} {'row' if more == 1 else 'rows'} more" if more else "")


class Checked(NamedTuple):
    """A table after its contract was held against it. Both tables are in source order.

    ``kept`` has the contract's columns in its order and types. ``set_aside`` has the same columns, where a value that
    its type cannot hold is null, and ``reason``: one sentence for each broken promise.
    """

    kept: pa.Table
    set_aside: pa.Table
    breaks: tuple[Break, ...]


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """How long after its row's event time a value becomes known, in seconds, over the rows where it did."""

    rows: int
    median_s: float
    p95_s: float
    p99_s: float


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable state of a source: rows that keep the contract, those that were set aside, and what they hold.

    ``id`` follows from the source, the contract and the values, so the same data always gives the same id.
    ``digest`` and ``set_aside_digest`` name the Parquet files in the blob store. ``future_rows`` counts rows whose
    event time lay after ``taken_at``: a schedule may know them, a measurement should not.
    """

    id: str
    source: str
    contract: str
    contract_digest: str
    rows: int
    set_aside_rows: int
    digest: str
    set_aside_digest: str | None
    content_digest: str
    size_bytes: int
    types: dict[str, str]
    profile: Profile
    breaks: tuple[Break, ...] = ()
    extra_columns: tuple[str, ...] = ()
    event_time_from: datetime
    event_time_to: datetime
    future_rows: int
    taken_at: datetime
    taken_by: str
