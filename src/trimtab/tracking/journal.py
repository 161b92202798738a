"""Write down what a run logs: in batches, each of which counts once, while the run is running."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, and_, case, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from trimtab.kernel import is_digest
from trimtab.store import Change, Journal, Store
from trimtab.tracking.errors import BadName, ParamChanged, RunMissing, RunNotRunning
from trimtab.tracking.names import (
    FURTHEST_STEP,
    ROLE_LENGTH,
    WRITER_LENGTH,
    checked_artifact,
    checked_key,
    checked_media_type,
    checked_name,
    checked_texts,
    checked_whole,
    fit_text,
    number_in,
)
from trimtab.tracking.reading import artifact_of
from trimtab.tracking.records import Artifact, Batch, DatasetLink, LoggedModel, MetricPoint, RunStatus
from trimtab.tracking.tables import (
    tracking_artifacts,
    tracking_console,
    tracking_datasets,
    tracking_metrics,
    tracking_models,
    tracking_params,
    tracking_points,
    tracking_runs,
    tracking_tags,
    tracking_writers,
)


class _Series(msgspec.Struct):
    """The points of one metric in one batch, and what they amount to."""

    rows: list[tuple[int, int, float | None]] = []
    low: float = math.inf
    high: float = -math.inf
    last: int = 0
    """Place of the last row by step, then time, then order."""

    @property
    def has_number(self) -> bool:
        return self.low <= self.high


def log_batch(store: Store, run_id: str, batch: Batch) -> None:
    """Add what one writer of a run has to say. A batch that came before changes nothing.

    Raises ``RunMissing``, ``RunNotRunning``, ``ParamChanged`` or ``BadName``; nothing of the batch is kept then.
    """
    checked_key(batch.writer, of="writer", most=WRITER_LENGTH)
    checked_whole(batch.number, of="number of a batch")
    params, tags = checked_texts(batch.params, of="parameter"), checked_texts(batch.tags, of="tag")
    series = _series(batch.points)
    for link in batch.datasets:
        check_dataset(link)
    with store.journal() as journal:
        require_running(journal.connection, run_id)
        if not _is_news(journal, run_id, batch, at=store.clock.now().isoformat()):
            return
        if params:
            _write_params(journal, run_id, params)
        if tags:
            write_texts(journal, tracking_tags, run_id, tags)
        if series:
            _write_points(journal, run_id, series)
        if batch.datasets:
            _write_datasets(journal, run_id, batch.datasets)
        if batch.console:
            row = {"run_id": run_id, "writer": batch.writer, "number": batch.number, "text": fit_text(batch.console)}
            journal.execute(insert(tracking_console).values(row))


def log_artifact(store: Store, run_id: str, name: str, data: bytes, *, media_type: str) -> Artifact:
    """Keep a file of a running run; one of the same name is replaced. Raises ``RunNotRunning`` or ``BadName``."""
    checked_artifact(name)
    checked_media_type(media_type)
    with store.read() as connection:
        require_running(connection, run_id, lock=False)
    digest = store.blobs.put(data)
    row = {
        "id": store.ids.new(), "run_id": run_id, "name": name, "digest": digest, "size_bytes": len(data),
        "media_type": media_type, "logged_at": store.clock.now().isoformat(),
    }  # fmt: skip
    with store.journal() as journal:
        require_running(journal.connection, run_id)
        write_artifact(journal, row)
        found = journal.connection.execute(
            select(tracking_artifacts).where(tracking_artifacts.c.run_id == run_id, tracking_artifacts.c.name == name)
        ).one()
    return artifact_of(found)


def log_model(store: Store, run_id: str, model: LoggedModel) -> None:
    """Add a model to a running run; its bytes, sample and profile are among the run's artifacts already."""
    checked_name(model.name, of="a model")
    row = {
        "run_id": run_id, "name": model.name, "digest": model.digest, "record": msgspec.json.encode(model).decode(),
    }  # fmt: skip
    with store.journal() as journal:
        require_running(journal.connection, run_id)
        kept = select(tracking_artifacts.c.digest).where(tracking_artifacts.c.run_id == run_id)
        digests = set(journal.connection.execute(kept).scalars())
        for digest in (model.digest, model.signature_digest, model.sample, model.profile):
            if digest not in digests:
                raise BadName(
                    f"the model {model.name!r} names {digest[:19]}…, which is no artifact of the run",
                    where=f"run {run_id}",
                    why="A model is made of files that its run keeps.",
                    next="log its bytes, its sample and its profile as artifacts first",
                )
        journal.execute(upsert(journal.connection.dialect.name, tracking_models, ("run_id", "name")), [row])


def require_running(connection: Connection, run_id: str, *, lock: bool = True) -> None:
    """Raise ``RunMissing`` or ``RunNotRunning``; with ``lock`` the run cannot end before the transaction does."""
    query = select(tracking_runs.c.status).where(tracking_runs.c.id == run_id)
    status = connection.execute(query.with_for_update(read=True) if lock else query).scalar()
    if status is None:
        raise RunMissing(f"there is no run {run_id[:40]!r}", where="tracking")
    if status != RunStatus.RUNNING:
        raise RunNotRunning(f"the run {run_id} has ended: {status}", where="tracking", run=run_id, status=status)


@functools.cache
def upsert(dialect: str, table: Table, keys: tuple[str, ...]) -> Any:
    """Return an insert that replaces a row with the same keys; an ``id`` stays.

    It is made once: making a statement costs more than running it.
    """
    statement = insert_for(dialect, table)
    changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in (*keys, "id")}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)


def insert_for(dialect: str, table: Table) -> Any:
    """Return the insert of a dialect, which can settle conflicts."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def write_texts(journal: Change | Journal, table: Table, run_id: str, texts: Mapping[str, str]) -> None:
    """Set parameters or tags, in the order of their keys, so that two writers never wait for each other."""
    if texts:
        journal.execute(upsert(journal.connection.dialect.name, table, ("run_id", "key")), _text_rows(run_id, texts))


def _text_rows(run_id: str, texts: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"run_id": run_id, "key": key, "value": value, "number": number_in(value)}
        for key, value in sorted(texts.items())
    ]


def write_artifact(journal: Change | Journal, row: Mapping[str, Any]) -> None:
    """Enter a file in its run's manifest."""
    journal.execute(upsert(journal.connection.dialect.name, tracking_artifacts, ("run_id", "name")), [row])


def _is_news(journal: Journal, run_id: str, batch: Batch, *, at: str) -> bool:
    """Note a writer's sign of life; return False for a batch that it sent before."""
    # One statement: when a batch is sent again while its first copy is still being written, the second waits, and sees.
    row = {"run_id": run_id, "writer": batch.writer, "batch": batch.number, "at": at}
    return journal.execute(_next_batch(journal.connection.dialect.name), row).first() is not None


@functools.cache
def _next_batch(dialect: str) -> Any:
    statement = insert_for(dialect, tracking_writers)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["run_id", "writer"],
        set_={"batch": new.batch, "at": new.at},
        where=new.batch > tracking_writers.c.batch,
    ).returning(tracking_writers.c.batch)


def _write_params(journal: Journal, run_id: str, params: Mapping[str, str]) -> None:
    """Set parameters that the run has not; raise ``ParamChanged`` when it has another value of one."""
    table = tracking_params.c
    # Entered first and compared then: of two writers at one moment the second waits here, and sees what the first said.
    journal.execute(_new_params(journal.connection.dialect.name), _text_rows(run_id, params))
    query = select(table.key, table.value).where(table.run_id == run_id, table.key.in_(list(params)))
    for key, value in journal.connection.execute(query):
        if value != params[key]:
            raise ParamChanged(
                f"parameter {key!r} is {value[:60]!r} already, not {params[key][:60]!r}",
                where=f"run {run_id}",
                run=run_id,
                key=key,
            )


@functools.cache
def _new_params(dialect: str) -> Any:
    return insert_for(dialect, tracking_params).on_conflict_do_nothing(index_elements=["run_id", "key"])


def _series(points: Iterable[MetricPoint]) -> dict[str, _Series]:
    found: dict[str, _Series] = {}
    for point in points:
        series = found.get(point.key)
        if series is None:
            series = found[checked_key(point.key, of="metric")] = _Series(rows=[])
        value = float(point.value)
        if abs(point.step) > FURTHEST_STEP or abs(point.at_us) > 2**62:
            raise BadName(
                f"metric {point.key[:60]!r} has step {point.step}",
                where=f"metric {point.key[:60]}",
                why="Steps are whole numbers up to 2**53 either way, so that every client can read them.",
                next="count steps in larger units",
            )
        if value == value:  # noqa: PLR0124  not NaN
            series.low = min(series.low, value)
            series.high = max(series.high, value)
        row = (point.step, point.at_us, value if value == value else None)  # noqa: PLR0124
        series.rows.append(row)
        if row[:2] >= series.rows[series.last][:2]:
            series.last = len(series.rows) - 1
    return found


@functools.cache
def _metric_upsert(dialect: str) -> Any:
    """Return the statement that adds a batch's points to each metric's sums, and gives back which rows they are."""
    metrics = tracking_metrics.c
    statement = insert_for(dialect, tracking_metrics)
    new = statement.excluded
    later = or_(new.step > metrics.step, and_(new.step == metrics.step, new.at_us >= metrics.at_us))
    return statement.on_conflict_do_update(
        index_elements=["run_id", "key"],
        set_={
            "points": metrics.points + new.points,
            "value": case((later, new.value), else_=metrics.value),
            "step": case((later, new.step), else_=metrics.step),
            "at_us": case((later, new.at_us), else_=metrics.at_us),
            "min": case((or_(metrics.min.is_(None), new.min < metrics.min), new.min), else_=metrics.min),
            "max": case((or_(metrics.max.is_(None), new.max > metrics.max), new.max), else_=metrics.max),
        },
    ).returning(metrics.key, metrics.id, metrics.points)


def _write_points(journal: Journal, run_id: str, found: Mapping[str, _Series]) -> None:
    sums: list[dict[str, Any]] = []
    for key, series in sorted(found.items()):
        step, at_us, value = series.rows[series.last]
        low, high = (series.low, series.high) if series.has_number else (None, None)
        sums.append(
            {"run_id": run_id, "key": key, "points": len(series.rows), "value": value, "step": step, "at_us": at_us,
             "min": low, "max": high}
        )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for entered in journal.execute(_metric_upsert(journal.connection.dialect.name), sums):
        logged = found[entered.key].rows
        first = entered.points - len(logged) + 1
        rows += [
            {"metric_id": entered.id, "number": first + n, "step": step, "at_us": at_us, "value": value}
            for n, (step, at_us, value) in enumerate(logged)
        ]
    journal.execute(insert(tracking_points), rows)


def _write_datasets(journal: Journal, run_id: str, links: Iterable[DatasetLink]) -> None:
    rows = [
        {"run_id": run_id, "digest": link.digest, "role": link.role, "name": link.name, "rows": link.rows}
        for link in sorted(links, key=lambda link: (link.digest, link.role))
    ]
    journal.execute(upsert(journal.connection.dialect.name, tracking_datasets, ("run_id", "digest", "role")), rows)


def check_dataset(link: DatasetLink) -> None:
    """Raise ``BadName`` for a link that names no data."""
    checked_key(link.role, of="role", most=ROLE_LENGTH)
    if link.name:
        checked_name(link.name, of="a dataset")
    if link.rows is not None:
        checked_whole(link.rows, of="number of rows")
    if not isinstance(link.digest, str) or not is_digest(link.digest):
        raise BadName(
            f"{str(link.digest)[:40]!r} is not a dataset's digest",
            where="dataset",
            why="Data is named by the SHA-256 of its content: sha256:<64 hex digits>.",
            next="give a snapshot's digest, or the frame itself: run.log_dataset(frame, role='train')",
        )


def points_in(connection: Connection, run_id: str) -> int:
    """Return how many points a run has."""
    total = select(func.sum(tracking_metrics.c.points)).where(tracking_metrics.c.run_id == run_id)
    return int(connection.execute(total).scalar() or 0)
