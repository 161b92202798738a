"""Where facts live: the database, the one door for changes, the ledger that explains them, and the blobs.

In: changes with their reasons. Out: rows, recorded events, verified bytes, and proofs that nothing was altered.
"""

from fairlead.store.blobs import Blobs, Damaged, LocalBlobs
from fairlead.store.change import JOURNAL, AlreadyDone, Change, Journal, NoEvent
from fairlead.store.clocks import clock_of
from fairlead.store.database import Database, NestedChange, metadata
from fairlead.store.events import Event, Recorded, Subject
from fairlead.store.failures import DatabaseDamaged, RowsDamaged
from fairlead.store.ledger.export import export_log
from fairlead.store.ledger.listing import event_at, events
from fairlead.store.ledger.notes import Checkpoint, PublicKey, SigningKey
from fairlead.store.ledger.prefix import inclusion_proofs, ledger_size, signed_prefix
from fairlead.store.ledger.prove import (
    ConsistencyProof,
    InclusionProof,
    consistency_proof,
    inclusion_proof,
    ledger_root,
)
from fairlead.store.ledger.records import Receipt, Signed
from fairlead.store.ledger.verify import Verification, VerificationKind, verify
from fairlead.store.ledger.witness import Witness
from fairlead.store.migrate import NewerDatabase
from fairlead.store.opened import Store, make_home, open_store
from fairlead.store.tables import Position

__all__ = [
    "JOURNAL", "AlreadyDone", "Blobs", "Change", "Checkpoint", "ConsistencyProof", "Damaged", "Database",
    "DatabaseDamaged", "Event", "InclusionProof", "Journal", "LocalBlobs", "NestedChange", "NewerDatabase", "NoEvent",
    "Position", "PublicKey", "Receipt", "Recorded", "RowsDamaged", "Signed", "SigningKey", "Store", "Subject",
    "Verification", "VerificationKind", "Witness", "clock_of", "consistency_proof", "event_at", "events", "export_log",
    "inclusion_proof", "inclusion_proofs", "ledger_root", "ledger_size", "make_home", "metadata", "open_store",
    "signed_prefix", "verify",
]  # fmt: skip
