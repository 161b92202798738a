"""Write down how an attempt ended, and what that means for its step and its run: one transaction, behind the fence."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Update, bindparam, func, select, update

from trimtab.kernel import Clock, digest_of, digest_of_bytes
from trimtab.pipelines.events import PipelineFinished, StepCached, StepFailed, StepFinished
from trimtab.pipelines.find import OPEN, read_run
from trimtab.pipelines.lease import FenceLost, Lease, give_up
from trimtab.pipelines.protocol import Done
from trimtab.pipelines.records import Outcome, PipelineRun, PipelineSpec, RunStatus, StepError, StepSpec, StepStatus
from trimtab.pipelines.tables import pipeline_attempts as attempts
from trimtab.pipelines.tables import pipeline_leases as leases
from trimtab.pipelines.tables import pipeline_runs as runs
from trimtab.pipelines.tables import pipeline_steps as steps
from trimtab.store import Change, Store

CRASHES_ALLOWED = 3
"""A step is given up when its worker has died under it this often (out of memory, a fault in C code)."""

LOSSES_ALLOWED = 10
"""A step is given up when its whole program has died under it this often: then it was hardly by chance."""

_LOST_AT_ONCE = 2
"""So often a lost step is begun anew at once; then after a second, and after twice as long each time."""

LONGEST_WAIT_S = 60.0
"""How long a step waits at most, for a database that is away, or after its program died."""


_SUCCEED = (
    update(steps)
    .where(steps.c.run_id == bindparam("in_run"), steps.c.name == bindparam("of_step"))
    .values(
        status=StepStatus.SUCCEEDED.value,
        outputs=bindparam("outputs"),
        blobs=bindparam("blobs"),
        cache_key=bindparam("cache_key"),
        error=None,
        finished_at=bindparam("finished_at"),
    )
)
_LEFT = (
    select(steps.c.name)
    .where(steps.c.run_id == bindparam("in_run"), steps.c.status == StepStatus.WAITING.value)
    .limit(1)
)
_DONE = (StepStatus.SUCCEEDED.value, StepStatus.CACHED.value)


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Outputs of an earlier run that stand for a step's own."""

    key: str
    run_id: str
    step: str
    outputs: str
    blobs: tuple[str, ...]


def finish_step(
    store: Store, run: PipelineRun, lease: Lease, done: Done, *, cache_key: str | None, durable: bool
) -> datetime:
    """Keep what a step returned; return when. Raises ``FenceLost`` when the attempt was overtaken: nothing is kept.

    ``durable``: wait for the disk, as when the run is over with it and a person is told so.
    """
    outputs = bytes(done.outputs).decode()
    with store.change(run.actor, run.because, durable=durable) as change:
        _lock(change, run.id)
        give_up(change, lease, outcome=Outcome.SUCCEEDED, at=change.at.isoformat(), seconds=done.seconds)
        change.execute(
            _SUCCEED,
            {
                "in_run": run.id,
                "of_step": lease.step,
                "outputs": outputs,
                "blobs": msgspec.json.encode(done.blobs).decode(),
                "cache_key": cache_key,
                "finished_at": change.at.isoformat(),
            },
        )
        change.record(
            StepFinished(
                run=run.id,
                pipeline=run.pipeline,
                step=lease.step,
                attempt=lease.attempt,
                fence=lease.fence,
                outputs=digest_of_bytes(outputs.encode()),
                blobs=done.blobs,
                key=cache_key,
            )
        )
        _settle(change, run)
    return change.at


def adopt(store: Store, run: PipelineRun, seen: Lease, taken: Taken, *, durable: bool) -> None:
    """Take an earlier run's outputs for a step that was seen free. Raises ``FenceLost`` when another was faster."""
    with store.change(run.actor, run.because, durable=durable) as change:
        _lock(change, run.id)
        _check_there(change, taken, seen)
        free = change.execute(
            update(leases)
            .where(
                leases.c.run_id == run.id,
                leases.c.step == seen.step,
                leases.c.fence == seen.fence,
                leases.c.runner.is_(None),
            )
            .values(fence=seen.fence + 1)
        )
        if free.rowcount != 1:
            raise FenceLost(f"step {seen.step} was taken by another", where=f"pipeline run {run.id}")
        change.execute(
            _step(run.id, seen.step).values(
                status=StepStatus.CACHED.value,
                outputs=taken.outputs,
                blobs=msgspec.json.encode(taken.blobs).decode(),
                cached_from=taken.run_id,
                error=None,
                finished_at=change.at.isoformat(),
            )
        )
        change.record(
            StepCached(
                run=run.id,
                pipeline=run.pipeline,
                step=seen.step,
                key=taken.key,
                taken_from=taken.run_id,
                outputs=digest_of_bytes(taken.outputs.encode()),
                blobs=taken.blobs,
            )
        )
        _settle(change, run)


def fail_attempt(
    store: Store,
    run: PipelineRun,
    lease: Lease,
    *,
    outcome: Outcome,
    error: StepError,
    is_final: bool = False,
    seconds: float | None = None,
    machine: Clock,
) -> float | None:
    """Keep why an attempt failed. Return the seconds until it is tried again, or None: the step failed.

    Raises ``FenceLost`` when the attempt was overtaken.
    """
    spec = run.spec.step(lease.step)
    wait_s = None if is_final else _wait_s(store, spec, lease, outcome)
    if wait_s is not None:
        not_before = machine.now() + timedelta(seconds=wait_s)
        with store.journal() as journal:
            give_up(
                journal, lease, outcome=outcome, at=store.clock.now().isoformat(), seconds=seconds, error=error,
                not_before=not_before.isoformat() if wait_s else None,
            )  # fmt: skip
        return wait_s
    with store.change(run.actor, run.because) as change:
        _lock(change, run.id)
        at = change.at.isoformat()
        give_up(change, lease, outcome=outcome, at=at, seconds=seconds, error=error)
        change.execute(
            _step(run.id, lease.step).values(
                status=StepStatus.FAILED.value, error=msgspec.json.encode(error).decode(), finished_at=at
            )
        )
        change.record(
            StepFailed(
                run=run.id,
                pipeline=run.pipeline,
                step=lease.step,
                attempt=lease.attempt,
                fence=lease.fence,
                code=error.code,
            )
        )
        _skip(change, run)
        _settle(change, run)
    return None


def lose(store: Store, lease: Lease, *, why: str, machine: Clock) -> bool:
    """End an attempt whose runner has died; say whether it was still held. ``why`` says what is known of the end."""
    with store.read() as connection:
        run = read_run(connection, lease.run_id)
    error = StepError(
        type="ProgramDied",
        code="pipelines.program-died",
        what=why,
        where=f"step {lease.step}, {run.spec.step(lease.step).function}",
        why=f"A step is begun anew after that, up to {LOSSES_ALLOWED} times: then it may be what ends the program.",
        next=f"trimtab logs {lease.run_id} {lease.step}; then try the run again from its page",
        is_outside=True,
    )
    try:
        fail_attempt(store, run, lease, outcome=Outcome.LOST, error=error, machine=machine)
    except FenceLost:
        return False
    return True


def _wait_s(store: Store, spec: StepSpec, lease: Lease, outcome: Outcome) -> float | None:
    """Return the seconds until the next attempt, or None when the step has had its chances."""
    counted = (Outcome.FAILED, Outcome.TIMEOUT) if outcome in {Outcome.FAILED, Outcome.TIMEOUT} else (outcome,)
    query = (
        select(func.count())
        .select_from(attempts.join(steps, (steps.c.run_id == attempts.c.run_id) & (steps.c.name == attempts.c.step)))
        .where(
            attempts.c.run_id == lease.run_id,
            attempts.c.step == lease.step,
            attempts.c.attempt > steps.c.budget_from,
            attempts.c.outcome.in_([kind.value for kind in counted]),
        )
    )
    with store.read() as connection:
        times = connection.execute(query).scalar_one() + 1
    match outcome:
        case Outcome.INTERRUPTED:
            return _doubled(times)
        case Outcome.LOST:
            return None if times >= LOSSES_ALLOWED else _doubled(times - _LOST_AT_ONCE)
        case Outcome.CRASHED:
            return None if times >= CRASHES_ALLOWED else spec.backoff_after(times)
        case _:
            return None if times > spec.retries else spec.backoff_after(times)


def _doubled(times: int) -> float:
    return float(min(2 ** min(times - 1, 30), LONGEST_WAIT_S)) if times > 0 else 0.0


def longest_wait_s(spec: StepSpec, attempts_so_far: int) -> float:
    """Return how long a step may have been told to wait, whatever the clock said then."""
    return max(LONGEST_WAIT_S, spec.backoff_after(attempts_so_far))


def _settle(change: Change, run: PipelineRun) -> None:
    """End the run when nothing of it is left to do."""
    if change.connection.execute(_LEFT, {"in_run": run.id}).first() is not None:
        return
    undone = select(steps.c.name).where(steps.c.run_id == run.id, steps.c.status.not_in(_DONE)).limit(1)
    failed = change.connection.execute(undone).first() is not None
    status = RunStatus.FAILED if failed else RunStatus.SUCCEEDED
    ended = change.execute(
        update(runs)
        .where(runs.c.id == run.id, runs.c.status == OPEN)
        .values(status=status.value, finished_at=change.at.isoformat())
    )
    if ended.rowcount == 1:
        change.record(
            PipelineFinished(run=run.id, pipeline=run.pipeline, status=status.value, outputs=_outputs(change, run.id))
        )


def _skip(change: Change, run: PipelineRun) -> None:
    """Give up the steps that need one that failed."""
    query = select(steps.c.name, steps.c.status).where(steps.c.run_id == run.id)
    now = {row.name: StepStatus(row.status) for row in change.connection.execute(query)}
    if skipped := _unreachable(run.spec, now):
        change.execute(
            update(steps)
            .where(steps.c.run_id == run.id, steps.c.name.in_(skipped))
            .values(status=StepStatus.SKIPPED.value, finished_at=change.at.isoformat())
        )


def _unreachable(spec: PipelineSpec, now: Mapping[str, StepStatus]) -> list[str]:
    """Return the waiting steps that need, directly or not, a step that failed."""
    lost = {name for name, status in now.items() if status in {StepStatus.FAILED, StepStatus.SKIPPED}}
    found: list[str] = []
    while more := [
        step.name for step in spec.steps
        if now[step.name] is StepStatus.WAITING and step.name not in lost and lost.intersection(step.needs)
    ]:  # fmt: skip
        lost.update(more)
        found += more
    return found


def _outputs(change: Change, run_id: str) -> str:
    query = (
        select(steps.c.name, steps.c.outputs)
        .where(steps.c.run_id == run_id, steps.c.outputs.is_not(None))
        .order_by(steps.c.position)
    )
    return digest_of({row.name: digest_of_bytes(row.outputs.encode()) for row in change.connection.execute(query)})


def _check_there(change: Change, taken: Taken, seen: Lease) -> None:
    """Refuse outputs that were removed since they were found; in this change they cannot be any more."""
    query = select(steps.c.run_id).where(
        steps.c.run_id == taken.run_id, steps.c.cache_key == taken.key, steps.c.outputs.is_not(None)
    )
    if change.connection.execute(query.with_for_update(read=True)).first() is None:
        raise FenceLost(f"what step {seen.step} would take over was removed", where=f"pipeline run {taken.run_id}")


def _lock(change: Change, run_id: str) -> None:
    # On PostgreSQL two runners may end the last two steps at once; one must see the other's. SQLite has one writer.
    if change.connection.dialect.name == "postgresql":
        change.connection.execute(select(runs.c.id).where(runs.c.id == run_id).with_for_update())


def _step(run_id: str, name: str) -> Update:
    return update(steps).where(steps.c.run_id == run_id, steps.c.name == name)
