"""Digest what a run has logged, so that the ledger can vouch for it.

Each part is put in an order that does not depend on how it was written: points by step, time and value; everything
else by name.
"""

import hashlib

import msgspec
import numpy as np
from sqlalchemy import Connection, Table, select

from trimtab.kernel import digest_of
from trimtab.store import Store
from trimtab.tracking.errors import RunMissing
from trimtab.tracking.records import LoggedModel, Seal
from trimtab.tracking.tables import (
    tracking_artifacts,
    tracking_datasets,
    tracking_metrics,
    tracking_models,
    tracking_params,
    tracking_points,
    tracking_runs,
    tracking_tags,
)


def seal_of(connection: Connection, run_id: str, *, metrics: tuple[int, str] | None = None) -> Seal:
    """Return the seal of a run as a transaction sees it.

    ``metrics`` may give the number of points and their digest, when they were computed before and no point has come
    since.
    """
    points, digest = metrics or digest_of_points(connection, run_id)
    artifacts, datasets = tracking_artifacts.c, tracking_datasets.c
    files = connection.execute(
        select(artifacts.name, artifacts.digest, artifacts.size_bytes).where(artifacts.run_id == run_id)
    )
    data = connection.execute(
        select(datasets.role, datasets.digest, datasets.name, datasets.rows).where(datasets.run_id == run_id)
    )
    records = connection.execute(select(tracking_models.c.record).where(tracking_models.c.run_id == run_id)).scalars()
    models = [msgspec.json.decode(record, type=LoggedModel) for record in records]
    return Seal(
        points=points,
        metrics=digest,
        params=digest_of_texts(connection, tracking_params, run_id),
        tags=digest_of_texts(connection, tracking_tags, run_id),
        artifacts=digest_of(sorted(tuple(row) for row in files)),
        datasets=digest_of(sorted(tuple(row) for row in data)),
        models=digest_of(sorted(models, key=lambda model: model.name)),
    )


def check_seal(store: Store, run_id: str) -> tuple[str, ...]:
    """Return the parts of an ended run that are no longer what its seal says; none when all is well.

    A run that has not ended has no seal, and nothing to check.
    """
    with store.read() as connection:
        row = connection.execute(select(tracking_runs.c.seal).where(tracking_runs.c.id == run_id)).first()
        if row is None:
            raise RunMissing(f"there is no run {run_id[:40]!r}", where="tracking")
        if row.seal is None:
            return ()
        sealed = msgspec.json.decode(row.seal, type=Seal)
        found = seal_of(connection, run_id)
    return tuple(part for part in Seal.__struct_fields__ if getattr(sealed, part) != getattr(found, part))


def digest_of_points(connection: Connection, run_id: str) -> tuple[int, str]:
    """Return how many points a run has, and the digest of all of them.

    SHA-256 over each metric, by the bytes of its key: the key's length and bytes, the number of points, and their
    steps, times (microseconds since 1970) and values as little-endian 64-bit numbers, sorted by step, time, value.
    """
    metrics, points = tracking_metrics.c, tracking_points.c
    known = connection.execute(select(metrics.key, metrics.id).where(metrics.run_id == run_id)).all()
    hasher, total = hashlib.sha256(), 0
    for key, metric_id in sorted((row.key.encode(), row.id) for row in known):
        rows = connection.execute(
            select(points.step, points.at_us, points.value).where(points.metric_id == metric_id)
        ).all()
        steps, times, values = _columns([tuple(row) for row in rows])
        order = np.lexsort((values.view(np.int64), times, steps))
        hasher.update(len(key).to_bytes(8, "little") + key + len(rows).to_bytes(8, "little"))
        for column in (steps, times, values):
            hasher.update(column[order].tobytes())
        total += len(rows)
    return total, "sha256:" + hasher.hexdigest()


def _columns(rows: list[tuple[int, int, float | None]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not rows:
        empty = np.zeros(0, "<i8")
        return empty, empty, np.zeros(0, "<f8")
    steps, times, values = zip(*rows, strict=True)
    numbers = np.array(values, dtype="<f8")  # None becomes NaN
    numbers[np.isnan(numbers)] = np.nan  # one NaN of the many
    return np.array(steps, dtype="<i8"), np.array(times, dtype="<i8"), numbers + 0.0


def digest_of_texts(connection: Connection, table: Table, run_id: str) -> str:
    """Return the digest of a run's parameters or tags."""
    rows = connection.execute(select(table.c.key, table.c.value).where(table.c.run_id == run_id))
    return digest_of({row.key: row.value for row in rows})
