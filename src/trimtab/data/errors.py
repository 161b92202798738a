"""What can be wrong with a source or its data, each with its own name.

Invalid
  SourceFailed      the function raised, or the query or file could not be read
  NotAFrame         the function returned None, or something that is no table
  EmptySource       there are no rows
  MissingColumn     a promised column is not there
  WrongType         a whole column holds another kind of value than promised
  MixedTimeZones    a time column names no single zone, or one that does not exist
  TooNew            every row lies in the future of the clock
  ContractBroken    too many rows break the contract, or too many values are missing
NotFound
  SourceMissing     the function or the file that the source names does not exist
  SnapshotMissing   there is no such snapshot
"""

from trimtab.kernel import Invalid, NotFound


class SourceFailed(Invalid):
    code = "data.source-failed"


class NotAFrame(Invalid):
    code = "data.not-a-frame"
    default_why = "A source gives a pandas, Polars or Arrow table."
    default_next = "end the function of source {source} with: return <the frame>"


class EmptySource(Invalid):
    code = "data.empty"
    default_why = "A snapshot of nothing can neither train nor serve a model."
    default_next = "look at what the source reads; the last good snapshot stays in force"


class MissingColumn(Invalid):
    code = "data.missing-column"


class WrongType(Invalid):
    code = "data.wrong-type"


class MixedTimeZones(Invalid):
    code = "data.mixed-time-zones"
    default_why = "The same text would mean different moments; only one reading can be right."
    default_next = "write every time of {column} in UTC, as 2013-03-01T12:00:00Z, or convert the column in the source"


class TooNew(Invalid):
    code = "data.too-new"
    default_why = "Nothing of it has happened yet, so the clock, the time zone or the unit of the times is wrong."
    default_next = "check {column} in the source, and the clock: trimtab doctor"


class ContractBroken(Invalid):
    """The data as a whole breaks its contract; nothing was written."""

    code = "data.contract-broken"


class SourceMissing(NotFound):
    code = "data.source-missing"


class SnapshotMissing(NotFound):
    code = "data.snapshot-missing"
    default_why = "It was never taken in this store."
    default_next = "trimtab get snapshots"


def first_line(error: BaseException) -> str:
    """Return what an error of the user's code or of a library says, on one line and not endless."""
    return next(iter(str(error).strip().splitlines()), "")[:300].rstrip(".") or "no message"
