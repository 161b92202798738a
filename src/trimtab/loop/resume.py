"""Go on with a run that something interrupted, instead of beginning it anew."""

from collections.abc import Callable
from contextlib import suppress

import msgspec

from trimtab.declare import ProjectSpec
from trimtab.kernel import Actor, Conflict, digest_of
from trimtab.loop.path import DECLARE, apply_name
from trimtab.pipelines import PipelineRun, PipelineSpec, RunStatus, cancel, list_pipeline_runs, submit
from trimtab.store import Store

MOMENT = "as_of"
"""The parameter of a step that says up to when facts are known: a run goes on with the moment that it began with."""


def resume_or_submit(store: Store, pipeline: PipelineSpec, *, actor: Actor, because: str) -> PipelineRun:
    """Return the open run of the same work, or submit one."""
    return resume(store, pipeline, actor=actor) or submit(store, pipeline, actor=actor, because=because)


def resume(store: Store, pipeline: PipelineSpec, *, actor: Actor) -> PipelineRun | None:
    """Return the open run of the same work, if there is one."""
    wanted = _work(pipeline)
    return _interrupted(store, pipeline.name, actor=actor, same=lambda spec: _work(spec) == wanted)


def resume_apply(store: Store, project: ProjectSpec, *, actor: Actor) -> PipelineRun | None:
    """Return the open run that puts these declarations in force: they are already, and only its end is missing."""
    wanted = digest_of(project)

    def declares_the_same(spec: PipelineSpec) -> bool:
        return digest_of(spec.step(DECLARE).params["project"]) == wanted

    return _interrupted(store, apply_name(project), actor=actor, same=declares_the_same)


def _interrupted(store: Store, name: str, *, actor: Actor, same: Callable[[PipelineSpec], bool]) -> PipelineRun | None:
    """Return the newest open run of a pipeline that does the same, and cancel the others.

    The file has changed since they were submitted: left open, they would one day put old declarations in force again.
    """
    found = None
    for run in _open(store, name):
        if found is None and same(run.spec):
            found = run
            continue
        with suppress(Conflict):  # it ended just now
            cancel(store, run.id, actor=actor, because="another state of the file takes its place")
    return found


def _open(store: Store, name: str) -> list[PipelineRun]:
    """Return a pipeline's open runs, newest first."""
    found = [
        run for status in (RunStatus.QUEUED, RunStatus.RUNNING)
        for run in list_pipeline_runs(store, pipeline=name, status=status)
    ]  # fmt: skip
    return sorted(found, key=lambda run: run.id, reverse=True)


def _work(pipeline: PipelineSpec) -> str:
    """Return what a pipeline does, as a digest: a spec read back has lists where the written one has tuples."""
    steps = tuple(
        msgspec.structs.replace(step, params={name: value for name, value in step.params.items() if name != MOMENT})
        for step in pipeline.steps
    )
    return digest_of(msgspec.structs.replace(pipeline, steps=steps))
