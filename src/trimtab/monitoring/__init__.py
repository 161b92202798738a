"""Phase 7: watch what is served: input and prediction drift, outcomes that arrive late, performance, alerts.

In: the decision log, the outcomes, and the reference that a version carries. Out: windows, findings, estimates and
alerts. Everything is counted in fixed cells, so that merging is addition and memory is constant.
"""

from trimtab.monitoring.alerts import acknowledge, alerts, get_alert, silence, silences
from trimtab.monitoring.api import AlertAnswer, AlertPage, routes
from trimtab.monitoring.calibration import Finding
from trimtab.monitoring.cells import as_counted
from trimtab.monitoring.checking import check
from trimtab.monitoring.drift import ColumnDrift, Drift, drift, drift_findings
from trimtab.monitoring.drift_power import DriftPower, drift_power
from trimtab.monitoring.dry_run import DryColumn, DryRun, dry_run
from trimtab.monitoring.errors import AlertMissing, AlertOver, BadSpan, OutcomeRefused, OutcomeUnknown, TooManyOutcomes
from trimtab.monitoring.estimate import BLINDNESS, Estimated
from trimtab.monitoring.events import (
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    AlertsSilenced,
    OutcomesRecorded,
    ReferenceKept,
)
from trimtab.monitoring.expected import expected
from trimtab.monitoring.exposition import Metrics, expose
from trimtab.monitoring.figures import failures
from trimtab.monitoring.foreseen import Foreseen, foreseen
from trimtab.monitoring.influence import permuted_influence
from trimtab.monitoring.kept import get_reference, keep_reference
from trimtab.monitoring.level_power import LevelPower
from trimtab.monitoring.levels import LevelTest, level_power, level_test
from trimtab.monitoring.maturity import mature_until, maturity_of
from trimtab.monitoring.minding import mind
from trimtab.monitoring.notify import deliver, deliveries
from trimtab.monitoring.outcomes import bring_outcomes, record_outcomes
from trimtab.monitoring.paired import paired
from trimtab.monitoring.paired_power import FOUND, PairedPower, paired_power
from trimtab.monitoring.paired_test import SURE
from trimtab.monitoring.performance import lately, performance
from trimtab.monitoring.quality import usual_volume
from trimtab.monitoring.records import (
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
from trimtab.monitoring.reference import Reference, build_reference
from trimtab.monitoring.retention import OldDecisions, take_before
from trimtab.monitoring.shown import ShownFinding, shown_finding
from trimtab.monitoring.skew import Skew, measure_skew, measured_skew
from trimtab.monitoring.watch import watch, windows

__all__ = [
    "BLINDNESS", "FOUND", "SURE", "Alert", "AlertAcknowledged", "AlertAnswer", "AlertKind", "AlertMissing",
    "AlertOver", "AlertPage", "AlertRaised", "AlertResolved", "AlertsSilenced", "BadSpan", "Checked", "ColumnDrift",
    "Delivery", "Drift", "DriftPower", "DryColumn", "DryRun", "Estimate", "Estimated", "Failures", "Finding",
    "Foreseen", "LevelPower", "LevelTest", "Metrics", "OldDecisions", "Outcome", "OutcomeRefused", "OutcomeUnknown",
    "OutcomesRecorded", "Paired", "PairedPower", "Performance", "Recorded", "Reference", "ReferenceKept",
    "ShownFinding", "Sign", "Silence", "Skew", "SlicePerformance", "TooManyOutcomes", "WindowRow", "acknowledge",
    "alerts", "as_counted", "bring_outcomes", "build_reference", "check", "deliver", "deliveries", "drift",
    "drift_findings", "drift_power", "dry_run", "expected", "expose", "failures", "foreseen", "get_alert",
    "get_reference", "keep_reference", "lately", "level_power", "level_test", "mature_until", "maturity_of",
    "measure_skew", "measured_skew", "mind", "paired", "paired_power", "performance", "permuted_influence",
    "record_outcomes", "routes", "shown_finding", "silence", "silences", "take_before", "usual_volume", "watch",
    "windows",
]  # fmt: skip
