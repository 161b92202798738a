"""An interrupted apply goes on; one of another state of the file is put out of the way."""

from pathlib import Path

from tests.loop.parcels import write_project

from trimtab.declare import Project, load_project
from trimtab.kernel import Actor, VirtualClock
from trimtab.loop import applied, apply_project, as_of, make_plan
from trimtab.loop.declarations import record_declarations
from trimtab.loop.path import apply_pipeline
from trimtab.pipelines import PipelineRun, PipelineSpec, RunStatus, StepStatus, get_pipeline_run, submit
from trimtab.store import Store, events

BECAUSE = "the parcels of early 2013"


def pipeline_of(store: Store, project: Project) -> PipelineSpec:
    return apply_pipeline(project, models=project.spec.models, views=project.spec.views, as_of=as_of(store, project))


def submitted(store: Store, project: Project, actor: Actor) -> PipelineRun:
    """Leave a run that nobody works on, as a killed command does."""
    return submit(store, pipeline_of(store, project), actor=actor, because="killed before it began")


def test_apply_goes_on_with_the_run_that_was_interrupted(
    store: Store, project: Project, actor: Actor, clock: VirtualClock
) -> None:
    left = submitted(store, project, actor)
    clock.sleep(3 * 3600)  # the moment up to which facts are known is another one by now
    run, (outcome,) = apply_project(store, project, actor=actor, because=BECAUSE)
    assert run is not None
    assert (run.id, run.status, outcome.ref) == (left.id, RunStatus.SUCCEEDED, "slow@1")
    assert len(events(store, type="pipelines.run-submitted")) == 1


def test_apply_of_a_changed_file_cancels_the_run_that_was_interrupted(
    sqlite_store: Store, project_file: Path, project: Project, actor: Actor
) -> None:
    store = sqlite_store
    left = submitted(store, project, actor)
    changed = load_project(write_project(project_file, **{"strength=1.0": "strength=0.5"}))
    run, (outcome,) = apply_project(store, changed, actor=actor, because="try less")
    assert run is not None
    assert run.id != left.id
    assert outcome.ref == "slow@1"
    assert get_pipeline_run(store, left.id).status is RunStatus.CANCELLED
    assert {step.status for step in get_pipeline_run(store, left.id).steps} == {StepStatus.CANCELLED}
    assert applied(store, changed.spec.name)["model", "slow"].spec["params"] == {"strength": 0.5}


def test_apply_without_changes_finishes_the_run_that_had_put_them_in_force(
    sqlite_store: Store, project_file: Path, project: Project, actor: Actor
) -> None:
    store = sqlite_store
    other = load_project(write_project(project_file, **{"strength=1.0": "strength=0.5"}))
    stale = submitted(store, other, actor)
    write_project(project_file)
    left = submitted(store, project, actor)
    with store.change(actor, BECAUSE) as change:  # as its last step does, just before the kill
        record_declarations(change, project.spec, file=project_file)
    assert not make_plan(store, project).has_changes
    run, (outcome,) = apply_project(store, project, actor=actor, because=BECAUSE)
    assert run is not None
    assert (run.id, run.status, outcome.ref) == (left.id, RunStatus.SUCCEEDED, "slow@1")
    assert get_pipeline_run(store, stale.id).status is RunStatus.CANCELLED
    assert apply_project(store, project, actor=actor, because=BECAUSE) == (None, ())
