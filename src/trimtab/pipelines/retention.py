"""What of pipelines may be let go: outputs of runs that came to nothing, logs of steps, and ended runs."""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Row, delete, func, or_, select, update

from trimtab.pipelines.find import OPEN
from trimtab.pipelines.logs import log_folder
from trimtab.pipelines.records import PipelineSpec, RunStatus
from trimtab.pipelines.tables import pipeline_attempts as attempts
from trimtab.pipelines.tables import pipeline_leases as leases
from trimtab.pipelines.tables import pipeline_runs as runs
from trimtab.pipelines.tables import pipeline_steps as steps
from trimtab.store import ATTEMPTS, LOGS, RUNS, Change, Old, Store

_NOTHING_CAME = (RunStatus.FAILED.value, RunStatus.CANCELLED.value)
_SNAPSHOT, _RUN = re.compile(r"\bsnap_[0-9a-f]{20}\b"), re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")


class FailedOutputs:
    """Outputs of failed and cancelled runs. Tried again, such a run does the steps again that had made them."""

    name, what, at_once = ATTEMPTS, "outputs of failed and cancelled runs", 200

    def old(self, connection: Connection, *, before: datetime) -> Iterator[Old]:
        kept = select(steps.c.run_id).where(or_(steps.c.outputs.is_not(None), steps.c.blobs.is_not(None)))
        for row in _ended(connection, before, runs.c.status.in_(_NOTHING_CAME), runs.c.id.in_(kept)):
            yield _old(row)

    def remove(self, change: Change, some: Sequence[Old]) -> None:
        change.execute(
            update(steps).where(steps.c.run_id.in_(_ids(some))).values(outputs=None, blobs=None, cache_key=None)
        )

    def finish(self, some: Sequence[Old]) -> None:
        """Their bytes are blobs, which are swept."""


class StepLogs:
    """Logs of ended runs: files of this home."""

    name, what, at_once = LOGS, "logs of steps", 200

    def __init__(self, store: Store) -> None:
        self._store = store

    def old(self, connection: Connection, *, before: datetime) -> Iterator[Old]:
        for row in _ended(connection, before):
            folder = log_folder(self._store.settings, row.id)
            if folder.is_dir():
                yield _old(row, size_bytes=sum(file.stat().st_size for file in folder.iterdir()))

    def remove(self, change: Change, some: Sequence[Old]) -> None:
        """No row is about a log."""

    def finish(self, some: Sequence[Old]) -> None:
        _remove_logs(self._store, some)


class EndedPipelineRuns:
    """Ended runs of which nothing was registered, with their logs."""

    name, what, at_once = RUNS, "pipeline runs", 100

    def __init__(self, store: Store) -> None:
        self._store = store

    def old(self, connection: Connection, *, before: datetime) -> Iterator[Old]:
        return map(_old, _ended(connection, before))

    def remove(self, change: Change, some: Sequence[Old]) -> None:
        ids = _ids(some)
        for table in (attempts, leases, steps):
            change.execute(delete(table).where(table.c.run_id.in_(ids)))
        change.execute(delete(runs).where(runs.c.id.in_(ids)))

    def finish(self, some: Sequence[Old]) -> None:
        _remove_logs(self._store, some)


def needed_by_open_runs(connection: Connection) -> Iterator[str]:
    """Yield the runs that go on, with what their finished steps have named: later ones read it."""
    for (id_,) in connection.execute(select(runs.c.id).where(runs.c.status == OPEN)):
        yield from named_by_run(connection, id_)


def named_by_run(connection: Connection, run_id: str) -> Iterator[str]:
    """Yield a run, and the snapshots and runs that its steps' outputs name."""
    yield f"run:{run_id}"
    query = select(steps.c.outputs).where(steps.c.run_id == run_id, steps.c.outputs.is_not(None))
    for text in connection.execute(query).scalars():
        yield from (f"snapshot:{id_}" for id_ in _SNAPSHOT.findall(text))
        yield from (f"run:{id_}" for id_ in _RUN.findall(text))


def writing_since(connection: Connection) -> datetime | None:
    """Return since when the oldest run goes on: a step keeps bytes long before it ends, and its outputs name them."""
    found = connection.execute(select(func.min(runs.c.submitted_at)).where(runs.c.status == OPEN)).scalar()
    return None if found is None else datetime.fromisoformat(found)


def is_pipeline_run(connection: Connection, id_: str) -> bool:
    """Say whether there is a run with this id."""
    return connection.execute(select(runs.c.id).where(runs.c.id == id_)).first() is not None


def _ended(connection: Connection, before: datetime, *narrowed: object) -> Iterable[Row[tuple[str, str, str, str]]]:
    columns = runs.c.id, runs.c.pipeline, runs.c.spec, runs.c.finished_at
    query = select(*columns).where(runs.c.status != OPEN, runs.c.finished_at < before.isoformat(), *narrowed)  # type: ignore[arg-type]
    return connection.execute(query.order_by(runs.c.finished_at))


def _old(row: Row[tuple[str, str, str, str]], *, size_bytes: int = 0) -> Old:
    spec = msgspec.json.decode(row.spec, type=PipelineSpec)
    declared = (step.params.get("model") for step in spec.steps)
    models = dict.fromkeys(str(one["name"]) for one in declared if isinstance(one, dict) and "name" in one)
    return Old(
        of=(f"run:{row.id}", f"pipeline:{row.pipeline}", *(f"model:{name}" for name in models)),
        since=datetime.fromisoformat(row.finished_at), size_bytes=size_bytes,
    )  # fmt: skip


def _ids(some: Sequence[Old]) -> list[str]:
    return [one.names[0].removeprefix("run:") for one in some]


def _remove_logs(store: Store, some: Sequence[Old]) -> None:
    for folder in (log_folder(store.settings, id_) for id_ in _ids(some)):
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)  # what is left of it is found again
