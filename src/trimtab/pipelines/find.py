"""Look runs and steps up."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, and_, bindparam, exists, or_, select

from trimtab.kernel import Actor, ActorKind, Invalid, NotFound
from trimtab.pipelines.records import (
    Attempt,
    Outcome,
    PipelineRun,
    PipelineSpec,
    RunStatus,
    StepError,
    StepRun,
    StepSpec,
    StepStatus,
)  # fmt: skip
from trimtab.pipelines.tables import pipeline_attempts as attempts
from trimtab.pipelines.tables import pipeline_leases as leases
from trimtab.pipelines.tables import pipeline_runs as runs
from trimtab.pipelines.tables import pipeline_steps as steps
from trimtab.store import Store, why_gone

OPEN = "open"
"""What ``pipeline_runs.status`` says of a run that is not final."""

NEVER_THERE: Mapping[str, str] = {
    "why": "No run was submitted under this id in this store.", "next": "trimtab get pipeline-runs",
}  # fmt: skip


def get_pipeline_run(store: Store, run_id: str) -> PipelineRun:
    """Return a run with its steps as they are now; raise ``NotFound``."""
    try:
        with store.read() as connection:
            return read_run(connection, run_id)
    except NotFound:
        raise no_run(run_id, why_gone(store, f"run:{run_id}")) from None


def list_pipeline_runs(
    store: Store,
    *,
    pipeline: str | None = None,
    status: RunStatus | str | None = None,
    since: datetime | None = None,
    limit: int | None = 50,
    before: str | None = None,
) -> list[PipelineRun]:
    """Return runs, newest first, with their steps: those older than the run ``before``, submitted ``since`` a time.

    ``limit`` None: all of them.
    """
    query = select(runs).order_by(runs.c.id.desc()).limit(limit)
    if pipeline is not None:
        query = query.where(runs.c.pipeline == pipeline)
    if since is not None:
        query = query.where(runs.c.submitted_at >= since.astimezone(UTC).isoformat())
    if before is not None:
        query = query.where(runs.c.id < before)
    if status is not None:
        query = _with_status(query, RunStatus(status))
    with store.read() as connection:
        found = connection.execute(query).all()
        by_run = read_steps(connection, [row.id for row in found])
    return [_run_of(row, by_run.get(row.id, ())) for row in found]


def list_attempts(store: Store, run_id: str, *, step: str | None = None) -> list[Attempt]:
    """Return every start of a run's steps, by step and number."""
    query = select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.step, attempts.c.attempt)
    if step is not None:
        query = query.where(attempts.c.step == step)
    with store.read() as connection:
        return [
            Attempt(
                step=row.step,
                attempt=row.attempt,
                fence=row.fence,
                outcome=None if row.outcome is None else Outcome(row.outcome),
                started_at=datetime.fromisoformat(row.started_at),
                finished_at=_time(row.finished_at),
                seconds=row.seconds,
                error=_error(row.error),
            )
            for row in connection.execute(query)
        ]


def read_run(connection: Connection, run_id: str) -> PipelineRun:
    """Return a run as this transaction sees it; raise ``NotFound``."""
    row = connection.execute(select(runs).where(runs.c.id == run_id)).first()
    if row is None:
        raise no_run(run_id)
    return _run_of(row, read_steps(connection, [run_id]).get(run_id, ()))


def is_final(connection: Connection, run_id: str) -> bool:
    """Say whether a run is over."""
    return bool(connection.execute(_STATUS, {"run_id": run_id}).scalar_one() != OPEN)


def read_steps_of(connection: Connection, run_id: str, step: str | None) -> Iterable[Row[*tuple[Any, ...]]]:
    """Return the rows of one run's steps, or of one step."""
    if step is None:
        return connection.execute(_STEPS_OF_ONE, {"run_id": run_id})
    return connection.execute(_ONE_STEP, {"run_id": run_id, "step": step})


def read_steps(connection: Connection, run_ids: Sequence[str]) -> Mapping[str, Sequence[Row[*tuple[Any, ...]]]]:
    """Return the rows of steps with their leases and last attempts, by run, in the order of the spec."""
    found: dict[str, list[Row[*tuple[Any, ...]]]] = {}
    for row in connection.execute(_STEPS.where(steps.c.run_id.in_(run_ids))):
        found.setdefault(row.run_id, []).append(row)
    return found


_STEPS = (
    select(
        steps.c.run_id, steps.c.name, steps.c.status, steps.c.outputs, steps.c.error, steps.c.cached_from,
        steps.c.budget_from, steps.c.finished_at,
        leases.c.fence, leases.c.runner, leases.c.attempts, leases.c.not_before,
        attempts.c.started_at, attempts.c.seconds, attempts.c.error.label("attempt_error"),
        attempts.c.done, attempts.c.total, attempts.c.unit,
    )
    .join(leases, and_(leases.c.run_id == steps.c.run_id, leases.c.step == steps.c.name))
    .outerjoin(
        attempts,
        and_(
            attempts.c.run_id == leases.c.run_id,
            attempts.c.step == leases.c.step,
            attempts.c.attempt == leases.c.attempts,
        ),
    )
    .order_by(steps.c.run_id, steps.c.position)
)  # fmt: skip

_STEPS_OF_ONE = _STEPS.where(steps.c.run_id == bindparam("run_id"))
_ONE_STEP = _STEPS_OF_ONE.where(steps.c.name == bindparam("step"))
_STATUS = select(runs.c.status).where(runs.c.id == bindparam("run_id"))


def step_of(row: Row[*tuple[Any, ...]], spec: StepSpec) -> StepRun:
    """Make a step of its row, its lease and its last attempt."""
    status = StepStatus(row.status)
    waiting = status is StepStatus.WAITING
    return StepRun(
        name=row.name,
        function=spec.function,
        needs=spec.needs,
        status=StepStatus.RUNNING if waiting and row.runner is not None else status,
        attempts=row.attempts,
        fence=row.fence,
        outputs=None if row.outputs is None else msgspec.json.decode(row.outputs),
        error=_error(row.error or (row.attempt_error if waiting else None)),
        started_at=_time(row.started_at),
        finished_at=_time(row.finished_at),
        seconds=row.seconds,
        cached_from=row.cached_from,
        not_before=_time(row.not_before),
        done=row.done,
        total=row.total,
        unit=row.unit,
    )


def status_of(stored: str, found: Sequence[StepRun]) -> RunStatus:
    """Return a run's status: an open one is queued until any of its steps has begun."""
    if stored != OPEN:
        return RunStatus(stored)
    begun = any(step.attempts or step.status is not StepStatus.WAITING for step in found)
    return RunStatus.RUNNING if begun else RunStatus.QUEUED


def no_run(run_id: str, gone: Mapping[str, str] = NEVER_THERE) -> NotFound:
    """Return the error for a run that is not there; ``gone`` says why it is not any more."""
    return NotFound(f"there is no pipeline run {run_id[:40]!r}", where="pipelines", **(gone or NEVER_THERE))


def no_step(run: PipelineRun, step: str) -> NotFound:
    return NotFound(
        f"pipeline run {run.id} has no step {step[:80]!r}",
        where=f"pipeline {run.pipeline}",
        why="Its spec names other steps.",
        next=f"use one of: {', '.join(found.name for found in run.steps)}",
    )


def step_named(run: PipelineRun, step: str) -> StepRun:
    """Return a run's step; raise ``NotFound``."""
    for found in run.steps:
        if found.name == step:
            return found
    raise no_step(run, step)


def status_named(text: str) -> RunStatus:
    """Read a status; raise ``Invalid``."""
    try:
        return RunStatus(text)
    except ValueError:
        raise Invalid(
            f"{text[:40]!r} is not a status of a run",
            where="status",
            why="A run has one of five.",
            next=f"use one of: {', '.join(RunStatus)}",
        ) from None


def _with_status(query: Select[Any], status: RunStatus) -> Select[Any]:
    if status.is_final:
        return query.where(runs.c.status == status.value)
    begun = or_(
        exists().where(leases.c.run_id == runs.c.id, leases.c.attempts > 0),
        exists().where(steps.c.run_id == runs.c.id, steps.c.status != StepStatus.WAITING.value),
    )
    return query.where(runs.c.status == OPEN, begun if status is RunStatus.RUNNING else ~begun)


def _run_of(row: Row[*tuple[Any, ...]], step_rows: Sequence[Row[*tuple[Any, ...]]]) -> PipelineRun:
    spec = msgspec.json.decode(row.spec, type=PipelineSpec)
    by_name = {step.name: step for step in spec.steps}
    found = tuple(step_of(step, by_name[step.name]) for step in step_rows)
    return PipelineRun(
        id=row.id,
        pipeline=row.pipeline,
        status=status_of(row.status, found),
        spec=spec,
        params=msgspec.json.decode(row.params),
        actor=Actor(row.actor, ActorKind(row.actor_kind), _issuers(row.issued_by)),
        because=row.because,
        submitted_at=datetime.fromisoformat(row.submitted_at),
        finished_at=_time(row.finished_at),
        key=row.key,
        steps=found,
    )


def _issuers(text: str) -> tuple[str, ...] | msgspec.UnsetType:
    return msgspec.json.decode(text, type=tuple[str, ...]) or msgspec.UNSET


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _error(text: str | None) -> StepError | None:
    return None if text is None else msgspec.json.decode(text, type=StepError)
