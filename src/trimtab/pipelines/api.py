"""The HTTP routes of the orchestrator: runs, their steps and logs, cancel and retry.

There is no route that submits: a step names code to run, and only declared projects and this machine's users may.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec

from trimtab.kernel import CURSOR, PROJECT, Call, Invalid, Permission, Query, Route, limit_query, parse_time, time_query
from trimtab.pipelines.cancel import cancel
from trimtab.pipelines.find import get_pipeline_run, list_attempts, list_pipeline_runs, status_named, step_named
from trimtab.pipelines.logs import PIECE_BYTES, LogPiece, read_log
from trimtab.pipelines.records import Attempt, PipelineRun, RunStatus, StepRun
from trimtab.pipelines.retry import retry
from trimtab.store import Store

LIMIT = 50
MOST = 500
MOST_LOG_BYTES = 1 << 20
_FROM_ONE = Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
_FROM_ZERO = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
_BYTES = Annotated[int, msgspec.Meta(ge=4, le=MOST_LOG_BYTES)]


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, newest first, and where the next page begins."""

    items: tuple[PipelineRun, ...]
    next: str | None = None


class StepPage(msgspec.Struct, frozen=True, kw_only=True):
    """All steps of a run, in the order of its spec."""

    items: tuple[StepRun, ...]
    next: str | None = None


class AttemptPage(msgspec.Struct, frozen=True, kw_only=True):
    """All starts of a step, oldest first."""

    items: tuple[Attempt, ...]
    next: str | None = None


def routes(store: Store, wake: Callable[[], None] = lambda: None) -> list[Route]:
    """Return the routes of this room. ``wake`` is called after a change: the ``wake`` of this process's runner."""

    def list_(call: Call) -> RunPage:
        limit = _number(call, "limit", LIMIT, least=1, most=MOST)
        status = call.query.get("status")
        found = list_pipeline_runs(
            store,
            pipeline=call.query.get("pipeline"),
            status=None if status is None else status_named(status),
            since=parse_time(call.query["since"], where="query since") if "since" in call.query else None,
            limit=limit + 1,
            before=call.id_cursor(),
        )
        page = tuple(found[:limit])
        return RunPage(items=page, next=page[-1].id if len(found) > limit else None)

    def get(call: Call) -> PipelineRun:
        return get_pipeline_run(store, call.path["run"])

    def steps(call: Call) -> StepPage:
        return StepPage(items=get_pipeline_run(store, call.path["run"]).steps)

    def attempts(call: Call) -> AttemptPage:
        step = step_named(get_pipeline_run(store, call.path["run"]), call.path["step"])
        return AttemptPage(items=tuple(list_attempts(store, call.path["run"], step=step.name)))

    def log(call: Call) -> LogPiece:
        return read_log(
            store,
            call.path["run"],
            call.path["step"],
            attempt=_number(call, "attempt", 1, least=1, most=1 << 31) if "attempt" in call.query else None,
            offset=_number(call, "offset", 0, least=0, most=1 << 53),
            limit=_number(call, "limit", PIECE_BYTES, least=4, most=MOST_LOG_BYTES),
        )

    def stop(call: Call) -> PipelineRun:
        run = cancel(store, call.path["run"], actor=call.actor, because=call.because)
        wake()
        return run

    def again(call: Call) -> PipelineRun:
        run = retry(store, call.path["run"], actor=call.actor, because=call.because)
        wake()
        return run

    one = "/api/v1/pipeline-runs/{run}"
    return [
        Route(
            method="GET", path="/api/v1/pipeline-runs", permission=Permission.READ, resource=PROJECT,
            handler=list_, response=RunPage,
            query=(
                Query(name="pipeline", meaning="Only runs of this pipeline."),
                Query(name="status", meaning="Only runs that stand so.", kind=RunStatus),
                time_query("since", "Submitted at this time or later."),
                limit_query(LIMIT, most=MOST), CURSOR,
            ),
            summary="List pipeline runs, newest first",
        ),
        Route(
            method="GET", path=one, permission=Permission.READ, resource=PROJECT, handler=get, response=PipelineRun,
            summary="Show one pipeline run with its steps",
        ),
        Route(
            method="GET", path=f"{one}/steps", permission=Permission.READ, resource=PROJECT,
            handler=steps, response=StepPage,
            summary="List the steps of a pipeline run",
        ),
        Route(
            method="GET", path=f"{one}/steps/{{step}}/attempts", permission=Permission.READ, resource=PROJECT,
            handler=attempts,
            response=AttemptPage, summary="List every start of a step with its outcome",
        ),
        Route(
            method="GET", path=f"{one}/steps/{{step}}/log", permission=Permission.READ, resource=PROJECT,
            handler=log, response=LogPiece,
            query=(
                Query(name="attempt", meaning="Which start of the step; without it the newest.", kind=_FROM_ONE),
                Query(name="offset", meaning="Where to begin, in bytes.", kind=_FROM_ZERO, default=0),
                Query(name="limit", meaning="How many bytes at most.", kind=_BYTES, default=PIECE_BYTES),
            ),
            summary="Read a step's log from an offset on, also while it runs",
        ),
        Route(
            method="POST", path=f"{one}/cancel", permission=Permission.REGISTER, resource=PROJECT,
            handler=stop, response=PipelineRun,
            summary="Stop a pipeline run and kill its running steps",
        ),
        Route(
            method="POST", path=f"{one}/retry", permission=Permission.REGISTER, resource=PROJECT,
            handler=again, response=PipelineRun,
            summary="Run the steps of a failed or cancelled run again that are not finished",
        ),
    ]  # fmt: skip


def _number(call: Call, name: str, default: int, *, least: int, most: int) -> int:
    text = call.query.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or not least <= int(text) <= most:
        raise Invalid(
            f"{text[:40]!r} is not a whole number from {least} to {most}",
            where=f"query {name}",
            why=f"{name} is a count.",
            next=f"leave it out, or write ?{name}={default}",
        )
    return int(text)
