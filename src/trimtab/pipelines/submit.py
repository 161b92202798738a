"""Ask for a run of a pipeline: from the answer on it will be done, whatever is killed."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from trimtab.kernel import Actor, Conflict, Invalid, canonical, digest_of_bytes
from trimtab.pipelines.events import PipelineSubmitted
from trimtab.pipelines.find import OPEN, get_pipeline_run, read_run
from trimtab.pipelines.records import PipelineRun, PipelineSpec, StepStatus
from trimtab.pipelines.tables import pipeline_leases, pipeline_runs, pipeline_steps
from trimtab.store import Change, Store


class KeyTaken(Conflict):
    """An idempotency key stands for another submission."""

    code = "pipelines.key-taken"
    default_why = "A key stands for one submission, so that repeating it does nothing new, and this one differs."
    default_next = "submit with another key, or with the pipeline and params of run {run}"


def submit(
    store: Store,
    pipeline: PipelineSpec,
    params: Mapping[str, Any] | None = None,
    *,
    actor: Actor,
    because: str = "",
    key: str | None = None,
) -> PipelineRun:
    """Write a run down, on disk, for a ``Runner`` to do; return it, queued.

    With ``key`` the same submission again returns the same run. Raises ``Invalid`` for a pipeline or params that
    cannot be run or kept, and ``KeyTaken`` when the key stands for another submission.
    """
    pipeline.check()
    text = _json(dict(params or {}), pipeline.name)
    spec = _json(pipeline, pipeline.name)
    try:
        with store.change(actor, because) as change:
            if key is not None and (existing := _submitted(change, key, spec, text)):
                return existing
            run_id = _enter(change, pipeline, spec, text, key)
    except IntegrityError:
        # Two submissions under one key at once: the unique column lets one in, the other finds it here.
        with store.change(actor, because) as change:
            existing = None if key is None else _submitted(change, key, spec, text)
        if existing is None:
            raise
        return existing
    return get_pipeline_run(store, run_id)


def submit_in(change: Change, pipeline: PipelineSpec) -> str:
    """Write a run down as part of a change; return its id. It is submitted with the rest of the change, or not at all.

    Raises ``Invalid`` for a pipeline that cannot be run or kept.
    """
    pipeline.check()
    return _enter(change, pipeline, _json(pipeline, pipeline.name), _json({}, pipeline.name), None)


def _enter(change: Change, pipeline: PipelineSpec, spec: str, params: str, key: str | None) -> str:
    run_id = change.new_id()
    change.execute(
        insert(pipeline_runs).values(
            id=run_id,
            pipeline=pipeline.name,
            status=OPEN,
            spec=spec,
            params=params,
            actor=change.actor.id,
            actor_kind=change.actor.kind.value,
            issued_by=msgspec.json.encode(change.actor.issuers).decode(),
            because=change.because,
            key=key,
            submitted_at=change.at.isoformat(),
        )
    )
    names = [step.name for step in pipeline.steps]
    change.execute(
        insert(pipeline_steps),
        [
            {"run_id": run_id, "name": name, "position": i, "status": StepStatus.WAITING.value, "budget_from": 0}
            for i, name in enumerate(names)
        ],
    )
    change.execute(
        insert(pipeline_leases), [{"run_id": run_id, "step": name, "fence": 0, "attempts": 0} for name in names]
    )
    change.record(
        PipelineSubmitted(
            run=run_id,
            pipeline=pipeline.name,
            spec=digest_of_bytes(spec.encode()),
            params=digest_of_bytes(params.encode()),
            steps=len(names),
        )
    )
    return run_id


def _submitted(change: Change, key: str, spec: str, params: str) -> PipelineRun | None:
    query = select(pipeline_runs.c.id, pipeline_runs.c.spec, pipeline_runs.c.params).where(pipeline_runs.c.key == key)
    row = change.connection.execute(query).first()
    if row is None:
        return None
    if (row.spec, row.params) != (spec, params):
        raise KeyTaken(f"the key {key!r} stands for run {row.id}", where="pipelines.submit", run=row.id)
    return read_run(change.connection, row.id)


def _json(value: dict[str, Any] | PipelineSpec, pipeline: str) -> str:
    try:
        return canonical(value).decode()
    except Invalid as error:
        raise Invalid(
            f"the params cannot be kept: {error.what}",
            where=f"pipeline {pipeline}",
            why="A run's params are written down as JSON, so that it can go on in another process.",
            next="give texts, finite numbers, lists and dicts; pass large data by its digest",
        ) from None
