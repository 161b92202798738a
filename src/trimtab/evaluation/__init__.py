"""Phase 4: measure a model on rows that it has not seen, and say whether that is good enough.

In: outcomes, predictions, columns to slice by, and the declared conditions. Out: metrics with intervals, slices,
fairness gaps, a paired comparison with the champion, and a verdict with one line of evidence for each condition, kept
under the digests of the model's bytes, the data and the code. Computed with NumPy alone; the same seed gives the same
numbers.
"""

from trimtab.evaluation.api import routes
from trimtab.evaluation.blocks import DAY_S, QUARTER_S, Blocks, blocks_from, blocks_of
from trimtab.evaluation.compare import OtherRows, compare
from trimtab.evaluation.evaluate import SLICE_MINIMUM, evaluate
from trimtab.evaluation.events import EvaluationSaved
from trimtab.evaluation.fairness import fairness_gap, gap_among, rates_of
from trimtab.evaluation.gate import judge, refused_conditions
from trimtab.evaluation.intervals import auc_interval, wilson, z_of
from trimtab.evaluation.latency import Latency, latency_of
from trimtab.evaluation.maturity import (
    Maturity,
    OutcomeDelay,
    curves_of,
    inverse_weights,
    known_share,
    measured_maturity,
)
from trimtab.evaluation.metrics import (
    CLASSIFICATION,
    LOWER_IS_BETTER,
    NEITHER_IS_BETTER,
    REGRESSION,
    Task,
    auc,
    direction_of,
    log_losses,
    metrics_of,
    range_of,
)
from trimtab.evaluation.records import (
    Comparison,
    Difference,
    Evaluation,
    EvaluationRecord,
    EvidenceLine,
    Fairness,
    Histogram,
    MetricValue,
    ReliabilityBin,
    Report,
    RocPoint,
    SavedEvaluation,
    Slice,
    SliceFinding,
    Verdict,
)
from trimtab.evaluation.resample import FEWEST_ROWS
from trimtab.evaluation.rows import NotMeasurable, rows_digest
from trimtab.evaluation.save import (
    EvaluationMissing,
    EvaluationPage,
    find_evaluation,
    get_evaluation,
    list_evaluations,
    read_report,
    save_evaluation,
)
from trimtab.evaluation.slices import gap, worst, worst_of
from trimtab.evaluation.wording import apart
from trimtab.evaluation.zero_variance import unvaried_mean

__all__ = [
    "CLASSIFICATION", "DAY_S", "FEWEST_ROWS", "LOWER_IS_BETTER", "NEITHER_IS_BETTER", "QUARTER_S", "REGRESSION",
    "SLICE_MINIMUM", "Blocks", "Comparison", "Difference", "Evaluation", "EvaluationMissing", "EvaluationPage",
    "EvaluationRecord",
    "EvaluationSaved", "EvidenceLine", "Fairness", "Histogram", "Latency", "Maturity", "MetricValue", "NotMeasurable",
    "OtherRows", "OutcomeDelay", "ReliabilityBin", "Report", "RocPoint", "SavedEvaluation", "Slice", "SliceFinding",
    "Task", "Verdict", "apart", "auc", "auc_interval", "blocks_from", "blocks_of", "compare", "curves_of",
    "direction_of", "evaluate", "fairness_gap", "find_evaluation", "gap", "gap_among", "get_evaluation",
    "inverse_weights", "judge", "known_share", "latency_of", "list_evaluations", "log_losses", "measured_maturity",
    "metrics_of", "range_of", "rates_of", "read_report", "refused_conditions", "routes", "rows_digest",
    "save_evaluation", "unvaried_mean", "wilson", "worst", "worst_of", "z_of",
]  # fmt: skip
