"""Pipeline runs and their logs, asked of a server."""

from datetime import datetime

from trimtab.client.project import answers
from trimtab.kernel import Remote
from trimtab.pipelines import (
    PIECE_BYTES,
    LogPiece,
    PipelineRun,
    RunPage,
    RunStatus,
    get_pipeline_run,
    list_pipeline_runs,
    read_log,
)

PAGE = 500


@answers(get_pipeline_run)
def _run(server: Remote, run_id: str) -> PipelineRun:
    return server.get(PipelineRun, "pipeline-runs", run_id)


@answers(list_pipeline_runs)
def _runs(
    server: Remote, *, pipeline: str | None = None, status: RunStatus | str | None = None,
    since: datetime | None = None, limit: int | None = 50, before: str | None = None,
) -> list[PipelineRun]:  # fmt: skip
    found, _ = server.listed(
        RunPage, "pipeline-runs", limit=limit, page=PAGE, cursor=before, pipeline=pipeline, status=status, since=since
    )
    return found


@answers(read_log)
def _log(
    server: Remote, run_id: str, step: str, *, attempt: int | None = None, offset: int = 0, limit: int = PIECE_BYTES
) -> LogPiece:
    return server.get(
        LogPiece, "pipeline-runs", run_id, "steps", step, "log", attempt=attempt, offset=offset, limit=limit
    )
