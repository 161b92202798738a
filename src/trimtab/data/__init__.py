"""Phase 1: read a source, hold it to its contract, set broken rows aside, keep the rest as a snapshot, describe it.

In: a ``SourceSpec`` and the user's module. Out: an immutable ``Snapshot`` with its rows, its profile and the rows that
broke their contract.
"""

from trimtab.data.api import SourceList, routes
from trimtab.data.check import check, refuse_future
from trimtab.data.conform import arrow_type, conform
from trimtab.data.content import content_digest, rows_of_file, to_parquet
from trimtab.data.delay import known_delay
from trimtab.data.errors import (
    ContractBroken,
    EmptySource,
    MissingColumn,
    MixedTimeZones,
    NotAFrame,
    SnapshotMissing,
    SourceFailed,
    SourceMissing,
    TooNew,
    WrongType,
)
from trimtab.data.parquet_file import parquet_in
from trimtab.data.profile import profile_table
from trimtab.data.read import extra_columns_of, read_source
from trimtab.data.records import Break, Checked, ColumnProfile, Delay, Profile, Snapshot
from trimtab.data.retention import SupersededSnapshots, needed_as_latest
from trimtab.data.snapshot import (
    Page,
    empty_aside,
    get_snapshot,
    keep_snapshot,
    latest_ids,
    latest_snapshot,
    list_snapshots,
    list_sources,
    load_snapshot,
    page_after,
    set_aside_rows,
    take_snapshot,
)
from trimtab.data.values import EXACT, value_text

__all__ = [
    "EXACT",
    "Break",
    "Checked",
    "ColumnProfile",
    "ContractBroken",
    "Delay",
    "EmptySource",
    "MissingColumn",
    "MixedTimeZones",
    "NotAFrame",
    "Page",
    "Profile",
    "Snapshot",
    "SnapshotMissing",
    "SourceFailed",
    "SourceList",
    "SourceMissing",
    "SupersededSnapshots",
    "TooNew",
    "WrongType",
    "arrow_type",
    "check",
    "conform",
    "content_digest",
    "empty_aside",
    "extra_columns_of",
    "get_snapshot",
    "keep_snapshot",
    "known_delay",
    "latest_ids",
    "latest_snapshot",
    "list_snapshots",
    "list_sources",
    "load_snapshot",
    "needed_as_latest",
    "page_after",
    "parquet_in",
    "profile_table",
    "read_source",
    "refuse_future",
    "routes",
    "rows_of_file",
    "set_aside_rows",
    "take_snapshot",
    "to_parquet",
    "value_text",
]  # fmt: skip
