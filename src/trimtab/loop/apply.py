"""Bring what a file declares into being: one durable run for everything that changed."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from trimtab.declare import FeatureViewSpec, ModelSpec, Project
from trimtab.kernel import Actor, NotFound, TrimtabError, Unavailable
from trimtab.loop.conditions import check_conditions
from trimtab.loop.declarations import all_in_force
from trimtab.loop.governed import hold
from trimtab.loop.path import Declared, apply_pipeline, materialise_pipeline, snapshot_pipeline, training_pipeline
from trimtab.loop.plan import make_plan
from trimtab.loop.records import Outcome, Plan
from trimtab.loop.resume import resume_apply, resume_or_submit
from trimtab.pipelines import PipelineRun, PipelineSpec, Progress, Runner, RunStatus, check_system
from trimtab.store import Store

Watch = Callable[[Progress], None]
TICK_S = 3600.0


class RunFailed(TrimtabError):
    """A step of the run could not be done; the four parts are the step's own."""

    code = "loop.run-failed"


def apply_project(
    store: Store, project: Project, *, plan: Plan | None = None, actor: Actor, because: str, watch: Watch | None = None
) -> tuple[PipelineRun | None, tuple[Outcome, ...]]:
    """Do what ``make_plan`` says, and put the declarations in force when all of it is done.

    Another policy for a governed model is only proposed: ``approve_policy`` puts it in force.
    Trains the models whose declaration, or a source of theirs, changed. Killed at any point, the run goes on with the
    next ``apply`` or ``up``; finished steps are not done again. Returns None and no outcomes when nothing changed and
    nothing was left to finish.
    Raises the error of the first step that failed, after its retries.
    """
    check_system()
    plan = plan or make_plan(store, project)
    if not plan.has_changes:
        left = resume_apply(store, project.spec, actor=actor)
        return _finish(store, left, watch) if left is not None else (None, ())
    held = held_to_policies(store, project)
    changed = {(item.kind, item.name) for item in plan.items if item.sign in "+~"}
    views = [
        view for view in project.spec.views if _is_new(view, project, changed) or ("features", view.name) in changed
    ]
    models = [
        model
        for model in _declared_models(held, project)
        if ("model", model.name) in changed or _is_new(model.view, project, changed)
    ]
    pipeline = apply_pipeline(project, models=models, views=views, as_of=as_of(store, project))
    return _run(store, pipeline, actor=actor, because=because, watch=watch)


def run_one(
    store: Store, project: Project, name: str, *, actor: Actor, because: str, watch: Watch | None = None
) -> tuple[PipelineRun | None, tuple[Outcome, ...]]:
    """Do one thing now: train a model, bring a view's features online up to date, or take a source's snapshot."""
    check_system()
    return _run(store, pipeline_of(store, project, name), actor=actor, because=because, watch=watch)


def held_to_policies(store: Store, project: Project) -> Project:
    """Return a project with the policies that are in force for its governed models. Raises ``DeclaredElsewhere``."""
    held = hold(project.spec, (found.spec for found in all_in_force(store)))
    return msgspec.structs.replace(project, spec=held.spec)


def _declared_models(held: Project, project: Project) -> list[ModelSpec]:
    """Return the models that the file declares, under the policies in force: those that are held can be trained."""
    names = {model.name for model in project.spec.models}
    return [model for model in held.spec.models if model.name in names]


def pipeline_of(store: Store, project: Project, name: str) -> PipelineSpec:
    """Return what ``run_one`` would do now for a declared source, view or model. Raises ``NotFound``."""
    held = held_to_policies(store, project)
    spec, moment = project.spec, as_of(store, project)
    pipelines: dict[str, PipelineSpec] = {source.name: snapshot_pipeline(project, source) for source in spec.sources}
    pipelines |= {view.name: materialise_pipeline(project, view, as_of=moment) for view in spec.views}
    models = _declared_models(held, project)
    pipelines |= {model.name: training_pipeline(project, model, as_of=moment) for model in models}
    for model in models:
        if model.name == name:
            check_conditions(model)
    if name not in pipelines:
        raise NotFound(
            f"{project.path.name} declares no {name!r}",
            where=project.path.name,
            why="Only a declared source, view or model can be run.",
            next=f"trimtab run {next(iter(reversed(pipelines)), 'NAME')}",
        )
    return pipelines[name]


def as_of(store: Store, project: Declared) -> datetime:
    """Return the last full tick of the project's sources: what is known by then is what a run learns from.

    So runs within the same tick see the same facts, and find each other's results.
    """
    every = min((source.every_s for source in project.spec.sources if source.every_s), default=TICK_S)
    now = store.clock.now()
    return now - timedelta(seconds=now.timestamp() % every)


def _run(
    store: Store, pipeline: PipelineSpec, *, actor: Actor, because: str, watch: Watch | None
) -> tuple[PipelineRun, tuple[Outcome, ...]]:
    return _finish(store, resume_or_submit(store, pipeline, actor=actor, because=because), watch)


def _finish(store: Store, run: PipelineRun, watch: Watch | None) -> tuple[PipelineRun, tuple[Outcome, ...]]:
    with Runner(store) as runner:
        run = runner.run_until_done(run.id, on_event=watch)
    if run.status is not RunStatus.SUCCEEDED:
        raise _failure(run)
    outputs = run.outputs
    registered = [outputs[step.name] for step in run.spec.steps if step.name.startswith("register-")]
    return run, tuple(msgspec.convert(output, Outcome) for output in registered)


def _failure(run: PipelineRun) -> TrimtabError:
    for step in run.steps:
        if step.error is not None:
            error = step.error
            return RunFailed(error.what, where=error.where, why=error.why, next=error.next, run=run.id, step=step.name)
    return Unavailable(
        f"run {run.id} was {run.status.value}",
        where=f"pipeline {run.pipeline}",
        why="Somebody cancelled it, so that nothing of it is in force.",
        next=f"trimtab get pipelines {run.id}",
    )


def _is_new(view: FeatureViewSpec, project: Project, changed: set[tuple[str, str]]) -> bool:
    """Say whether a source that the view reads is new or changed."""
    sources = (project.spec.source_of(contract.name) for contract in view.contracts)
    return any(source is not None and ("source", source.name) in changed for source in sources)
