"""Read runs and what they have logged."""

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Row, Select, Table, bindparam, select

from trimtab.kernel import Invalid
from trimtab.store import Store, why_gone
from trimtab.tracking.errors import ArtifactMissing, RunMissing
from trimtab.tracking.records import (
    Artifact,
    DatasetLink,
    Experiment,
    LoggedModel,
    Measured,
    MetricPoint,
    OddNumber,
    PointPage,
    Run,
    RunStatus,
    Seal,
    json_value,
)
from trimtab.tracking.tables import (
    tracking_artifacts,
    tracking_console,
    tracking_datasets,
    tracking_experiments,
    tracking_metrics,
    tracking_models,
    tracking_params,
    tracking_points,
    tracking_runs,
    tracking_tags,
)

RUN_COLUMNS: tuple[Any, ...] = (*tracking_runs.c, tracking_experiments.c.name.label("experiment"))
POINTS_LIMIT = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDS_AT_ONCE = 500


def get_run(store: Store, run_id: str) -> Run:
    """Return one run; raise ``RunMissing``."""
    try:
        with store.read() as connection:
            return run_in(connection, run_id)
    except RunMissing as error:
        raise RunMissing(error.what, where=error.where, **why_gone(store, f"run:{run_id}")) from None


def run_in(connection: Connection, run_id: str) -> Run:
    """Return one run as a transaction sees it; raise ``RunMissing``."""
    query = select(*RUN_COLUMNS).join_from(tracking_runs, tracking_experiments).where(tracking_runs.c.id == run_id)
    found = runs_of(connection, connection.execute(query).all())
    if not found:
        raise RunMissing(f"there is no run {run_id[:40]!r}", where="tracking")
    return found[0]


def runs_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[Run]:
    """Turn rows of ``RUN_COLUMNS`` into runs, with everything that they logged, in the same order."""
    ids = [row.id for row in rows]
    params = _texts(connection, tracking_params, ids)
    tags = _texts(connection, tracking_tags, ids)
    metrics: defaultdict[str, dict[str, Measured]] = defaultdict(dict)
    of = tracking_metrics.c
    for run_id, key, value, step, at_us, points, low, high in _of_runs(
        connection, ids, of.run_id, of.key, of.value, of.step, of.at_us, of.points, of.min, of.max
    ):
        metrics[run_id][key] = Measured(
            value=value, step=step, at=moment(at_us), points=points, min=low, max=high, odd=_odd(value, low, high)
        )
    datasets: defaultdict[str, list[DatasetLink]] = defaultdict(list)
    linked = tracking_datasets.c
    for run_id, digest, role, name, count in _of_runs(
        connection, ids, linked.run_id, linked.digest, linked.role, linked.name, linked.rows
    ):
        datasets[run_id].append(DatasetLink(digest=digest, role=role, name=name, rows=count))
    return [
        Run(
            id=row.id,
            experiment=row.experiment,
            name=row.name,
            kind=row.kind,
            status=RunStatus(row.status),
            actor=row.actor,
            started_at=datetime.fromisoformat(row.started_at),
            finished_at=datetime.fromisoformat(row.finished_at) if row.finished_at else None,
            parent_id=row.parent_id,
            host=row.host,
            error=row.error,
            seal=msgspec.json.decode(row.seal, type=Seal) if row.seal else None,
            params=dict(sorted(params[row.id].items())),
            tags=dict(sorted(tags[row.id].items())),
            metrics=dict(sorted(metrics[row.id].items())),
            datasets=tuple(sorted(datasets[row.id], key=lambda link: (link.role, link.digest))),
        )
        for row in rows
    ]


def list_experiments(store: Store) -> list[Experiment]:
    """Return every experiment, by name."""
    with store.read() as connection:
        rows = connection.execute(select(tracking_experiments)).all()
    found = [
        Experiment(id=r.id, name=r.name, created_at=datetime.fromisoformat(r.created_at), created_by=r.created_by)
        for r in rows
    ]
    return sorted(found, key=lambda experiment: experiment.name)


def get_metric(
    store: Store, run_id: str, key: str, *, limit: int = POINTS_LIMIT, cursor: str | None = None
) -> PointPage:
    """Return the points of one metric, in the order in which they were logged; none for a metric that was not."""
    after = _number(cursor)
    points, metrics = tracking_points.c, tracking_metrics.c
    query: Select[Any] = (
        select(points.number, points.step, points.at_us, points.value)
        .join(tracking_metrics, metrics.id == points.metric_id)
        .where(metrics.run_id == run_id, metrics.key == key, points.number > after)
        .order_by(points.number)
        .limit(limit + 1)
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    items = tuple(
        MetricPoint(key, row.step, row.at_us, "nan" if row.value is None else json_value(row.value))
        for row in rows[:limit]
    )
    return PointPage(items=items, next=str(rows[limit - 1].number) if len(rows) > limit else None)


def list_artifacts(store: Store, run_id: str) -> list[Artifact]:
    """Return a run's files, by name."""
    query = select(tracking_artifacts).where(tracking_artifacts.c.run_id == run_id)
    with store.read() as connection:
        rows = connection.execute(query).all()
    return sorted((artifact_of(row) for row in rows), key=lambda artifact: artifact.name)


def get_artifact(store: Store, artifact_id: str) -> Artifact:
    """Return what is known of one file, by its id; raise ``ArtifactMissing``."""
    return _one_artifact(store, tracking_artifacts.c.id == artifact_id, shown=artifact_id)


def find_artifact(store: Store, run_id: str, name: str) -> Artifact:
    """Return what is known of one file, by its name in a run; raise ``ArtifactMissing``."""
    of_run = (tracking_artifacts.c.run_id == run_id) & (tracking_artifacts.c.name == name)
    return _one_artifact(store, of_run, shown=f"{name} in run {run_id}")


def read_artifact(store: Store, artifact: Artifact) -> bytes:
    """Return a file's bytes, verified."""
    return store.blobs.get(artifact.digest)


def list_models(store: Store, run_id: str) -> list[LoggedModel]:
    """Return the models that a run has logged, by name."""
    query = select(tracking_models.c.record).where(tracking_models.c.run_id == run_id)
    with store.read() as connection:
        records = connection.execute(query).scalars().all()
    found = [msgspec.json.decode(record, type=LoggedModel) for record in records]
    return sorted(found, key=lambda model: model.name)


def runs_with_dataset(store: Store, digest: str) -> list[str]:
    """Return the ids of the runs that used some data, the oldest first."""
    query = select(tracking_datasets.c.run_id).where(tracking_datasets.c.digest == digest)
    with store.read() as connection:
        return sorted(set(connection.execute(query).scalars()))


def read_console(store: Store, run_id: str) -> str:
    """Return what a run has printed so far."""
    with store.read() as connection:
        parts = console_in(connection, run_id)
    if parts:
        return "".join(text for _, _, text in parts)
    try:
        return read_artifact(store, find_artifact(store, run_id, "console.txt")).decode("utf-8", "replace")
    except ArtifactMissing:
        return ""


def console_in(connection: Connection, run_id: str) -> list[tuple[str, int, str]]:
    """Return the pieces of a running run's output: writer, number, text; each writer's in its order."""
    console = tracking_console.c
    query = select(console.writer, console.number, console.text).where(console.run_id == run_id)
    return sorted((row.writer, row.number, row.text) for row in connection.execute(query))


def artifact_of(row: Row[Any]) -> Artifact:
    """Turn a row into an artifact."""
    return Artifact(
        id=row.id,
        run_id=row.run_id,
        name=row.name,
        digest=row.digest,
        size_bytes=row.size_bytes,
        media_type=row.media_type,
        logged_at=datetime.fromisoformat(row.logged_at),
    )


def moment(at_us: int) -> datetime:
    """Return the time of a point."""
    return _EPOCH + timedelta(microseconds=at_us)


def microseconds(at: datetime) -> int:
    """Return a time as a point holds it."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _one_artifact(store: Store, condition: Any, *, shown: str) -> Artifact:
    with store.read() as connection:
        row = connection.execute(select(tracking_artifacts).where(condition)).first()
    if row is None:
        raise ArtifactMissing(f"there is no artifact {shown[:120]}", where="tracking", run="")
    return artifact_of(row)


def _odd(value: float | None, low: float | None, high: float | None) -> dict[str, OddNumber]:
    """Return in words which of a metric's numbers JSON has no number for; the table keeps a NaN as null."""
    words = {
        "value": "nan" if value is None else json_value(value),
        "min": None if low is None else json_value(low),
        "max": None if high is None else json_value(high),
    }
    return {name: word for name, word in words.items() if isinstance(word, str)}


def _texts(connection: Connection, table: Table, ids: list[str]) -> defaultdict[str, dict[str, str]]:
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for run_id, key, value in _of_runs(connection, ids, table.c.run_id, table.c.key, table.c.value):
        found[run_id][key] = value
    return found


def _of_runs(connection: Connection, ids: list[str], *columns: Column[Any]) -> Iterable[Any]:
    """Yield some columns of a table, the run's id first, for some runs."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield from connection.execute(_select_of(*columns), {"ids": ids[start : start + _IDS_AT_ONCE]}).all()


@functools.cache
def _select_of(*columns: Column[Any]) -> Select[Any]:
    """Return a query that is made once: making it costs more than running it."""
    return select(*columns).where(columns[0].in_(bindparam("ids", expanding=True)))


def _number(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise Invalid(
            "the cursor is not one of ours",
            where="query cursor",
            why="A cursor is the next value of the page before, unchanged.",
            next="start again without a cursor",
        )
    return int(cursor)
