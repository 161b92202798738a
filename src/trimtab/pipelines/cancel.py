"""Stop a run: its running steps are killed, the others do not start."""

from sqlalchemy import select, update

from trimtab.kernel import Actor, Conflict
from trimtab.pipelines.events import PipelineCancelled
from trimtab.pipelines.find import OPEN, read_run
from trimtab.pipelines.lease import revoke
from trimtab.pipelines.records import PipelineRun, RunStatus, StepStatus
from trimtab.pipelines.tables import pipeline_runs as runs
from trimtab.pipelines.tables import pipeline_steps as steps
from trimtab.store import Store


class AlreadyFinished(Conflict):
    """A run that is over cannot be cancelled."""

    code = "pipelines.already-finished"
    default_why = "Nothing of it is left to stop."
    default_next = "trimtab get pipeline-runs {run}"


def cancel(store: Store, run_id: str, *, actor: Actor, because: str = "") -> PipelineRun:
    """Cancel a run and return it. Raises ``NotFound``, and ``AlreadyFinished`` when it is over.

    From here on no result of a running step is accepted; the runner that holds it kills it within its poll interval,
    or at once after ``Runner.wake()``.
    """
    with store.change(actor, because) as change:
        change.connection.execute(select(runs.c.id).where(runs.c.id == run_id).with_for_update())
        run = read_run(change.connection, run_id)
        if run.status.is_final:
            raise AlreadyFinished(f"run {run_id} is {run.status}", where=f"pipeline {run.pipeline}", run=run_id)
        stopped = [step.name for step in run.steps if not step.status.is_final]
        at = change.at.isoformat()
        change.execute(
            update(steps)
            .where(steps.c.run_id == run_id, steps.c.name.in_(stopped))
            .values(status=StepStatus.CANCELLED.value, finished_at=at)
        )
        change.execute(
            update(runs)
            .where(runs.c.id == run_id, runs.c.status == OPEN)
            .values(status=RunStatus.CANCELLED.value, finished_at=at)
        )
        revoke(change, run_id)
        change.record(PipelineCancelled(run=run_id, pipeline=run.pipeline, steps=tuple(stopped)))
        return read_run(change.connection, run_id)
