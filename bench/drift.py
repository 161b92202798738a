"""What a drift check costs: 40 columns (30 numeric, 10 categorical) and the prediction, counted and judged.

    python bench/drift.py [--rows 1000000 10000000] [--runs 3]

Prints JSON. Seconds are the best of ``runs``, on two threads: ``check_s`` counts a window of Arrow columns in the
reference's cells, computes every distance and judges them; ``extra_mib`` is what the process's memory grew by. Each
size has a process of its own. Peers count the same columns only: ``numpy.histogram`` with 1,024 equal bins (and
``bincount`` of codes), and DuckDB with one grouped scan a column; both on two threads.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import psutil
import pyarrow as pa

from trimtab.monitoring.calibration import calibrate
from trimtab.monitoring.counting import count, count_table
from trimtab.monitoring.partial_moments import partial_moments
from trimtab.monitoring.reference import Reference, build_reference, reference_of, to_bytes

LIMITS_S = {1_000_000: 0.8, 10_000_000: 4.0}
MEMORY_LIMIT_MIB = 300
THREADS = 2
REFERENCE_ROWS, DAYS = 300_000, 30
BINS = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(LIMITS_S))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        json.dump(measured(arguments.rows[0], arguments.runs), sys.stdout)
        return
    result = {"python": platform.python_version(), "cores": os.cpu_count(), "reference": of_reference()}
    for rows in arguments.rows:
        command = [sys.executable, __file__, "--alone", "--rows", str(rows), "--runs", str(arguments.runs)]
        result[f"{rows:,} rows"] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    json.dump(result, sys.stdout, indent=2)
    print()


def measured(rows: int, runs: int) -> dict[str, object]:
    """Return the check's seconds and memory, and the peers' seconds, on the same window."""
    built = reference_of_rows(*frame(np.random.default_rng(0), REFERENCE_ROWS))
    reference = reference_of(to_bytes(built))
    calibration = calibrate(reference)
    window, prediction = frame(np.random.default_rng(1), rows)

    def check() -> None:
        columns = count_table(reference.columns, window, threads=THREADS)
        with ThreadPoolExecutor(THREADS) as pool:
            moments = [*pool.map(lambda cells: partial_moments(cells, window[cells.name]), reference.columns)]
        calibration.findings(
            columns, count(reference.prediction, prediction),
            partial=[partial_moments(reference.prediction, prediction), *moments],
        )  # fmt: skip

    check_s, extra_mib = best(check, runs)
    result: dict[str, object] = {"check_s": round(check_s, 3), "extra_mib": round(extra_mib, 1)}
    if rows in LIMITS_S:
        result |= {"limit_s": LIMITS_S[rows], "limit_mib": MEMORY_LIMIT_MIB}
        result["within"] = check_s <= LIMITS_S[rows] and extra_mib <= MEMORY_LIMIT_MIB
    result["ns_a_value"] = round(check_s * 1e9 / rows / (window.num_columns + 1), 2)
    for name, peer in {"numpy.histogram": numpy_peer, "duckdb": duckdb_peer}.items():
        peer_s, peer_mib = best(lambda peer=peer: peer(window), min(runs, 2))  # type: ignore[misc]
        result[name] = {"s": round(peer_s, 3), "extra_mib": round(peer_mib, 1)}
    return result


def of_reference() -> dict[str, object]:
    """Return what making, keeping and calibrating a reference costs."""
    table, prediction = frame(np.random.default_rng(0), REFERENCE_ROWS)
    built_s, _ = best(lambda: reference_of_rows(table, prediction), 1)
    reference = reference_of_rows(table, prediction)
    calibrated_s, _ = best(lambda: calibrate(reference), 3)
    return {
        "rows": REFERENCE_ROWS,
        "days": DAYS,
        "build_s": round(built_s, 3),
        "calibrate_s": round(calibrated_s, 3),
        "mib": round(len(to_bytes(reference)) / 2**20, 2),
    }


def reference_of_rows(table: pa.Table, prediction: np.ndarray) -> Reference:
    at = np.datetime64("2013-01-01", "us") + np.arange(REFERENCE_ROWS) * (DAYS * 86_400_000_000 // REFERENCE_ROWS)
    kinds = {name: "category" if name.startswith("c") else "float" for name in table.column_names}
    return build_reference(table, kinds=kinds, prediction=prediction, at=pa.array(at, pa.timestamp("us", "UTC")))


def frame(random: np.random.Generator, rows: int) -> tuple[pa.Table, np.ndarray]:
    """Return 30 numbers (normal, skewed, whole, with nulls) and 10 categories, and a prediction."""
    columns: dict[str, pa.Array] = {}
    for i in range(30):
        match i % 5:
            case 0 | 1:
                values = random.standard_normal(rows)
            case 2:
                values = random.standard_exponential(rows)
            case 3:
                values = np.floor(random.random(rows) * 300)
            case _:
                values = random.standard_normal(rows)
                values[random.integers(0, rows, rows // 50)] = np.nan
        columns[f"n{i}"] = pa.array(values)
    names = pa.array([f"value {i}" for i in range(50)])
    for i in range(10):
        codes = random.integers(0, 5 * (i + 1), rows, dtype=np.int32)
        columns[f"c{i}"] = pa.DictionaryArray.from_arrays(pa.array(codes), names)
    return pa.table(columns), random.beta(2, 6, rows)


def numpy_peer(window: pa.Table) -> None:
    def histogram(name: str) -> None:
        column = window.column(name).combine_chunks()
        if name.startswith("c"):
            np.bincount(column.indices.to_numpy(), minlength=50)
        else:
            np.histogram(column.to_numpy(), bins=BINS, range=(-6.0, 6.0))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(histogram, window.column_names))


def duckdb_peer(window: pa.Table) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {THREADS}")
        connection.register("rows", window)
        for name in window.column_names:
            cell = name if name.startswith("c") else f"floor(({name} + 6.0) * {BINS / 12})"
            connection.execute(f"SELECT {cell} AS cell, count(*) FROM rows GROUP BY cell").fetchall()


def best(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the least seconds of some runs, and the most MiB that memory grew by while one ran."""
    seconds, grown = [], []
    for _ in range(runs):
        process, done = psutil.Process(), threading.Event()
        before = peak = process.memory_info().rss

        def watch(process: psutil.Process = process, done: threading.Event = done) -> None:
            nonlocal peak
            while not done.wait(0.002):
                peak = max(peak, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
        done.set()
        watcher.join()
        grown.append((peak - before) / 2**20)
    return min(seconds), max(grown)


if __name__ == "__main__":
    main()
