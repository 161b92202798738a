"""Measure the orchestrator: durable no-op steps beside the disk's own limit, and frames between steps.

Run ``python bench/pipelines.py``; prints one JSON object. Limit of the project: 5 ms for a warm durable step.
"""

import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from trimtab.kernel import Actor, Settings
from trimtab.pipelines import PipelineSpec, Runner, StepSpec, put_frame, read_frame, submit
from trimtab.store import LocalBlobs, Store, open_store

STEPS = 300
LIMIT_MS = 5.0
STEP_MODULE = "def nothing(context):\n    return {}\n"
ACTOR = Actor("bench")


def chain(length: int) -> PipelineSpec:
    """Return steps that need each other in a row, so that each pays the whole way alone."""
    return PipelineSpec(
        name="chain",
        steps=tuple(
            StepSpec(name=f"s{i}", function="bench_steps:nothing", needs=(f"s{i - 1}",) if i else ())
            for i in range(length)
        ),
    )


def warm_and_cold(store: Store) -> dict[str, float]:
    """Time a first step (with the start of a worker) and a row of warm ones."""
    with Runner(store, workers=1) as runner:
        began = time.perf_counter()
        runner.run_until_done(submit(store, chain(1), actor=ACTOR).id)
        cold_ms = (time.perf_counter() - began) * 1000
        ends: list[float] = []
        run = submit(store, chain(STEPS), actor=ACTOR)
        began = time.perf_counter()
        runner.run_until_done(
            run.id, on_event=lambda p: ends.append(time.perf_counter()) if p.kind == "finished" else None
        )
        each = [(b - a) * 1000 for a, b in zip([began, *ends], ends, strict=False)]
    return {
        "cold_step_ms": cold_ms,
        "warm_step_ms_p50": statistics.median(each),
        "warm_step_ms_p99": statistics.quantiles(each, n=100)[98],
        "steps_per_s_one_worker": STEPS / (ends[-1] - began),
    }


def parallel(store: Store, *, workers: int) -> float:
    """Return steps per second for steps that do not need each other."""
    steps = tuple(StepSpec(name=f"p{i}", function="bench_steps:nothing") for i in range(STEPS))
    with Runner(store, workers=workers) as runner:
        runner.run_until_done(submit(store, chain(1), actor=ACTOR).id)
        run = submit(store, PipelineSpec(name="wide", steps=steps), actor=ACTOR)
        began = time.perf_counter()
        runner.run_until_done(run.id)
        return STEPS / (time.perf_counter() - began)


def cached(store: Store) -> float:
    """Return the milliseconds of a step that is taken over from an earlier run."""
    spec = PipelineSpec(
        name="cached",
        steps=tuple(
            StepSpec(name=f"c{i}", function="bench_steps:nothing", params={"i": i}, cache=True) for i in range(50)
        ),
    )
    with Runner(store, workers=1) as runner:
        runner.run_until_done(submit(store, spec, actor=ACTOR).id)
        began = time.perf_counter()
        runner.run_until_done(submit(store, spec, actor=ACTOR).id)
        return (time.perf_counter() - began) * 1000 / 50


def bare_sqlite(folder: Path) -> float:
    """Return the milliseconds of the least that is durable: two commits by the driver, as claim and finish need."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE steps (id INTEGER PRIMARY KEY, status TEXT)")
    began = time.perf_counter()
    for i in range(STEPS):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO steps VALUES (?, 'running')", (i,))
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE steps SET status='done' WHERE id=?", (i,))
        connection.execute("COMMIT")
    taken = time.perf_counter() - began
    connection.close()
    return taken * 1000 / STEPS


def frames(folder: Path) -> dict[str, float]:
    """Time a frame of 100 MB on its way into the blobs and out of them, beside plain files without a digest."""
    rng = np.random.default_rng(7)
    table = pa.table({f"c{i}": rng.standard_normal(1_250_000) for i in range(10)})
    blobs = LocalBlobs(folder / "frames")
    began = time.perf_counter()
    digest = put_frame(blobs, table)
    written = time.perf_counter()
    back = read_frame(blobs, digest)
    total = sum(float(column.chunk(0)[0].as_py()) for column in back.columns)
    read = time.perf_counter()
    data = blobs.get(digest)
    plain = time.perf_counter()
    (folder / "plain").write_bytes(data)
    plain_s = time.perf_counter() - plain
    assert total
    assert back.num_rows == table.num_rows
    return {
        "frame_mb": table.nbytes / 1e6,
        "frame_write_s": written - began,
        "frame_read_s": read - written,
        "plain_file_write_s": plain_s,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench_steps.py").write_text(STEP_MODULE)
        sys.path.insert(0, name)
        store = open_store(Settings(home=str(folder / "home")))
        result: dict[str, object] = {"limit_ms": LIMIT_MS, **warm_and_cold(store)}
        result["steps_per_s_two_workers"] = parallel(store, workers=2)
        result["cached_step_ms"] = cached(store)
        result["bare_two_commits_ms"] = bare_sqlite(folder)
        result |= frames(folder)
        store.close()
    result["passed"] = result["warm_step_ms_p50"] <= LIMIT_MS  # type: ignore[operator]
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()}, indent=2))


if __name__ == "__main__":
    main()
