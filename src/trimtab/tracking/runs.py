"""Start, end, continue and tag a run; each is one change with its event."""

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, select, update

from trimtab.kernel import SYSTEM, Actor, Conflict, Invalid, is_id
from trimtab.store import Change, Store
from trimtab.tracking.errors import RunMissing, RunNotRunning
from trimtab.tracking.events import ExperimentCreated, RunFinished, RunResumed, RunStarted, RunTagged
from trimtab.tracking.journal import (
    insert_for,
    points_in,
    write_artifact,
    write_texts,
)
from trimtab.tracking.names import HOST_LENGTH, PROCESS_LENGTH, checked_key, checked_name, checked_texts, fit_text
from trimtab.tracking.process import is_alive, this_host
from trimtab.tracking.reading import console_in, get_run, run_in
from trimtab.tracking.records import FinishRun, Run, RunStatus, Seal, StartRun
from trimtab.tracking.seal import digest_of_points, digest_of_texts, seal_of
from trimtab.tracking.tables import (
    tracking_console,
    tracking_experiments,
    tracking_params,
    tracking_runs,
    tracking_tags,
    tracking_writers,
)

CONSOLE = "console.txt"
LOST_AFTER_S = 60.0
"""A run on another machine counts as lost when nothing was heard of it for so long."""


def open_run(store: Store, start: StartRun, *, actor: Actor) -> Run:
    """Start a run, and its experiment when the name is new. Asking again with the same ``id`` changes nothing."""
    checked_name(start.experiment, of="an experiment")
    run_id = start.id or store.ids.new()
    name = checked_name(start.name or f"run-{run_id[-6:].lower()}", of="a run")
    texts = {
        tracking_params: checked_texts(start.params, of="parameter"),
        tracking_tags: checked_texts(start.tags, of="tag"),
    }
    if start.host:
        checked_key(start.host, of="host", most=HOST_LENGTH)
    if start.process:
        checked_key(start.process, of="process", most=PROCESS_LENGTH)
    if not is_id(run_id):
        raise Invalid(
            f"{run_id[:40]!r} cannot be the id of a run",
            where="run id",
            why="An id has 26 characters and begins with the time at which it was made.",
            next="leave the id out",
        )
    with store.read() as connection:
        known = select(tracking_runs.c.name).where(tracking_runs.c.id == run_id)
        found = connection.execute(known).first()
    if found is not None:
        return _same_run(store, run_id, start)
    if start.parent_id is not None:
        if not is_id(start.parent_id):
            raise RunMissing(f"there is no run {start.parent_id[:40]!r}", where="tracking")
        get_run(store, start.parent_id)
    with store.change(actor, start.because, durable=False) as change:
        experiment_id = _experiment(change, start.experiment)
        row = {
            "id": run_id, "experiment_id": experiment_id, "name": name, "kind": start.kind,
            "status": RunStatus.RUNNING, "parent_id": start.parent_id, "actor": actor.id,
            "started_at": change.at.isoformat(), "finished_at": None, "host": start.host, "process": start.process,
            "error": "", "seal": None,
        }  # fmt: skip
        change.insert(tracking_runs, row)
        for table, values in texts.items():
            write_texts(change, table, run_id, values)
        change.record(
            RunStarted(run_id=run_id, experiment_id=experiment_id, kind=start.kind, parent_id=start.parent_id)
        )
    return Run(
        id=run_id, experiment=start.experiment, name=name, kind=start.kind, status=RunStatus.RUNNING, actor=actor.id,
        started_at=change.at, parent_id=start.parent_id, host=start.host, params=dict(sorted(start.params.items())),
        tags=dict(sorted(start.tags.items())),
    )  # fmt: skip


def close_run(store: Store, run_id: str, finish: FinishRun, *, actor: Actor, at: datetime | None = None) -> Run:
    """End a run and seal what it logged. Asking again with the same status changes nothing.

    ``at`` is the moment at which it ended, when that is earlier than now. Raises ``RunMissing`` or ``RunNotRunning``.
    """
    if finish.status is RunStatus.RUNNING:
        raise Invalid(
            "a run cannot end as running",
            where=f"run {run_id}",
            why="Its end is finished, failed, killed or lost.",
            next="give one of these as status",
        )
    with store.read() as connection:
        printed = console_in(connection, run_id)
        digested = digest_of_points(connection, run_id)
    text = "".join(part for _, _, part in printed).encode()
    console = store.blobs.put(text) if text else None
    with store.change(actor, finish.because) as change:
        status = change.connection.execute(
            select(tracking_runs.c.status).where(tracking_runs.c.id == run_id).with_for_update()
        ).scalar()
        if status != RunStatus.RUNNING:
            return _already_ended(run_in(change.connection, run_id), finish)
        if console:
            write_artifact(
                change,
                {
                    "id": store.ids.new(), "run_id": run_id, "name": CONSOLE, "digest": console,
                    "size_bytes": len(text), "media_type": "text/plain", "logged_at": change.at.isoformat(),
                },
            )  # fmt: skip
            _drop_console(change, run_id, {writer: number for writer, number, _ in printed})
        # Points that came between the two transactions make the first digest worthless.
        same = points_in(change.connection, run_id) == digested[0]
        seal = seal_of(change.connection, run_id, metrics=digested if same else None)
        change.execute(
            update(tracking_runs)
            .where(tracking_runs.c.id == run_id)
            .values(
                status=finish.status,
                finished_at=(at or change.at).isoformat(),
                error=fit_text(finish.error[:2000]),
                seal=msgspec.json.encode(seal).decode(),
            )
        )
        change.record(RunFinished(run_id=run_id, status=finish.status, seal=seal))
    return get_run(store, run_id)


def resume_run(store: Store, run_id: str, *, actor: Actor, because: str = "", process: str | None = None) -> Run:
    """Let a run that has ended go on; its next end seals it again. Raises ``RunMissing``."""
    with store.change(actor, because, durable=False) as change:
        was = change.connection.execute(
            select(tracking_runs.c.status).where(tracking_runs.c.id == run_id).with_for_update()
        ).scalar()
        if was is None:
            raise RunMissing(f"there is no run {run_id[:40]!r}", where="tracking")
        if was != RunStatus.RUNNING:
            values = {"status": RunStatus.RUNNING, "finished_at": None, "error": "", "seal": None}
            if process:
                values |= {"process": process, "host": this_host()}
            change.execute(update(tracking_runs).where(tracking_runs.c.id == run_id).values(values))
            change.record(RunResumed(run_id=run_id, was=RunStatus(was)))
    return get_run(store, run_id)


def tag_run(store: Store, run_id: str, tags: Mapping[str, str], *, actor: Actor, because: str = "") -> Run:
    """Set tags of a run, whether it runs or has ended; an empty value removes a tag."""
    checked_texts(tags, of="tag")
    removed = [key for key, value in tags.items() if not value]
    with store.change(actor, because, durable=False) as change:
        row = change.connection.execute(
            select(tracking_runs.c.seal).where(tracking_runs.c.id == run_id).with_for_update()
        ).first()
        if row is None:
            raise RunMissing(f"there is no run {run_id[:40]!r}", where="tracking")
        write_texts(change, tracking_tags, run_id, {key: value for key, value in tags.items() if value})
        table = tracking_tags.c
        change.execute(delete(tracking_tags).where(table.run_id == run_id, table.key.in_(removed)))
        digest = digest_of_texts(change.connection, tracking_tags, run_id)
        if row.seal is not None:
            sealed = msgspec.structs.replace(msgspec.json.decode(row.seal, type=Seal), tags=digest)
            encoded = msgspec.json.encode(sealed).decode()
            change.execute(update(tracking_runs).where(tracking_runs.c.id == run_id).values(seal=encoded))
        change.record(RunTagged(run_id=run_id, keys=tuple(sorted(tags)), tags=digest))
    return get_run(store, run_id)


def find_lost(store: Store, *, actor: Actor = SYSTEM) -> list[Run]:
    """End every run whose process is gone as ``lost``, and return them.

    On this machine a process is gone when it no longer runs; elsewhere when nothing was heard of the run for
    ``LOST_AFTER_S``. Runs that name no process are left alone.
    """
    runs, writers = tracking_runs.c, tracking_writers.c
    with store.read() as connection:
        running = connection.execute(
            select(runs.id, runs.host, runs.process, runs.started_at)
            .where(runs.status == RunStatus.RUNNING, runs.process.is_not(None))
            .order_by(runs.started_at, runs.id)
        ).all()
        ids = [row.id for row in running]
        heard = {
            row.run_id: row.at
            for row in connection.execute(
                select(writers.run_id, writers.at).where(writers.run_id.in_(ids)).order_by(writers.at)
            )
        }
    now, here, lost = store.clock.now(), this_host(), []
    for row in running:
        last = datetime.fromisoformat(heard.get(row.id) or row.started_at)
        silent_s = (now - last).total_seconds()
        gone = not is_alive(row.process) if row.host == here else silent_s > LOST_AFTER_S
        if gone:
            finish = FinishRun(
                status=RunStatus.LOST,
                error=f"Its process on {row.host} ended without finishing the run.",
                because="its process is gone",
            )
            # Between the look at the rows and the look at its process it may have ended as it should.
            with contextlib.suppress(RunNotRunning):
                lost.append(close_run(store, row.id, finish, actor=actor, at=last))
    return lost


def _experiment(change: Change, name: str) -> str:
    """Return the id of an experiment, which is made when the name is new."""
    known = select(tracking_experiments.c.id).where(tracking_experiments.c.name == name)
    found = change.connection.execute(known).scalar()
    if found is not None:
        return str(found)
    id_ = change.new_id()
    row = {"id": id_, "name": name, "created_at": change.at.isoformat(), "created_by": change.actor.id}
    # Two runs may be the first of an experiment at the same moment: the unique name decides, and both go on.
    statement = insert_for(change.connection.dialect.name, tracking_experiments).values(row)
    statement = statement.on_conflict_do_nothing(index_elements=["name"]).returning(tracking_experiments.c.id)
    if change.execute(statement).first() is None:
        return str(change.connection.execute(known).scalar_one())
    change.record(ExperimentCreated(experiment_id=id_, name=name))
    return id_


def _same_run(store: Store, run_id: str, start: StartRun) -> Run:
    run = get_run(store, run_id)
    if (run.experiment, run.parent_id) != (start.experiment, start.parent_id):
        raise Conflict(
            f"the run {run_id} exists already",
            where=f"run {run_id}",
            why="An id names one run, and this one was started otherwise.",
            next="leave the id out, and a new one is made",
        )
    return run


def _already_ended(run: Run, finish: FinishRun) -> Run:
    if run.status is finish.status:
        return run
    raise RunNotRunning(
        f"the run {run.id} has ended already: {run.status}", where="tracking", run=run.id, status=run.status
    )


def _drop_console(change: Change, run_id: str, kept: Mapping[str, int]) -> None:
    """Delete the pieces of output that have become an artifact."""
    console = tracking_console.c
    for writer, number in kept.items():
        pieces: Any = (console.run_id == run_id, console.writer == writer, console.number <= number)
        change.execute(delete(tracking_console).where(*pieces))
