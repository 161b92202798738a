"""Bring the outcomes that a source tells: what became of each decision, when anybody could first know it."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data import Snapshot, latest_snapshot, list_snapshots, load_snapshot
from trimtab.declare import ModelSpec
from trimtab.features import label_frame
from trimtab.kernel import Actor
from trimtab.loop.declarations import InForce
from trimtab.loop.frames import as_float
from trimtab.loop.marks import get_mark, set_mark
from trimtab.loop.records import TurnState
from trimtab.loop.turns import each_turn
from trimtab.monitoring import Outcome, bring_outcomes
from trimtab.store import Store

KNOWN_TO, TOLD_BY = "outcomes-until", "outcomes-of"
"""Marks: up to when outcomes were brought, and when the state of the source was taken that told them."""
AT_ONCE = 20_000
"""Outcomes that are recorded in one step."""
_MOMENT = pa.timestamp("us", "UTC")


class KnownOutcomes(msgspec.Struct, frozen=True):
    """Every outcome that a state of a source holds, sorted by the moment at which it became known.

    Columns of ``table``: ``key_<key>`` for each key of the view's own contract, ``value`` (1.0 and 0.0 for yes and no),
    ``known_at``, which ``known_us`` holds in microseconds since 1970, and ``at``: the row's moment of decision where
    its key names other rows too, else null, since then the key alone says which row is meant.
    """

    snapshot: str
    table: pa.Table
    known_us: npt.NDArray[np.int64]

    def between(self, since: datetime, until: datetime) -> pa.Table:
        """Return the outcomes that became known after ``since`` and not after ``until``."""
        span = [pa.scalar(at, _MOMENT).value for at in (since, until)]
        start, upto = np.searchsorted(self.known_us, span, side="right").tolist()
        return self.table.slice(start, max(0, upto - start))


def outcomes_of(model: ModelSpec, rows: pa.Table, snapshot: str) -> KnownOutcomes:
    """Compute the label of every row that has one, with the moment at which it became known.

    ``rows`` are those of the view's own contract.
    """
    frame = label_frame(model.view, rows, model.label)
    keys = [f"key_{key}" for key in model.view.of.keys]
    named = frame.select(keys).append_column("row", pa.array(np.arange(frame.num_rows)))
    repeated = named.group_by(keys).aggregate([("row", "count"), ("row", "list")]).filter(pc.field("row_count") > 1)
    once = np.ones(frame.num_rows, np.bool_)
    once[repeated["row_list"].combine_chunks().flatten().to_numpy()] = False
    columns = {key: frame[key] for key in keys}
    columns["value"] = pa.chunked_array([as_float(frame["label"].combine_chunks())])
    columns["known_at"] = frame["label_known_at"]
    columns["at"] = pc.if_else(pa.array(once), pa.scalar(None, frame["decided_at"].type), frame["decided_at"])
    table = pa.table(columns).filter(pc.and_(pc.is_valid(frame["label"]), pc.is_valid(frame["label_known_at"])))
    table = table.sort_by([(name, "ascending") for name in ("known_at", *keys)])
    known_us = table["known_at"].cast(_MOMENT).cast(pa.int64()).to_numpy()
    return KnownOutcomes(snapshot, table, known_us)


class OutcomeDesk:
    """Brings what sources tell since it was last asked. Keeps the outcomes of one state of a source in memory."""

    def __init__(self, store: Store, *, actor: Actor) -> None:
        self._store = store
        self._actor = actor
        self._known: dict[str, KnownOutcomes] = {}

    def bring(self, project: InForce, model: ModelSpec, *, until: datetime) -> int:
        """Record the outcomes of a model's decisions that its source tells by ``until``; return how many it told.

        Where the source has changed, what it tells late counts too: outcomes that became known before the last look,
        of which no row spoke then. What was known before the endpoint began to answer is of no decision of its. Killed
        in between, they are brought again, and recorded once: an outcome that is there already changes nothing.
        """
        source = project.spec.source_of(model.view.of.name)
        newest = None if source is None else latest_snapshot(self._store, source.name)
        if newest is None:
            return 0
        looked, told_by = (get_mark(self._store, model.name, name) for name in (KNOWN_TO, TOLD_BY))
        changed = told_by != newest.taken_at
        began = answering_since(self._store, model.name) if looked is None or changed else looked
        if began is None:
            return 0
        looked = looked or began
        found = self._outcomes(model, newest).between(looked, until)
        if changed:
            before = None if told_by is None else _taken(self._store, newest.source, told_by)
            found = pa.concat_tables([self._told_late(model, newest, before, began, looked), found])
        for part in _parts(found):
            bring_outcomes(
                self._store, model.name, _said(part), actor=self._actor, because="its sources tell what became of it"
            )  # fmt: skip
        if changed:
            set_mark(self._store, model.name, TOLD_BY, newest.taken_at)
        set_mark(self._store, model.name, KNOWN_TO, until)
        return int(found.num_rows)

    def _outcomes(self, model: ModelSpec, snapshot: Snapshot) -> KnownOutcomes:
        known = self._known.get(model.name)
        if known is None or known.snapshot != snapshot.id:
            known = outcomes_of(model, load_snapshot(self._store, snapshot), snapshot.id)
            self._known[model.name] = known
        return known

    def _told_late(
        self, model: ModelSpec, newest: Snapshot, before: Snapshot | None, began: datetime, looked: datetime
    ) -> pa.Table:
        """Return what became known between two moments, and what the state of the source before did not tell."""
        now = self._outcomes(model, newest).between(began, looked)
        if before is None or not now.num_rows:
            return now
        then = outcomes_of(model, load_snapshot(self._store, before), before.id).between(began, looked)
        names = [name for name in now.column_names if name != "at"]
        rows = now.append_column("row", pa.array(np.arange(now.num_rows)))
        new = rows.join(then.select(names), keys=names, join_type="left anti").sort_by("row")
        return now.take(new["row"])


def answering_since(store: Store, model: str) -> datetime | None:
    """Return when the endpoint of a model began to answer, None when it does not."""
    began = [move.at for turn in each_turn(store, model) for move in turn.moves if move.state is TurnState.FULL]
    return min(began, default=None)


def _taken(store: Store, source: str, at: datetime) -> Snapshot | None:
    """Return the state in which a source was found at a moment, None when it is not kept."""
    cursor: str | None = None
    while True:
        page = list_snapshots(store, source, cursor=cursor)
        for one in page.items:
            if one.taken_at <= at:
                return one if one.taken_at == at else None
        if page.next is None:
            return None
        cursor = page.next


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """Cut outcomes into parts, each recorded in one step; what is said of one key at one moment stays together."""
    about = [name for name in table.column_names if name not in ("value", "at")]
    start = 0
    while start < table.num_rows:
        upto = start + AT_ONCE
        while upto < table.num_rows and _same(table.select(about), upto - 1, upto):
            upto += 1
        yield table.slice(start, upto - start)
        start = upto


def _same(table: pa.Table, one: int, other: int) -> bool:
    first, second = table.take([one, other]).to_pylist()
    return bool(first == second)


def _said(table: pa.Table) -> list[Outcome]:
    keys = [name for name in table.column_names if name.startswith("key_")]
    return [
        Outcome(
            key={name.removeprefix("key_"): row[name] for name in keys}, value=row["value"], at=row["at"],
            known_at=row["known_at"],
        )
        for row in table.to_pylist()
    ]  # fmt: skip
