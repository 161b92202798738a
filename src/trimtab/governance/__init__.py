"""Phase 9: why a decision was taken, and evidence of it that others can check without us.

In: the id of a decision, or a version, a row, a source, and a position of the ledger. Out: the chain behind a decision,
lineage in both directions, model cards whose every value names its record, evidence packs that verify offline,
differences, and maturity by facts alone. Changes nothing; what is missing is named.
"""

from trimtab.governance.api import LedgerPosition, Maturities, Subjects, routes
from trimtab.governance.card import model_card
from trimtab.governance.check import verify_evidence
from trimtab.governance.diff import diff
from trimtab.governance.history import position_at
from trimtab.governance.level import level, levels
from trimtab.governance.lineage import dependent_decisions, lineage, lineage_subjects, reached
from trimtab.governance.pack import Evidence, evidence_pack
from trimtab.governance.records import (
    Card,
    CardRecord,
    CardTable,
    Check,
    Diff,
    Difference,
    DiffSection,
    Fact,
    Graph,
    LineageEdge,
    LineageNode,
    Maturity,
    ProofOf,
    Row,
    Section,
    Used,
    Why,
)
from trimtab.governance.render import as_html, as_json, as_markdown
from trimtab.governance.why import why

__all__ = [
    "Card",
    "CardRecord",
    "CardTable",
    "Check",
    "Diff",
    "DiffSection",
    "Difference",
    "Evidence",
    "Fact",
    "Graph",
    "LedgerPosition",
    "LineageEdge",
    "LineageNode",
    "Maturities",
    "Maturity",
    "ProofOf",
    "Row",
    "Section",
    "Subjects",
    "Used",
    "Why",
    "as_html",
    "as_json",
    "as_markdown",
    "dependent_decisions",
    "diff",
    "evidence_pack",
    "level",
    "levels",
    "lineage",
    "lineage_subjects",
    "model_card",
    "position_at",
    "reached",
    "routes",
    "verify_evidence",
    "why",
]  # fmt: skip
