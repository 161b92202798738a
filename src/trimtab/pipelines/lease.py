"""Who may run a step, decided by one row: claims, fences, and taking over from the dead.

A claim adds one to the step's fence and counts the attempt, in one committed transaction, before the body runs. All
that is written about the attempt afterwards demands that the fence is still the same, so a runner that was thought
dead (a stopped process, a lost network) can come back and write nothing.
"""

import msgspec
from sqlalchemy import Connection, Update, bindparam, delete, exists, insert, select, update

from trimtab.kernel import Clock, Conflict
from trimtab.pipelines import process
from trimtab.pipelines.records import Outcome, StepError
from trimtab.pipelines.tables import pipeline_attempts as attempts
from trimtab.pipelines.tables import pipeline_leases as leases
from trimtab.pipelines.tables import pipeline_runners as runners
from trimtab.store import Change, Journal, Store


class FenceLost(Conflict):
    """A result came from an attempt that another has overtaken."""

    code = "pipelines.fence-lost"
    default_why = "The step was cancelled, or another runner took it over because this one seemed dead."
    default_next = "nothing: the result is refused, and the step's newest attempt decides"


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to run one attempt of a step, as long as ``fence`` is the newest."""

    run_id: str
    step: str
    fence: int
    attempt: int
    runner: str


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A runner as its row describes it."""

    id: str
    machine: str
    pid: int
    process_started: str
    beat: int


def register(store: Store, owner: Owner) -> None:
    """Make a runner known, before its first claim."""
    with store.journal() as journal:
        # It may be there: when an interrupt came between the commit and the note that it was made.
        journal.execute(delete(runners).where(runners.c.id == owner.id))
        journal.execute(insert(runners).values(**msgspec.structs.asdict(owner)))


def beat(store: Store, runner: str) -> None:
    """Show others that a runner lives."""
    with store.journal() as journal:
        journal.execute(update(runners).where(runners.c.id == runner).values(beat=runners.c.beat + 1))


def leave(store: Store, runner: str) -> None:
    """Forget a runner that holds nothing."""
    with store.journal() as journal:
        journal.execute(delete(runners).where(runners.c.id == runner))


_TAKE = (
    update(leases)
    .where(
        leases.c.run_id == bindparam("in_run"),
        leases.c.step == bindparam("of_step"),
        leases.c.fence == bindparam("seen"),
        leases.c.runner.is_(None),
    )
    .values(fence=bindparam("fence"), runner=bindparam("runner"), attempts=bindparam("attempts"), not_before=None)
)
_FREE = (
    update(leases)
    .where(
        leases.c.run_id == bindparam("in_run"),
        leases.c.step == bindparam("of_step"),
        leases.c.fence == bindparam("seen"),
        leases.c.runner == bindparam("mine"),
    )
    .values(runner=None, not_before=bindparam("not_before"))
)
_END = (
    update(attempts)
    .where(
        attempts.c.run_id == bindparam("in_run"),
        attempts.c.step == bindparam("of_step"),
        attempts.c.attempt == bindparam("number"),
    )
    .values(
        outcome=bindparam("outcome"),
        finished_at=bindparam("finished_at"),
        seconds=bindparam("seconds"),
        error=bindparam("error"),
    )
)
# Built once: making these statements anew for each step would cost as much as running them.


def claim(store: Store, seen: Lease, *, worker_pid: int, worker_started: str, at: str) -> Lease | None:
    """Take a step whose row was seen free with ``seen.fence`` and ``seen.attempt``; None when another was faster."""
    mine = msgspec.structs.replace(seen, fence=seen.fence + 1, attempt=seen.attempt + 1)
    with store.journal() as journal:
        taken = journal.execute(
            _TAKE,
            {
                "in_run": seen.run_id,
                "of_step": seen.step,
                "seen": seen.fence,
                "fence": mine.fence,
                "runner": mine.runner,
                "attempts": mine.attempt,
            },
        )
        if taken.rowcount != 1:
            return None
        journal.execute(
            insert(attempts),
            {
                "run_id": mine.run_id,
                "step": mine.step,
                "attempt": mine.attempt,
                "fence": mine.fence,
                "runner": mine.runner,
                "worker_pid": worker_pid,
                "worker_started": worker_started,
                "started_at": at,
            },
        )
    return mine


def hand_to(store: Store, lease: Lease, *, worker_pid: int, worker_started: str) -> None:
    """Note that another worker does the attempt, whose body has not begun."""
    with store.journal() as journal:
        journal.execute(_attempt(lease).values(worker_pid=worker_pid, worker_started=worker_started))


def give_up(
    writer: Journal | Change,
    lease: Lease,
    *,
    outcome: Outcome,
    at: str,
    seconds: float | None = None,
    error: StepError | None = None,
    not_before: str | None = None,
) -> None:
    """End an attempt and free its step; raise ``FenceLost``, and so undo the transaction, when it was overtaken."""
    place = {"in_run": lease.run_id, "of_step": lease.step}
    freed = writer.execute(_FREE, {**place, "seen": lease.fence, "mine": lease.runner, "not_before": not_before})
    if freed.rowcount != 1:
        raise FenceLost(
            f"attempt {lease.attempt} of step {lease.step} may not write its result",
            where=f"pipeline run {lease.run_id}",
        )
    writer.execute(
        _END,
        {
            **place,
            "number": lease.attempt,
            "outcome": outcome.value,
            "finished_at": at,
            "seconds": seconds,
            "error": None if error is None else msgspec.json.encode(error).decode(),
        },
    )


def note_progress(store: Store, lease: Lease, *, done: float, total: float | None, unit: str) -> None:
    """Let other processes see how far an attempt is."""
    with store.journal() as journal:
        journal.execute(_attempt(lease).values(done=done, total=total, unit=unit[:40]))


def held_by(connection: Connection, runner: str) -> set[Lease]:
    """Return the leases that a runner holds."""
    query = select(leases.c.run_id, leases.c.step, leases.c.fence, leases.c.attempts).where(leases.c.runner == runner)
    return {
        Lease(run_id=row.run_id, step=row.step, fence=row.fence, attempt=row.attempts, runner=runner)
        for row in connection.execute(query)
    }


def others(connection: Connection, runner: str) -> dict[Lease, Owner | None]:
    """Return the leases of all other runners, and the runners (None: not known any more)."""
    query = (
        select(leases, runners.c.id, runners.c.machine, runners.c.pid, runners.c.process_started, runners.c.beat)
        .outerjoin(runners, runners.c.id == leases.c.runner)
        .where(leases.c.runner.is_not(None), leases.c.runner != runner)
        .order_by(leases.c.run_id, leases.c.step)
    )
    found: dict[Lease, Owner | None] = {}
    for row in connection.execute(query):
        lease = Lease(run_id=row.run_id, step=row.step, fence=row.fence, attempt=row.attempts, runner=row.runner)
        found[lease] = row.id and Owner(
            id=row.id, machine=row.machine, pid=row.pid, process_started=row.process_started, beat=row.beat
        )
    return found


def idle_runners(connection: Connection) -> list[Owner]:
    """Return the runners that hold no lease."""
    query = select(runners).where(~exists().where(leases.c.runner == runners.c.id)).order_by(runners.c.id)
    return [
        Owner(id=row.id, machine=row.machine, pid=row.pid, process_started=row.process_started, beat=row.beat)
        for row in connection.execute(query)
    ]


class Watch:
    """Tells which runners are dead: at once on this machine, otherwise when their beat stood still for ``lease_s``.

    The time is this process's own monotonic one: clocks of two machines are never compared.
    """

    def __init__(self, clock: Clock, *, lease_s: float, is_one_machine: bool) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._is_one_machine = is_one_machine
        self._seen: dict[str, tuple[int, float]] = {}

    def is_dead(self, owner: Owner) -> bool:
        host, boot, namespace = process.machine().split("/")
        their_host, their_boot, their_namespace = owner.machine.split("/")
        if (host, boot, namespace) == (their_host, their_boot, their_namespace):
            if not process.is_alive(owner.pid, owner.process_started):
                return True
        elif self._is_one_machine and boot != their_boot:
            # Users of one SQLite file share a kernel, and theirs has been restarted since.
            return True
        now = self._clock.monotonic()
        count, since = self._seen.get(owner.id, (-1, now))
        if count != owner.beat:
            self._seen[owner.id] = (owner.beat, now)
            return False
        return now - since >= self._lease_s


def end_worker_of(store: Store, lease: Lease, owner: Owner) -> None:
    """Kill the worker that does a dead runner's step, if it lives on this machine."""
    if owner.machine != process.machine():
        return
    query = select(attempts.c.worker_pid, attempts.c.worker_started).where(
        attempts.c.run_id == lease.run_id, attempts.c.step == lease.step, attempts.c.attempt == lease.attempt
    )
    with store.read() as connection:
        worker = connection.execute(query).first()
    if worker is not None:
        process.end_worker(worker.worker_pid, worker.worker_started)


def hand_back(store: Store, lease: Lease) -> bool:
    """Free a step that is not being done any more, for another to begin it anew; say whether it was still held."""
    try:
        with store.journal() as journal:
            give_up(journal, lease, outcome=Outcome.INTERRUPTED, at=store.clock.now().isoformat())
    except FenceLost:
        return False
    return True


def revoke(change: Change, run_id: str) -> None:
    """Take every step of a run away from whoever holds it; their workers are killed when they notice."""
    change.execute(
        update(attempts)
        .where(attempts.c.run_id == run_id, attempts.c.outcome.is_(None))
        .values(outcome=Outcome.CANCELLED.value, finished_at=change.at.isoformat())
    )
    change.execute(
        update(leases).where(leases.c.run_id == run_id).values(fence=leases.c.fence + 1, runner=None, not_before=None)
    )


def _attempt(lease: Lease) -> Update:
    return update(attempts).where(
        attempts.c.run_id == lease.run_id, attempts.c.step == lease.step, attempts.c.attempt == lease.attempt
    )
