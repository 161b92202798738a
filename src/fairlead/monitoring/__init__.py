"""Phase 7: watch what is served: input and prediction drift, outcomes that arrive late, performance, alerts.

In: the decision log, the outcomes, and the reference that a version carries. Out: windows, findings, estimates and
alerts. Everything is counted in fixed cells, so that merging is addition and memory is constant.
"""

from fairlead.monitoring.drift import ColumnDrift, Drift, drift, drift_findings
from fairlead.monitoring.errors import BadSpan, OutcomeRefused, OutcomeUnknown, TooManyOutcomes
from fairlead.monitoring.events import OutcomesRecorded, ReferenceKept
from fairlead.monitoring.figures import failures
from fairlead.monitoring.kept import get_reference, keep_reference
from fairlead.monitoring.outcomes import bring_outcomes, record_outcomes
from fairlead.monitoring.paired import paired
from fairlead.monitoring.performance import performance
from fairlead.monitoring.records import (
    Estimate,
    Failures,
    Outcome,
    Paired,
    Performance,
    Recorded,
    SlicePerformance,
    WindowRow,
)
from fairlead.monitoring.reference import Reference, build_reference
from fairlead.monitoring.watch import watch, windows

__all__ = [
    "BadSpan", "ColumnDrift", "Drift", "Estimate", "Failures", "Outcome", "OutcomeRefused", "OutcomeUnknown",
    "OutcomesRecorded", "Paired", "Performance", "Recorded", "Reference", "ReferenceKept", "SlicePerformance",
    "TooManyOutcomes", "WindowRow", "bring_outcomes", "build_reference", "drift", "drift_findings", "failures",
    "get_reference", "keep_reference", "paired", "performance", "record_outcomes", "watch", "windows",
]  # fmt: skip
