"""Phase 9: why a decision was taken, and evidence of it that others can check without us.

In: the id of a decision, or a version and a position of the ledger. Out: the chain behind a decision, model cards whose
every value names its record, and evidence packs that verify offline. Changes nothing; what is missing is named.
"""

from fairlead.governance.api import routes
from fairlead.governance.card import model_card
from fairlead.governance.check import is_evidence, verify_evidence
from fairlead.governance.diff import diff
from fairlead.governance.level import level, levels
from fairlead.governance.pack import Evidence, evidence_pack
from fairlead.governance.records import (
    Card,
    CardRecord,
    CardTable,
    Check,
    Diff,
    Difference,
    DiffSection,
    Fact,
    Maturity,
    ProofOf,
    Row,
    Section,
    Used,
    Why,
)
from fairlead.governance.render import as_html, as_json, as_markdown
from fairlead.governance.why import why

__all__ = [
    "Card", "CardRecord", "CardTable", "Check", "Diff", "DiffSection", "Difference", "Evidence", "Fact", "Maturity",
    "ProofOf", "Row", "Section", "Used", "Why", "as_html", "as_json", "as_markdown", "diff", "evidence_pack",
    "is_evidence", "level", "levels", "model_card", "routes", "verify_evidence", "why",
]  # fmt: skip
