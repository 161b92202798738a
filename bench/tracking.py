"""What tracking costs: a metric, a run, a search among 10,000 runs, 100,000 points.

    python bench/tracking.py [--runs 10000] [--repeat 7]

Prints JSON. The limits are the driver by hand on the same rows and tables: ``sqlite3`` inserting the same points in
one transaction, and the same search as one SQL statement that returns the ids alone (``ids``) and with everything that
the runs logged (``values``). Times are the best of ``repeat``; ``cpu`` is the mean of the CPU time.
"""

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trimtab.kernel import Actor, Ids, Settings, VirtualClock
from trimtab.store import Store, metadata, open_store
from trimtab.tracking import (
    Batch,
    FinishRun,
    MetricPoint,
    StartRun,
    close_run,
    get_metric,
    log_batch,
    open_run,
    search_runs,
    start_run,
)

START = datetime(2013, 3, 1, tzinfo=UTC)
ACTOR = Actor("bench")
CALLS = 200_000
POINTS = 100_000
LOG_METRIC_LIMIT_US = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Settings(home=folder))
        file = Path(folder) / "trimtab.db"
        result: dict[str, Any] = {"log_metric": log_metric(store), "runs": whole_runs(store, 300)}
        result["points"] = points(store, file, options.repeat)
        seed(store, options.runs)
        result["search"] = {"runs": options.runs, **searches(store, file, options.repeat)}
        store.close()
    print(json.dumps(result, indent=2))


def log_metric(store: Store) -> dict[str, float]:
    """Time a script's own calls, with the writing thread at work, and the end, which waits for everything."""
    run = start_run(store, experiment="calls", actor=ACTOR, capture=())
    began, cpu = time.perf_counter(), time.thread_time()
    for n in range(CALLS):
        run.log_metric("loss", n * 0.5)
    called, cpu = time.perf_counter(), time.thread_time() - cpu
    run.finish()
    ended = time.perf_counter()
    return {
        "calls": CALLS,
        "us_a_call": round((called - began) / CALLS * 1e6, 2),
        "cpu_us_a_call": round(cpu / CALLS * 1e6, 2),
        "limit_us_a_call": LOG_METRIC_LIMIT_US,
        "calls_per_s": round(CALLS / (called - began)),
        "written_and_sealed_per_s": round(CALLS / (ended - began)),
    }


def whole_runs(store: Store, count: int) -> dict[str, float]:
    """Time small runs from start to seal: 10 parameters, 5 metrics, 3 tags; one writer, nothing captured."""
    began = time.perf_counter()
    for n in range(count):
        params = {f"p{k}": str(k * n) for k in range(10)}
        run = open_run(store, StartRun(experiment="whole", params=params), actor=ACTOR)
        some = tuple(MetricPoint(f"m{k}", 0, n, float(k)) for k in range(5))
        log_batch(store, run.id, Batch(writer="w", number=1, points=some, tags={"a": "1", "b": "2", "c": "3"}))
        close_run(store, run.id, FinishRun(), actor=ACTOR)
    took = time.perf_counter() - began
    return {"runs": count, "ms_a_run": round(took / count * 1e3, 2), "runs_per_s": round(count / took)}


def points(store: Store, file: Path, repeat: int) -> dict[str, float]:
    """Time 100,000 points of one metric: written in batches, read back, sealed."""
    run = open_run(store, StartRun(experiment="points"), actor=ACTOR)
    some = [MetricPoint("loss", n, n, n * 0.5) for n in range(POINTS)]
    began = time.perf_counter()
    for number in range(0, POINTS, 5_000):
        log_batch(store, run.id, Batch(writer="w", number=number + 1, points=tuple(some[number : number + 5_000])))
    written = time.perf_counter() - began
    read_s = best(repeat, lambda: sum(len(page.items) for page in pages(store, run.id)))
    began = time.perf_counter()
    close_run(store, run.id, FinishRun(), actor=ACTOR)
    sealed = time.perf_counter() - began
    return {
        "points": POINTS,
        "written_per_s": round(POINTS / written),
        "sqlite_limit_written_per_s": round(POINTS / raw_insert(file, some)),
        "read_per_s": round(POINTS / read_s),
        "seal_s": round(sealed, 3),
    }


def pages(store: Store, run_id: str) -> Any:
    cursor = None
    while True:
        page = get_metric(store, run_id, "loss", cursor=cursor)
        yield page
        cursor = page.next
        if cursor is None:
            return


def raw_insert(file: Path, some: list[MetricPoint]) -> float:
    with tempfile.TemporaryDirectory() as folder, sqlite3.connect(Path(folder) / "raw.db") as raw:
        with sqlite3.connect(file) as ours:
            statement = ours.execute("SELECT sql FROM sqlite_master WHERE name = 'tracking_points'").fetchone()[0]
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute(statement)
        began = time.perf_counter()
        raw.executemany(
            "INSERT INTO tracking_points VALUES (1, ?, ?, ?, ?)",
            [(n, point.step, point.at_us, point.value) for n, point in enumerate(some, 1)],
        )
        raw.commit()
        return time.perf_counter() - began


def seed(store: Store, count: int) -> None:
    """Fill in runs row by row, as they would lie there: 10 parameters, 5 metrics, 3 tags each."""
    ids = Ids(VirtualClock(START), seed=7)
    known = open_run(store, StartRun(experiment="searched"), actor=ACTOR)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("runs", "params", "tags", "metrics")}
    with store.read() as connection:
        row = connection.exec_driver_sql("SELECT experiment_id FROM tracking_runs WHERE id = ?", (known.id,))
        experiment = row.scalar_one()
    for n in range(count):
        id_ = ids.new()
        rows["runs"].append(
            {
                "id": id_, "experiment_id": experiment, "name": f"s{n}", "kind": "user", "status": "finished",
                "actor": "bench", "started_at": f"2013-03-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}+00:00",
                "finished_at": None, "parent_id": None, "host": None, "process": None, "error": "", "seal": None,
            }
        )  # fmt: skip
        params = {"lr": ("0.1", "0.01", "0.001")[n % 3], **{f"p{k}": str(n % (k + 2)) for k in range(9)}}
        rows["params"] += [{"run_id": id_, "key": k, "value": v, "number": float(v)} for k, v in params.items()]
        rows["tags"] += [{"run_id": id_, "key": f"t{k}", "value": f"v{n % 10}", "number": None} for k in range(3)]
        values = {"acc": n * 7919 % 100003 / 100003, **{f"m{k}": float(n * k) for k in range(4)}}
        rows["metrics"] += [
            {"run_id": id_, "key": k, "points": 1, "value": v, "step": 0, "at_us": 0, "min": v, "max": v}
            for k, v in values.items()
        ]
    with store.database.write() as connection:
        for name, some in rows.items():
            connection.execute(metadata.tables[f"tracking_{name}"].insert(), some)


_SELECT = "SELECT r.id FROM tracking_runs r "
_EXPERIMENT = "r.experiment_id = (SELECT id FROM tracking_experiments WHERE name = 'searched') "
_BY_ACC = "JOIN tracking_metrics o ON o.run_id = r.id AND o.key = 'acc' "
_LR = "JOIN tracking_params p ON p.run_id = r.id AND p.key = 'lr' AND p.value = '0.1'"
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "metric_and_param_by_metric_100": (
        {"filter": "metrics.acc > 0.9 AND params.lr = '0.1'", "order_by": "metrics.acc DESC", "limit": 100},
        f"{_SELECT}{_BY_ACC}{_LR} WHERE {_EXPERIMENT}AND o.value > 0.9 ORDER BY o.value DESC LIMIT 100",
    ),
    "newest_100": ({"limit": 100}, f"{_SELECT}WHERE {_EXPERIMENT}ORDER BY r.started_at DESC, r.id DESC LIMIT 100"),
    "all_by_metric_100": (
        {"order_by": "metrics.acc DESC", "limit": 100},
        f"{_SELECT}{_BY_ACC}WHERE {_EXPERIMENT}ORDER BY o.value DESC LIMIT 100",
    ),
    "newest_1000": ({"limit": 1000}, f"{_SELECT}WHERE {_EXPERIMENT}ORDER BY r.started_at DESC, r.id DESC LIMIT 1000"),
    "name_like_100": (
        {"filter": "name LIKE 's99%'", "limit": 100},
        f"{_SELECT}WHERE {_EXPERIMENT}AND r.name GLOB 's99*' ORDER BY r.started_at DESC, r.id DESC LIMIT 100",
    ),
}


def searches(store: Store, file: Path, repeat: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    raw = sqlite3.connect(file)
    for name, (words, statement) in CASES.items():
        ids = [row[0] for row in raw.execute(statement)]
        page = search_runs(store, experiment="searched", **words)
        expected = {run.id for run in page.items}
        assert set(ids) == expected, name
        assert all(len(run.params) == 10 and len(run.metrics) == 5 for run in page.items if run.name.startswith("s"))
        found[name] = {
            "runs": len(page.items),
            "ms": round(best(repeat, lambda words=words: search_runs(store, experiment="searched", **words)) * 1e3, 2),
            "cpu_ms": round(
                cpu(repeat, lambda words=words: search_runs(store, experiment="searched", **words)) * 1e3, 2
            ),
            "sqlite_ids_ms": round(
                best(repeat, lambda statement=statement: raw.execute(statement).fetchall()) * 1e3, 2
            ),
            "sqlite_values_ms": round(best(repeat, lambda statement=statement: with_values(raw, statement)) * 1e3, 2),
        }
    raw.close()
    return found


def with_values(raw: sqlite3.Connection, statement: str) -> int:
    ids = [row[0] for row in raw.execute(statement)]
    count = 0
    for table in ("runs", "params", "tags", "metrics"):
        column = "id" if table == "runs" else "run_id"
        marks = ",".join("?" * len(ids))
        count += len(raw.execute(f"SELECT * FROM tracking_{table} WHERE {column} IN ({marks})", ids).fetchall())
    return count


def best(repeat: int, action: Callable[[], Any]) -> float:
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def cpu(repeat: int, action: Callable[[], Any]) -> float:
    """Return the mean CPU time: the figure to compare on a busy machine."""
    began = time.process_time()
    for _ in range(repeat):
        action()
    return (time.process_time() - began) / repeat


if __name__ == "__main__":
    main()
