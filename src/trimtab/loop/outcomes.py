"""Bring the outcomes that a source tells: what became of each decision, when anybody could first know it."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data import latest_ids, load_snapshot
from trimtab.declare import ModelSpec
from trimtab.features import training_frame
from trimtab.kernel import Actor
from trimtab.loop.declarations import InForce
from trimtab.loop.frames import as_float
from trimtab.loop.marks import get_mark, set_mark
from trimtab.loop.records import TurnState
from trimtab.loop.turns import each_turn
from trimtab.monitoring import bring_outcomes
from trimtab.store import Store

KNOWN_TO = "outcomes-until"
_MOMENT = pa.timestamp("us", "UTC")


class KnownOutcomes(msgspec.Struct, frozen=True):
    """Every outcome that a model's sources hold, sorted by the moment at which it became known.

    Columns of ``table``: the keys of the view's own contract under their own names, ``value`` (1.0 and 0.0 for yes and
    no) and ``known_at``, which ``known_us`` holds in microseconds since 1970.
    """

    snapshots: tuple[str, ...]
    table: pa.Table
    known_us: npt.NDArray[np.int64]

    def between(self, since: datetime, until: datetime) -> pa.Table:
        """Return the outcomes that became known after ``since`` and not after ``until``."""
        span = [pa.scalar(at, _MOMENT).value for at in (since, until)]
        start, upto = np.searchsorted(self.known_us, span, side="right").tolist()
        return self.table.slice(start, max(0, upto - start))


def outcomes_of(model: ModelSpec, tables: Mapping[str, pa.Table], snapshots: tuple[str, ...]) -> KnownOutcomes:
    """Compute the label of every row that has one, with the moment at which it became known."""
    frame = training_frame(model.view, tables, label=model.label)
    frame = frame.filter(pc.and_(pc.is_valid(frame["label"]), pc.is_valid(frame["label_known_at"])))
    keys = model.view.of.keys
    columns = {key: frame[f"key_{key}"] for key in keys}
    columns["value"] = pa.array(as_float(frame["label"].combine_chunks()))
    columns["known_at"] = frame["label_known_at"]
    order = [("known_at", "ascending"), *((key, "ascending") for key in keys)]
    table = pa.table(columns).sort_by(order)
    known_us = table["known_at"].cast(_MOMENT).cast(pa.int64()).to_numpy()
    return KnownOutcomes(snapshots, table, known_us)


class OutcomeDesk:
    """Brings what became known since it was last asked. Keeps the outcomes of one state of the sources in memory."""

    def __init__(self, store: Store, *, actor: Actor) -> None:
        self._store = store
        self._actor = actor
        self._known: dict[str, KnownOutcomes] = {}

    def bring(self, project: InForce, model: ModelSpec, *, until: datetime) -> int:
        """Record the outcomes of a model's decisions that its sources tell by ``until``; return how many they told.

        What was known before the endpoint began to answer is of no decision of its. Killed in between, they are brought
        again, and recorded once: an outcome that is there already changes nothing.
        """
        known = self._outcomes(project, model)
        if known is None:
            return 0
        since = get_mark(self._store, model.name, KNOWN_TO) or answering_since(self._store, model.name)
        if since is None:
            return 0
        found = known.between(since, until)
        if found.num_rows:
            bring_outcomes(
                self._store, model.name, found, actor=self._actor, because="its sources tell what became of it"
            )  # fmt: skip
        set_mark(self._store, model.name, KNOWN_TO, until)
        return int(found.num_rows)

    def _outcomes(self, project: InForce, model: ModelSpec) -> KnownOutcomes | None:
        newest, ids = latest_ids(self._store), {}
        for contract in model.view.contracts:
            source = project.spec.source_of(contract.name)
            if source is None or source.name not in newest:
                return None
            ids[contract.name] = newest[source.name]
        known = self._known.get(model.name)
        if known is None or known.snapshots != tuple(ids.values()):
            loaded = {contract: load_snapshot(self._store, id_) for contract, id_ in ids.items()}
            known = self._known[model.name] = outcomes_of(model, loaded, tuple(ids.values()))
        return known


def answering_since(store: Store, model: str) -> datetime | None:
    """Return when the endpoint of a model began to answer, None when it does not."""
    began = [move.at for turn in each_turn(store, model) for move in turn.moves if move.state is TurnState.FULL]
    return min(began, default=None)
