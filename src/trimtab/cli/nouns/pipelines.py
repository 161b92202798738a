"""Pipeline runs."""

from typing import Any

from trimtab.cli.nouns.noun import Asked, Noun, missing
from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.kernel import is_id
from trimtab.pipelines import PipelineRun, StepRun, get_pipeline_run, list_pipeline_runs


def _find(session: Session, asked: Asked) -> Any:
    if is_id(asked.name):
        return session.ask(get_pipeline_run, asked.name)
    found = session.ask(list_pipeline_runs, pipeline=asked.name or None, limit=asked.limit)
    if asked.name and not found:
        raise missing("pipelines", asked.name, why="No run of a pipeline of this name was ever submitted.")
    return found


def _done(run: PipelineRun) -> str:
    return f"{sum(step.status.is_final for step in run.steps)} of {len(run.steps)}"


def _facts(run: PipelineRun) -> list[tuple[str, Any]]:
    return [
        ("run", run.id), ("pipeline", run.pipeline), ("status", run.status.value),
        ("submitted", f"{run.submitted_at:%Y-%m-%d %H:%M:%S} by {run.actor}"), ("because", run.because or "-"),
        ("finished", run.finished_at), ("steps", "\n".join(_step(step) for step in run.steps)),
    ]  # fmt: skip


def _step(step: StepRun) -> str:
    took = f", {step.seconds:.1f} s" if step.seconds is not None else ""
    tried = f", {step.attempts} attempts" if step.attempts > 1 else ""
    wrong = f"\n  {step.error.what}\n  next: {step.error.next}" if step.error else ""
    return f"{step.status.value:<10} {step.name}{took}{tried}{wrong}"


_RUNS = Noun(
    find=_find,
    columns=[
        Column("RUN", lambda r: r.id), Column("PIPELINE", lambda r: r.pipeline),
        Column("STATUS", lambda r: r.status.value), Column("STEPS", _done, number=True),
        Column("SUBMITTED", lambda r: r.submitted_at), Column("BY", lambda r: r.actor.id),
        Column("BECAUSE", lambda r: r.because or None),
    ],
    empty="No pipeline has run yet:\n  trimtab apply",
    facts=_facts,
)  # fmt: skip

NOUNS = {"pipelines": _RUNS, "pipeline-runs": _RUNS}
