"""The orchestrator under the whole loop: durable runs of steps, in worker processes, that survive any kill.

In: a ``PipelineSpec`` with params, submitted by someone for a reason. Out: each finished step's outputs, exactly once
accepted, with its attempts, logs and errors; what did not change is taken over from an earlier run.
"""

from trimtab.pipelines.api import RunPage, routes
from trimtab.pipelines.cancel import AlreadyFinished, cancel
from trimtab.pipelines.context import StepContext
from trimtab.pipelines.events import (
    PipelineCancelled,
    PipelineFinished,
    PipelineRetried,
    PipelineSubmitted,
    StepCached,
    StepFailed,
    StepFinished,
)  # fmt: skip
from trimtab.pipelines.find import get_pipeline_run, list_attempts, list_pipeline_runs
from trimtab.pipelines.frames import put_frame, read_frame
from trimtab.pipelines.guest import GuestAnswer, GuestContext
from trimtab.pipelines.lease import FenceLost
from trimtab.pipelines.logs import PIECE_BYTES, LogEnd, LogPiece, log_path, read_log, read_log_end
from trimtab.pipelines.pool import NoWorkersHere, WorkersFail, check_system
from trimtab.pipelines.process import below_supervisors, pids
from trimtab.pipelines.records import (
    Attempt,
    Outcome,
    PipelineRun,
    PipelineSpec,
    Progress,
    RunStatus,
    StepError,
    StepRun,
    StepSpec,
    StepStatus,
)  # fmt: skip
from trimtab.pipelines.retention import (
    EndedPipelineRuns,
    FailedOutputs,
    StepLogs,
    is_pipeline_run,
    named_by_run,
    needed_by_open_runs,
    writing_since,
)
from trimtab.pipelines.retry import NothingToRetry, retry
from trimtab.pipelines.runner import Runner
from trimtab.pipelines.submit import KeyTaken, submit, submit_in
from trimtab.pipelines.vouched import check_open_runs
from trimtab.pipelines.walls import Wall, hide_memory, walls

__all__ = [
    "PIECE_BYTES",
    "AlreadyFinished",
    "Attempt",
    "EndedPipelineRuns",
    "FailedOutputs",
    "FenceLost",
    "GuestAnswer",
    "GuestContext",
    "KeyTaken",
    "LogEnd",
    "LogPiece",
    "NoWorkersHere",
    "NothingToRetry",
    "Outcome",
    "PipelineCancelled",
    "PipelineFinished",
    "PipelineRetried",
    "PipelineRun",
    "PipelineSpec",
    "PipelineSubmitted",
    "Progress",
    "RunPage",
    "RunStatus",
    "Runner",
    "StepCached",
    "StepContext",
    "StepError",
    "StepFailed",
    "StepFinished",
    "StepLogs",
    "StepRun",
    "StepSpec",
    "StepStatus",
    "Wall",
    "WorkersFail",
    "below_supervisors",
    "cancel",
    "check_open_runs",
    "check_system",
    "get_pipeline_run",
    "hide_memory",
    "is_pipeline_run",
    "list_attempts",
    "list_pipeline_runs",
    "log_path",
    "named_by_run",
    "needed_by_open_runs",
    "pids",
    "put_frame",
    "read_frame",
    "read_log",
    "read_log_end",
    "retry",
    "routes",
    "submit",
    "submit_in",
    "walls",
    "writing_since",
]  # fmt: skip
