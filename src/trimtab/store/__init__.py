"""Where facts live: the database, the one door for changes, the ledger that explains them, and the blobs.

In: changes with their reasons. Out: rows, recorded events, verified bytes, and proofs that nothing was altered.
"""

from trimtab.store.admission import Closed, SchemaChanged
from trimtab.store.arriving import HoldsSomething
from trimtab.store.backup import Backup, BackupDamaged, back_up, backup_named, backups_in
from trimtab.store.blobs import Blobs, Damaged, LocalBlobs
from trimtab.store.change import JOURNAL, AlreadyDone, Change, Journal, NoEvent, ReasonMissing, check_reason
from trimtab.store.clocks import clock_of
from trimtab.store.database import Database, NestedChange, metadata
from trimtab.store.events import Event, Recorded, Subject
from trimtab.store.failures import DatabaseDamaged, KeyMissing, NotAuthentic, RowsDamaged, StoreAway
from trimtab.store.folding import fold, folded
from trimtab.store.governed import RowForged, all_rows, check_none_missing, check_rows, known_keys
from trimtab.store.holds import (
    ALL,
    Hold,
    active_holds,
    end_hold,
    list_holds,
    make_hold,
    the_hold,
)
from trimtab.store.identity import Identity, folder_of, identity_of
from trimtab.store.ledger.authentic import EventForged, HistoryDiffers
from trimtab.store.ledger.baselines import accept_history, check_shown, replace_key
from trimtab.store.ledger.export import Header as LedgerHeader
from trimtab.store.ledger.export import export_log
from trimtab.store.ledger.known_servers import server_at
from trimtab.store.ledger.listing import each_event, event_at, event_times, events
from trimtab.store.ledger.notes import Checkpoint, PublicKey, SigningKey
from trimtab.store.ledger.prefix import inclusion_proofs, ledger_counts, ledger_size, signed_prefix
from trimtab.store.ledger.prove import (
    ConsistencyProof,
    InclusionProof,
    consistency_proof,
    inclusion_proof,
    ledger_root,
)
from trimtab.store.ledger.records import Receipt, Signed
from trimtab.store.ledger.verify import Verification, VerificationKind, verify
from trimtab.store.ledger.witness import Witness
from trimtab.store.migrate import HistoryMissing, NewerDatabase
from trimtab.store.moving import move, name_of, reopen_here
from trimtab.store.opened import NoProject, Store, existing_store, has_project, make_home, no_project, open_store
from trimtab.store.restoring import rehearse, restore
from trimtab.store.retention import (
    ATTEMPTS,
    CLASSES,
    DECISIONS,
    GOVERNED_DECISIONS,
    LOGS,
    RUNS,
    SNAPSHOTS,
    AnotherCollects,
    Collection,
    Found,
    Old,
    Removed,
    Retention,
    Rule,
    collect,
    preview,
    why_gone,
)
from trimtab.store.sweep import MENTIONS, BlobsRemoved
from trimtab.store.tables import Position
from trimtab.store.told import told_of
from trimtab.store.triggers import foreign_objects

__all__ = [
    "ALL", "ATTEMPTS", "CLASSES", "DECISIONS", "GOVERNED_DECISIONS", "JOURNAL", "LOGS", "MENTIONS", "RUNS", "SNAPSHOTS",
    "AlreadyDone", "AnotherCollects", "Backup", "BackupDamaged", "Blobs", "BlobsRemoved", "Change", "Checkpoint",
    "Closed", "Collection", "ConsistencyProof", "Damaged", "Database", "DatabaseDamaged", "Event", "EventForged",
    "Found", "HistoryDiffers", "HistoryMissing", "Hold", "HoldsSomething", "Identity", "InclusionProof", "Journal",
    "KeyMissing", "LedgerHeader", "LocalBlobs", "NestedChange", "NewerDatabase", "NoEvent", "NoProject", "NotAuthentic",
    "Old", "Position", "PublicKey", "ReasonMissing", "Receipt", "Recorded", "Removed", "Retention", "RowForged",
    "RowsDamaged", "Rule", "SchemaChanged", "Signed", "SigningKey", "Store", "StoreAway", "Subject", "Verification",
    "VerificationKind", "Witness", "accept_history", "active_holds", "all_rows", "back_up", "backup_named",
    "backups_in", "check_none_missing", "check_reason", "check_rows", "check_shown",
    "clock_of", "collect", "consistency_proof",
    "each_event", "end_hold", "event_at", "event_times", "events", "existing_store", "export_log", "fold", "folded",
    "folder_of", "foreign_objects", "has_project", "identity_of", "inclusion_proof", "inclusion_proofs", "known_keys",
    "ledger_counts", "ledger_root", "ledger_size", "list_holds", "make_hold", "make_home", "metadata", "move",
    "name_of", "no_project", "open_store", "preview", "rehearse", "reopen_here", "replace_key", "restore",
    "server_at", "signed_prefix", "the_hold", "told_of", "verify", "why_gone",
]  # fmt: skip
