"""What the ledger hears of data."""

from typing import ClassVar

from trimtab.store import Event, Subject


class SnapshotTaken(Event, frozen=True, kw_only=True):
    """A source was read, held to its contract, and found in this state, other than the last time."""

    type: ClassVar[str] = "data.snapshot-taken"

    snapshot_id: str
    source: str
    contract: str
    contract_digest: str
    digest: str
    set_aside_digest: str | None
    content_digest: str
    rows: int
    set_aside_rows: int
    previous_id: str | None

    def subjects(self) -> tuple[Subject, ...]:
        return (
            Subject("snapshot", self.snapshot_id, self.digest),
            Subject("source", self.source),
            Subject("contract", self.contract, self.contract_digest),
        )

    def after(self) -> str:
        return self.digest
