"""Phase 3, tracking: what was tried, how, on which data, and what came of it.

In: runs with parameters, metrics, tags, artifacts, models and data links, written straight to the store or over HTTP.
Out: runs that can be searched and compared, each sealed into the ledger when it ends.
"""

from trimtab.tracking.allowed import ALLOWED_TYPES, is_allowed_type
from trimtab.tracking.api import Experiments, routes
from trimtab.tracking.bounds import check_bounds
from trimtab.tracking.curve import Curve, metric_curve
from trimtab.tracking.directions import Direction, declared_direction
from trimtab.tracking.environment import capture_environment, environment_digest
from trimtab.tracking.errors import (
    ArtifactMissing,
    BadName,
    ExperimentMissing,
    FilterProblem,
    NotPackable,
    ParamChanged,
    RunMissing,
    RunNotRunning,
    Unsound,
)
from trimtab.tracking.graphs import check_graph
from trimtab.tracking.journal import log_artifact, log_batch
from trimtab.tracking.keeping import model_params
from trimtab.tracking.models import PackedModel, pack_model
from trimtab.tracking.process import this_process
from trimtab.tracking.reading import (
    find_artifact,
    get_artifact,
    get_metric,
    get_run,
    list_artifacts,
    list_experiments,
    list_models,
    read_artifact,
    read_console,
    runs_with_dataset,
)
from trimtab.tracking.recorder import RunRecorder, current_run
from trimtab.tracking.records import (
    Artifact,
    Batch,
    CodeState,
    DatasetLink,
    Environment,
    Experiment,
    FinishRun,
    InputSpec,
    LoggedModel,
    Measured,
    MetricPoint,
    OutputSpec,
    PointPage,
    Run,
    RunPage,
    RunStatus,
    Seal,
    Signature,
    StartRun,
)
from trimtab.tracking.retention import EndedTrackedRuns, is_tracked_run, needed_by_running
from trimtab.tracking.run import run, start_run
from trimtab.tracking.runs import close_run, find_lost, open_run, resume_run, tag_run
from trimtab.tracking.seal import check_seal
from trimtab.tracking.search import LIMIT, search_runs

__all__ = [
    "ALLOWED_TYPES",
    "LIMIT",
    "Artifact",
    "ArtifactMissing",
    "BadName",
    "Batch",
    "CodeState",
    "Curve",
    "DatasetLink",
    "Direction",
    "EndedTrackedRuns",
    "Environment",
    "Experiment",
    "ExperimentMissing",
    "Experiments",
    "FilterProblem",
    "FinishRun",
    "InputSpec",
    "LoggedModel",
    "Measured",
    "MetricPoint",
    "NotPackable",
    "OutputSpec",
    "PackedModel",
    "ParamChanged",
    "PointPage",
    "Run",
    "RunMissing",
    "RunNotRunning",
    "RunPage",
    "RunRecorder",
    "RunStatus",
    "Seal",
    "Signature",
    "StartRun",
    "Unsound",
    "capture_environment",
    "check_bounds",
    "check_graph",
    "check_seal",
    "close_run",
    "current_run",
    "declared_direction",
    "environment_digest",
    "find_artifact",
    "find_lost",
    "get_artifact",
    "get_metric",
    "get_run",
    "is_allowed_type",
    "is_tracked_run",
    "list_artifacts",
    "list_experiments",
    "list_models",
    "log_artifact",
    "log_batch",
    "metric_curve",
    "model_params",
    "needed_by_running",
    "open_run",
    "pack_model",
    "read_artifact",
    "read_console",
    "resume_run",
    "routes",
    "run",
    "runs_with_dataset",
    "search_runs",
    "start_run",
    "tag_run",
    "this_process",
]  # fmt: skip
