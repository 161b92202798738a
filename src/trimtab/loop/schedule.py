"""Bring features online again as often as their sources promise new facts."""

from datetime import timedelta

from trimtab.declare import FeatureViewSpec
from trimtab.kernel import Actor
from trimtab.loop.apply import as_of
from trimtab.loop.declarations import InForce
from trimtab.loop.marks import claim_mark, get_mark, set_mark
from trimtab.loop.path import materialise_pipeline
from trimtab.loop.resume import resume
from trimtab.pipelines import PipelineRun, get_pipeline_run, submit_in
from trimtab.store import Store

REFRESHED = "refreshed"


def refresh(store: Store, project: InForce, view: FeatureViewSpec, *, actor: Actor) -> PipelineRun | None:
    """Submit a view's snapshots and materialisation when its most frequent source is due; None when it is not.

    Applying a project did it the first time. A run that is still open is not submitted again.
    """
    found = (project.spec.source_of(contract.name) for contract in view.contracts)
    every_s = min((source.every_s for source in found if source is not None and source.every_s), default=None)
    if every_s is None:
        return None
    now, last = store.clock.now(), get_mark(store, view.name, REFRESHED)
    if last is not None and now - last < timedelta(seconds=every_s):
        return None
    if last is None:
        set_mark(store, view.name, REFRESHED, now)
        return None
    pipeline = materialise_pipeline(project, view, as_of=as_of(store, project))
    if (present := resume(store, pipeline, actor=actor)) is not None:
        set_mark(store, view.name, REFRESHED, now)
        return present
    # One change: of several servers that find it due, one submits it, and none forgets it between mark and run.
    with store.change(actor, f"its sources are read every {every_s / 3600:g} h") as change:
        if not claim_mark(change.connection, view.name, REFRESHED, was=last, at=now):
            return None
        run_id = submit_in(change, pipeline)
    return get_pipeline_run(store, run_id)
