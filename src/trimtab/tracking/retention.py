"""What of tracking may be let go: ended runs of which nothing was registered, with all that they logged."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from trimtab.store import RUNS, Change, Old
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
    tracking_writers,
)

_OF_A_RUN = (
    tracking_params, tracking_tags, tracking_metrics, tracking_writers, tracking_artifacts, tracking_datasets,
    tracking_models, tracking_console,
)  # fmt: skip
_AT_ONCE = 500


class _Run:
    """A run with the names of what it logged, and the runs below it."""

    def __init__(self, id_: str, experiment: str, finished_at: str | None) -> None:
        self.id = id_
        self.names = {f"run:{id_}": None, f"experiment:{experiment}": None}
        self.ended = None if finished_at is None else datetime.fromisoformat(finished_at)
        self.size_bytes = 0
        self.below: list[_Run] = []

    def tree(self) -> Iterator["_Run"]:
        yield self
        for run in self.below:
            yield from run.tree()


class EndedTrackedRuns:
    """A run goes together with those below it, once all of them have ended: none is left without its parent."""

    name, what, at_once = RUNS, "tracked runs", 20

    def old(self, connection: Connection, *, before: datetime) -> Iterator[Old]:
        found = []
        for root in _roots(connection):
            runs = list(root.tree())
            ends = [run.ended for run in runs]
            if all(end is not None and end < before for end in ends):
                names = dict.fromkeys(name for run in runs for name in run.names)
                since = max(end for end in ends if end is not None)
                found.append(Old(of=tuple(names), since=since, size_bytes=sum(run.size_bytes for run in runs)))
        yield from sorted(found, key=lambda old: old.since)

    def remove(self, change: Change, some: Sequence[Old]) -> None:
        wanted = {one.names[0].removeprefix("run:") for one in some}
        trees = [list(root.tree()) for root in _roots(change.connection) if root.id in wanted]
        ids = [run.id for tree in trees for run in reversed(tree)]  # a run before the one that it is below
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            metrics = select(tracking_metrics.c.id).where(tracking_metrics.c.run_id.in_(part))
            change.execute(delete(tracking_points).where(tracking_points.c.metric_id.in_(metrics)))
            for table in _OF_A_RUN:
                change.execute(delete(table).where(table.c.run_id.in_(part)))
        for start in range(0, len(ids), _AT_ONCE):
            change.execute(delete(tracking_runs).where(tracking_runs.c.id.in_(ids[start : start + _AT_ONCE])))

    def finish(self, some: Sequence[Old]) -> None:
        """Their files are blobs, which are swept."""


def needed_by_running(connection: Connection) -> Iterator[str]:
    """Yield the data that runs use which go on."""
    query = select(tracking_datasets.c.digest).join(
        tracking_runs, tracking_runs.c.id == tracking_datasets.c.run_id
    ).where(tracking_runs.c.finished_at.is_(None))  # fmt: skip
    for digest in connection.execute(query).scalars():
        yield f"blob:{digest}"
        yield f"content:{digest}"


def is_tracked_run(connection: Connection, id_: str) -> bool:
    """Say whether there is a run with this id."""
    return connection.execute(select(tracking_runs.c.id).where(tracking_runs.c.id == id_)).first() is not None


def _roots(connection: Connection) -> list[_Run]:
    """Return the runs that are below none, with everything that a version could have been made of."""
    table = tracking_runs.c
    query = select(table.id, table.parent_id, table.finished_at, tracking_experiments.c.name).join(
        tracking_experiments, tracking_experiments.c.id == table.experiment_id
    )
    rows = connection.execute(query.order_by(table.id)).all()
    runs = {row.id: _Run(row.id, row.name, row.finished_at) for row in rows}
    for row in rows:
        if row.parent_id is not None:
            runs[row.parent_id].below.append(runs[row.id])
    models = select(tracking_models.c.run_id, tracking_models.c.digest)
    for run_id, digest in connection.execute(models):
        runs[run_id].names[f"blob:{digest}"] = None
    sizes = select(tracking_artifacts.c.run_id, func.sum(tracking_artifacts.c.size_bytes))
    for run_id, size in connection.execute(sizes.group_by(tracking_artifacts.c.run_id)):
        runs[run_id].size_bytes = int(size)
    return [runs[row.id] for row in rows if row.parent_id is None]
