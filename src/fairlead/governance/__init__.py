"""Phase 9: why a decision was taken, from the answer back to rows, model, code, evaluation and approval.

In: the id of a decision. Out: the chain behind it, each part verified, and what is missing named. Changes nothing.
"""

from fairlead.governance.api import routes
from fairlead.governance.records import Used, Why
from fairlead.governance.why import why

__all__ = ["Used", "Why", "routes", "why"]
