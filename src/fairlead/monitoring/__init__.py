"""Phase 7: watch what is served: input and prediction drift, outcomes that arrive late, performance, alerts.

In: the decision log, the outcomes, and the reference that a version carries. Out: windows, findings, estimates and
alerts. Everything is counted in fixed cells, so that merging is addition and memory is constant.
"""

from fairlead.monitoring.alerts import acknowledge, alerts, get_alert, silence, silences
from fairlead.monitoring.api import routes
from fairlead.monitoring.calibration import Finding
from fairlead.monitoring.checking import check
from fairlead.monitoring.drift import ColumnDrift, Drift, drift, drift_findings
from fairlead.monitoring.dry_run import DryColumn, DryRun, dry_run
from fairlead.monitoring.errors import AlertMissing, AlertOver, BadSpan, OutcomeRefused, OutcomeUnknown, TooManyOutcomes
from fairlead.monitoring.estimate import BLINDNESS, Estimated
from fairlead.monitoring.events import (
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    AlertsSilenced,
    OutcomesRecorded,
    ReferenceKept,
)
from fairlead.monitoring.expected import expected
from fairlead.monitoring.exposition import exposition
from fairlead.monitoring.figures import failures
from fairlead.monitoring.influence import permuted_influence
from fairlead.monitoring.kept import get_reference, keep_reference
from fairlead.monitoring.levels import LevelTest, level_test
from fairlead.monitoring.minding import mind
from fairlead.monitoring.notify import deliver, deliveries
from fairlead.monitoring.outcomes import bring_outcomes, record_outcomes
from fairlead.monitoring.paired import paired
from fairlead.monitoring.performance import performance
from fairlead.monitoring.records import (
    Alert,
    AlertKind,
    Checked,
    Delivery,
    Estimate,
    Failures,
    Outcome,
    Paired,
    Performance,
    Recorded,
    Sign,
    Silence,
    SlicePerformance,
    WindowRow,
)
from fairlead.monitoring.reference import Reference, build_reference
from fairlead.monitoring.skew import Skew, measure_skew, measured_skew
from fairlead.monitoring.watch import watch, windows

__all__ = [
    "BLINDNESS", "Alert", "AlertAcknowledged", "AlertKind", "AlertMissing", "AlertOver", "AlertRaised", "AlertResolved",
    "AlertsSilenced", "BadSpan", "Checked", "ColumnDrift", "Delivery", "Drift", "DryColumn", "DryRun", "Estimate",
    "Estimated", "Failures", "Finding", "LevelTest", "Outcome", "OutcomeRefused", "OutcomeUnknown", "OutcomesRecorded",
    "Paired", "Performance", "Recorded", "Reference", "ReferenceKept", "Sign", "Silence", "Skew", "SlicePerformance",
    "TooManyOutcomes", "WindowRow", "acknowledge", "alerts", "bring_outcomes", "build_reference", "check", "deliver",
    "deliveries", "drift", "drift_findings", "dry_run", "expected", "exposition", "failures", "get_alert",
    "get_reference", "keep_reference", "level_test", "measure_skew", "measured_skew", "mind", "paired", "performance",
    "permuted_influence",
    "record_outcomes", "routes", "silence", "silences", "watch", "windows",
]  # fmt: skip
