"""Decisions as gateways log them, made by hand: two features, a probability and a label, through the real log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from trimtab.kernel import Actor, VirtualClock
from trimtab.serving import DecisionLog
from trimtab.serving.frames import Entry, Layout
from trimtab.serving.records import Stage
from trimtab.serving.segments import micros
from trimtab.store import Store

START = datetime(2013, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ACTOR = Actor("tester")
COLUMNS = (("distance", "float"), ("origin", "category"))
ORIGINS = ("EWR", "JFK", "LGA")


def layout(version: int, task: str = "classification", columns: Any = COLUMNS) -> Layout:
    outputs: Any = (
        (("probability", "float"), ("label", "int")) if task == "classification" else (("prediction", "float"),)
    )
    return Layout(0, "late", version, f"release-{version}", columns, outputs)


class Served:
    """Writes decisions of an endpoint to the decision log of a store, as a gateway does."""

    def __init__(self, store: Store, endpoint: str = "late", seed: int = 0, task: str = "classification") -> None:
        self.store, self.endpoint, self.task = store, endpoint, task
        self.log = DecisionLog(store)
        self.random = np.random.default_rng(seed)

    def decide(
        self,
        scores: Sequence[float],
        *,
        at: datetime,
        version: int = 1,
        stage: Stage = "full",
        mirrors: Sequence[str] | None = None,
        keys: Sequence[dict[str, Any]] | None = None,
        values: Sequence[Sequence[Any]] | None = None,
        as_of: Sequence[datetime] | None = None,
        broken: list[list[str] | None] | None = None,
    ) -> list[str]:
        """Log one request of several rows; return the decisions' ids."""
        n = len(scores)
        ids = [self.store.ids.new() for _ in range(n)]
        given = values or [[float(1000 * score), ORIGINS[i % 3]] for i, score in enumerate(scores)]
        outputs: list[list[Any]] = [[float(score) for score in scores]]
        if self.task == "classification":
            outputs.append([int(score >= 0.5) for score in scores])
        entry = Entry(
            layout=0, at_us=micros(at), source="raw" if keys is None else "key", stage=stage, reason="test",
            latency_us=900, ids=ids, values=list(given), outputs=outputs, keys=None if keys is None else list(keys),
            as_of_us=None if as_of is None else [micros(moment) for moment in as_of],
            mirrors=None if mirrors is None else list(mirrors), broken=broken,
        )  # fmt: skip
        self.log.write(self.endpoint, [(layout(version, self.task), entry)])
        return ids

    def hour(self, start: datetime, n: int = 40, **more: Any) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Log n decisions spread over the hour from ``start``; return ids, scores and (calibrated) outcomes."""
        scores = self.random.beta(2, 6, n)
        ids: list[str] = []
        for i, score in enumerate(scores):
            ids += self.decide([float(score)], at=start + HOUR * (i / n), **more)
        return ids, scores, (self.random.random(n) < scores).astype(float)


def move(store: Store, at: datetime) -> None:
    """Set the store's clock, which stands still, to a later moment."""
    assert isinstance(store.clock, VirtualClock)
    store.clock.advance_to(at)
