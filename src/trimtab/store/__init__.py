"""Where facts live: the database, the one door for changes, the ledger that explains them, and the blobs.

In: changes with their reasons. Out: rows, recorded events, verified bytes, and proofs that nothing was altered.
"""

from trimtab.store.blobs import Blobs, Damaged, LocalBlobs
from trimtab.store.change import JOURNAL, AlreadyDone, Change, Journal, NoEvent
from trimtab.store.clocks import clock_of
from trimtab.store.database import Database, NestedChange, metadata
from trimtab.store.events import Event, Recorded, Subject
from trimtab.store.failures import DatabaseDamaged, RowsDamaged
from trimtab.store.folding import fold, folded
from trimtab.store.ledger.export import export_log
from trimtab.store.ledger.listing import event_at, event_times, events
from trimtab.store.ledger.notes import Checkpoint, PublicKey, SigningKey
from trimtab.store.ledger.prefix import inclusion_proofs, ledger_size, signed_prefix
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
from trimtab.store.migrate import NewerDatabase
from trimtab.store.opened import Store, make_home, open_store
from trimtab.store.tables import Position

__all__ = [
    "JOURNAL", "AlreadyDone", "Blobs", "Change", "Checkpoint", "ConsistencyProof", "Damaged", "Database",
    "DatabaseDamaged", "Event", "InclusionProof", "Journal", "LocalBlobs", "NestedChange", "NewerDatabase", "NoEvent",
    "Position", "PublicKey", "Receipt", "Recorded", "RowsDamaged", "Signed", "SigningKey", "Store", "Subject",
    "Verification", "VerificationKind", "Witness", "clock_of", "consistency_proof", "event_at", "event_times",
    "events", "export_log", "fold", "folded", "inclusion_proof", "inclusion_proofs", "ledger_root", "ledger_size",
    "make_home", "metadata", "open_store", "signed_prefix", "verify",
]  # fmt: skip
