"""What watching costs: an hour of decisions taken, outcomes recorded, performance and drift asked for.

    python bench/monitoring.py [--days 30] [--rows 40] [--bulk 50000]

Prints JSON: medians and 95th percentiles in milliseconds, by the clock and (``cpu``) of this thread's work, once for
SQLite and once for PostgreSQL when TRIMTAB_TEST_POSTGRES names one. Each hour ``rows`` decisions are logged through
the real decision log, half of them a shadow's, of a version with a reference of 12 columns; then the endpoint is
watched, and the outcomes that became known are recorded. ``bulk`` decisions taken at once say what a decision costs in
the background (``take_us``, work of the thread): nothing of it is paid by an answer. Limits (of a replay, which does
this 7,300 times): watch 15 ms, outcomes 5 ms, performance 3 ms.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.monitoring.served import ACTOR, HOUR, START  # noqa: E402

from trimtab.kernel import Settings, VirtualClock  # noqa: E402
from trimtab.monitoring import (  # noqa: E402
    Outcome,
    build_reference,
    drift,
    drift_findings,
    keep_reference,
    paired,
    performance,
    record_outcomes,
    watch,
)
from trimtab.serving import DecisionLog  # noqa: E402
from trimtab.serving.frames import Entry, Layout  # noqa: E402
from trimtab.serving.segments import micros  # noqa: E402
from trimtab.store import Store, open_store  # noqa: E402

NUMBERS, CATEGORIES = 9, 3
KINDS = {f"x{i}": "float" for i in range(NUMBERS)} | {f"c{i}": "category" for i in range(CATEGORIES)}
TEXTS = np.array(list("abcdefgh"))
WEEK, MONTH = timedelta(days=7), timedelta(days=30)


class Endpoint:
    """Two versions of a model on one endpoint, the second a shadow of the first."""

    def __init__(self, store: Store) -> None:
        self.store, self.log, self.random = store, DecisionLog(store), np.random.default_rng(0)
        frame, at = self._rows(60_000), START - timedelta(days=60)
        moments = [at + timedelta(seconds=int(s)) for s in np.sort(self.random.integers(0, 60 * 86_400, 60_000))]
        made = build_reference(
            pa.table(frame), kinds=KINDS, prediction=self.random.beta(2, 6, 60_000), at=pa.array(moments)
        )
        with store.change(ACTOR) as change:
            for version in (1, 2):
                keep_reference(change, model="late", version=version, reference=made, blobs=store.blobs)

    def decide(self, n: int) -> tuple[list[str], Any]:
        """Log n requests of one row, each with its shadow; return the answered ids and their outcomes."""
        now, store = self.store.clock.now(), self.store
        scores, columns = self.random.beta(2, 6, n), self._rows(n)
        rows = list(zip(*(column.tolist() for column in columns.values()), strict=True))
        ids = []
        for score, row in zip(scores.tolist(), rows, strict=True):
            id_ = store.ids.new()
            ids.append(id_)
            self._write(1, "full", id_, score, row, now, None)
            self._write(2, "shadow", store.ids.new(), min(score * 1.1, 0.99), row, now, [id_])
        return ids, (self.random.random(n) < scores).astype(float)

    def _write(self, version: int, stage: Any, id_: str, score: float, row: Any, now: Any, mirrors: Any) -> None:
        outputs: Any = (("probability", "float"), ("label", "int"))
        layout = Layout(0, "late", version, f"release-{version}", tuple(KINDS.items()), outputs)  # type: ignore[arg-type]
        entry = Entry(
            layout=0, at_us=micros(now), source="raw", stage=stage, reason="bench", latency_us=900, ids=[id_],
            values=[row], outputs=[[score], [int(score >= 0.5)]], mirrors=mirrors,
        )  # fmt: skip
        self.log.write("late", [(layout, entry)])

    def _rows(self, n: int) -> dict[str, Any]:
        numbers = {f"x{i}": self.random.normal(size=n) for i in range(NUMBERS)}
        return numbers | {f"c{i}": TEXTS[self.random.integers(0, 8, n)] for i in range(CATEGORIES)}


def measured(times: dict[str, list[float]], name: str, act: Callable[[], Any]) -> Any:
    started, worked = time.perf_counter(), time.thread_time()
    result = act()
    times.setdefault(f"{name}_cpu", []).append(time.thread_time() - worked)
    times.setdefault(name, []).append(time.perf_counter() - started)
    return result


def hours(store: Store, *, days: int, rows: int) -> dict[str, Any]:
    endpoint, clock = Endpoint(store), store.clock
    assert isinstance(clock, VirtualClock)
    times: dict[str, list[float]] = {}
    waiting: list[Outcome] = []
    for hour in range(24 * days):
        clock.advance_to(START + hour * HOUR)
        ids, y = endpoint.decide(rows // 2)
        known_at = clock.now() + 3 * HOUR
        waiting += [Outcome(decision=i, value=v, known_at=known_at) for i, v in zip(ids, y.tolist(), strict=True)]
        clock.advance_to(START + (hour + 1) * HOUR)
        now = clock.now()
        measured(times, "watch", lambda now=now: watch(store, "late", until=now))
        known = [one for one in waiting if one.known_at is not None and one.known_at <= now]
        waiting = waiting[len(known) :]
        if known:
            measured(times, "outcomes", lambda known=known: record_outcomes(store, "late", known, actor=ACTOR))
        span: Any = {"version": 1, "since": now - WEEK, "until": now}
        measured(times, "performance_7d", lambda span=span: performance(store, "late", **span))
        if hour % 24 == 23:
            both: Any = {"challenger": 2, "champion": 1, "since": now - WEEK, "until": now}
            measured(times, "paired_7d", lambda both=both: paired(store, "late", **both))
            measured(times, "auc_7d", lambda span=span: performance(store, "late", metrics=("auc",), **span))
            month: Any = {"version": 1, "since": now - MONTH, "until": now}
            measured(times, "drift_30d", lambda month=month: drift(store, "late", **month))
            day: Any = {"version": 1, "since": now - 24 * HOUR, "until": now}
            measured(times, "findings_1d", lambda day=day: drift_findings(store, "late", **day))
    return {
        f"{name}_ms": {"p50": round(statistics.median(one) * 1e3, 2), "p95": round(np.quantile(one, 0.95) * 1e3, 2)}
        for name, one in times.items()
    }


def bulk(store: Store, rows: int) -> dict[str, float]:
    endpoint = Endpoint(store)
    endpoint.decide(rows // 2)
    gc.freeze()  # as a server does once it serves
    started = time.thread_time()
    watch(store, "late", until=store.clock.now())
    seconds = time.thread_time() - started
    return {"rows": rows, "seconds": round(seconds, 2), "take_us": round(seconds / rows * 1e6, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--bulk", type=int, default=50_000)
    asked = parser.parse_args()
    found: dict[str, Any] = {"days": asked.days, "rows_an_hour": asked.rows}
    urls = {"sqlite": "", "postgresql": os.environ.get("TRIMTAB_TEST_POSTGRES", "")}
    for name, url in urls.items():
        if name == "postgresql" and not url:
            continue
        for what, act in (
            ("hours", lambda s: hours(s, days=asked.days, rows=asked.rows)),
            ("bulk", lambda s: bulk(s, asked.bulk)),
        ):
            with tempfile.TemporaryDirectory() as home:
                store = open_store(Settings(home=home, database=url), clock=VirtualClock(START), seed=1)
                found.setdefault(name, {})[what] = act(store)
                store.close()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
