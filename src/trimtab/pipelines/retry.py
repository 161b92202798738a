"""Try a failed or cancelled run again from where it stopped; what is finished does not run again."""

from sqlalchemy import select, update

from trimtab.kernel import Actor, Conflict
from trimtab.pipelines.events import PipelineRetried
from trimtab.pipelines.find import OPEN, read_run
from trimtab.pipelines.records import PipelineRun, RunStatus, StepStatus
from trimtab.pipelines.tables import pipeline_leases as leases
from trimtab.pipelines.tables import pipeline_runs as runs
from trimtab.pipelines.tables import pipeline_steps as steps
from trimtab.store import Store


class NothingToRetry(Conflict):
    """The run has not failed."""

    code = "pipelines.nothing-to-retry"
    default_why = "Only a run that failed or was cancelled has steps to try again."
    default_next = "trimtab get pipeline-runs {run}"


def retry(store: Store, run_id: str, *, actor: Actor, because: str = "") -> PipelineRun:
    """Let the steps that failed, were cancelled or were skipped wait again, with fresh retries; return the run.

    Raises ``NotFound``, and ``NothingToRetry`` for a run that succeeded or still goes on.
    """
    with store.change(actor, because) as change:
        change.connection.execute(select(runs.c.id).where(runs.c.id == run_id).with_for_update())
        run = read_run(change.connection, run_id)
        if run.status not in {RunStatus.FAILED, RunStatus.CANCELLED}:
            raise NothingToRetry(f"run {run_id} is {run.status}", where=f"pipeline {run.pipeline}", run=run_id)
        # What a finished step had returned may have been removed since.
        again = tuple(step.name for step in run.steps if not step.status.is_done or step.outputs is None)
        attempts_so_far = (
            select(leases.c.attempts)
            .where(leases.c.run_id == steps.c.run_id, leases.c.step == steps.c.name)
            .scalar_subquery()
        )
        change.execute(
            update(steps)
            .where(steps.c.run_id == run_id, steps.c.name.in_(again))
            .values(
                status=StepStatus.WAITING.value,
                error=None,
                finished_at=None,
                cached_from=None,
                budget_from=attempts_so_far,
            )
        )
        change.execute(update(leases).where(leases.c.run_id == run_id).values(not_before=None))
        change.execute(update(runs).where(runs.c.id == run_id).values(status=OPEN, finished_at=None))
        change.record(PipelineRetried(run=run_id, pipeline=run.pipeline, steps=again))
        return read_run(change.connection, run_id)
