"""How fast features are: the example's 12 columns for every flight of 2013 beside a hand-written DuckDB query.

    python bench/features.py [--runs 5]

Prints JSON. Frame and query read the same Arrow tables and give the same Arrow result, each in a process of its own:
seconds are the best of ``runs`` (``cpu_s``: of all cores), memory is the process's peak, and
before it what imports and tables had taken. The query is the faster of two
ways to write it (prefix sums with ASOF joins; window frames by range) and sums in plain doubles. Online: one row read
by its key from the embedded store, single thread, in microseconds. ``materialise``: an empty store filled with a year
of facts and all rows, then one hour appended, then nothing new.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from trimtab.features import OnlineStore, compile_view, fill, training_frame

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.features import flights  # noqa: E402

RATIO_LIMIT = 1.5
MEMORY_LIMIT_MB = 1000
READ_LIMIT_US = 300
NOW = datetime(2013, 12, 1, tzinfo=UTC)

SPINE = """
    SELECT row_number() OVER () AS n, flight_id, scheduled - INTERVAL 2 HOUR AS decided, origin, carrier, dest,
           distance, hour(scheduled) AS scheduled_hour, isodow(scheduled) - 1 AS scheduled_weekday
    FROM flight
"""
WEATHER = """
    CASE WHEN w.seen >= s.decided - INTERVAL 3 HOUR THEN w.temp END AS weather_temp,
    CASE WHEN w.seen >= s.decided - INTERVAL 3 HOUR THEN w.wind_speed END AS weather_wind_speed,
    CASE WHEN w.seen >= s.decided - INTERVAL 3 HOUR THEN w.precip END AS weather_precip,
    CASE WHEN w.seen >= s.decided - INTERVAL 3 HOUR THEN w.visib END AS weather_visib
"""
OWN = "s.flight_id, s.decided, s.origin, s.carrier, s.dest, s.distance, s.scheduled_hour, s.scheduled_weekday"
LATEST = "ASOF LEFT JOIN seen AS w ON s.origin = w.origin AND s.decided >= w.seen"
SEEN = 'SELECT origin, "at" AS seen, temp, wind_speed, precip, visib FROM weather'
KNOWN = "SELECT origin, carrier, departed, dep_delay FROM flight WHERE dep_delay IS NOT NULL AND departed IS NOT NULL"


def _running(key: str) -> str:
    return f"""
    SELECT {key}, departed, sum(sum(dep_delay)) OVER w AS total, sum(count(*)) OVER w AS rows
    FROM known GROUP BY {key}, departed WINDOW w AS (PARTITION BY {key} ORDER BY departed)
    """


PREFIX_SUMS = f"""
WITH s AS ({SPINE}), seen AS ({SEEN}), known AS ({KNOWN}),
     by_carrier AS ({_running("carrier")}), by_origin AS ({_running("origin")})
SELECT {OWN}, {WEATHER},
       (c1.total - coalesce(c0.total, 0)) / nullif(c1.rows - coalesce(c0.rows, 0), 0) AS carrier_dep_delay_mean_24h,
       (o1.total - coalesce(o0.total, 0)) / nullif(o1.rows - coalesce(o0.rows, 0), 0) AS origin_dep_delay_mean_3h
FROM s {LATEST}
ASOF LEFT JOIN by_carrier AS c1 ON s.carrier = c1.carrier AND s.decided >= c1.departed
ASOF LEFT JOIN by_carrier AS c0 ON s.carrier = c0.carrier AND s.decided - INTERVAL 24 HOUR >= c0.departed
ASOF LEFT JOIN by_origin AS o1 ON s.origin = o1.origin AND s.decided >= o1.departed
ASOF LEFT JOIN by_origin AS o0 ON s.origin = o0.origin AND s.decided - INTERVAL 3 HOUR >= o0.departed
ORDER BY s.n
"""


def _mean(key: str, seconds: str) -> str:
    return f"""
    SELECT n, avg(v) OVER (PARTITION BY {key} ORDER BY t
                           RANGE BETWEEN INTERVAL '{seconds} seconds' PRECEDING AND CURRENT ROW) AS mean
    FROM moments QUALIFY n IS NOT NULL
    """


RANGE_WINDOWS = f"""
WITH s AS ({SPINE}), seen AS ({SEEN}), known AS ({KNOWN}),
     moments AS (
         SELECT n, carrier, origin, decided AS t, NULL::DOUBLE AS v FROM s
         UNION ALL SELECT NULL, carrier, origin, departed, dep_delay FROM known
     ),
     c AS ({_mean("carrier", "86399.999999")}), o AS ({_mean("origin", "10799.999999")})
SELECT {OWN}, {WEATHER}, c.mean AS carrier_dep_delay_mean_24h, o.mean AS origin_dep_delay_mean_3h
FROM s {LATEST} JOIN c ON c.n = s.n JOIN o ON o.n = s.n
ORDER BY s.n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", choices=sorted(CHILDREN))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child](arguments.folder, arguments.runs)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for contract, table in flights.tables().items():
            with pa.OSFile(str(folder / f"{contract}.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
                out.write_table(table)
        found = {child: _run(child, folder, arguments.runs) for child in CHILDREN}
    peer = min(("prefix_sums", "range_windows"), key=lambda way: found[way]["seconds"])
    ratio = found["frame"]["seconds"] / found[peer]["seconds"]
    print(
        json.dumps(
            {
                "machine": {"python": platform.python_version(), "duckdb": duckdb.__version__, "cores": os.cpu_count()},
                "rows": flights.tables()["Flight"].num_rows,
                "columns": len(compile_view(flights.DELAY).columns),
                "frame": found["frame"],
                "hand_written_duckdb": {way: found[way] for way in ("prefix_sums", "range_windows")},
                "same_result": found["same"],
                "ratio": {"frame_to": peer, "value": round(ratio, 3), "limit": RATIO_LIMIT, "ok": ratio <= RATIO_LIMIT},
                "memory": {"limit_mb": MEMORY_LIMIT_MB, "ok": found["frame"]["peak_mb"] <= MEMORY_LIMIT_MB},
                "materialise": found["online"]["materialise"],
                "online_read": found["online"]["read"]
                | {"limit_p50_us": READ_LIMIT_US, "ok": found["online"]["read"]["p50_us"] <= READ_LIMIT_US},
            },
            indent=2,
        )
    )


def _run(child: str, folder: Path, runs: int) -> Any:
    command = [sys.executable, __file__, "--child", child, "--folder", str(folder), "--runs", str(runs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(done.stdout)


def frame(folder: Path, runs: int) -> Any:
    """Time the training frame."""
    tables = _tables(folder)
    return _timed(lambda: training_frame(flights.DELAY, tables), runs)


def query(sql: str) -> Callable[[Path, int], Any]:
    """Time a hand-written query."""

    def timed(folder: Path, runs: int) -> Any:
        tables = _tables(folder)
        return _timed(lambda: _answer(sql, tables), runs)

    return timed


def same(folder: Path, _runs: int) -> Any:
    """Compare every value of the frame with both queries; doubles may differ in how they were summed."""
    tables = _tables(folder)
    ours = training_frame(flights.DELAY, tables)
    largest = 0.0
    for sql in (PREFIX_SUMS, RANGE_WINDOWS):
        theirs = _answer(sql, tables)
        for name, column in zip(ours.column_names, theirs.columns, strict=True):
            left, right = ours[name].combine_chunks(), column.combine_chunks()
            if not pa.types.is_floating(left.type):
                if left.to_pylist() != right.to_pylist():
                    return {"ok": False, "column": name}
                continue
            if left.is_null().to_pylist() != right.is_null().to_pylist():
                return {"ok": False, "column": name}
            apart = np.nan_to_num(np.abs(left.to_numpy(zero_copy_only=False) - right.to_numpy(zero_copy_only=False)))
            largest = max(largest, float(apart.max()))
    return {"ok": largest < 1e-9, "largest_difference": largest}


def online(folder: Path, _runs: int) -> Any:
    """Time materialisation and single reads by key."""
    tables, view = _tables(folder), compile_view(flights.DELAY)
    store = OnlineStore(folder / "online.db")
    spent = {}
    for name, now in (
        ("fill_s", NOW),
        ("append_hour_s", NOW + timedelta(hours=1)),
        ("unchanged_s", NOW + timedelta(hours=1)),
    ):
        start = time.perf_counter()
        done = fill(store, view, tables, now=now)
        spent[name] = round(time.perf_counter() - start, 3)
        spent[name.replace("_s", "_facts")] = done.facts
    moments = training_frame(view, tables)["decided_at"].to_pylist()
    recent = [
        key
        for key, at in zip(tables["Flight"]["flight_id"].to_pylist(), moments, strict=True)
        if NOW - timedelta(hours=40) < at < NOW
    ]
    seconds = []
    for key in recent * 5:
        start = time.perf_counter()
        store.read(view, {"flight_id": key})
        seconds.append(time.perf_counter() - start)
    store.close()
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e6
    return {
        "materialise": spent | {"file_mb": round((folder / "online.db").stat().st_size / 1e6, 1), "horizon_h": 48},
        "read": {"reads": len(seconds), "p50_us": round(p50, 1), "p99_us": round(p99, 1)},
    }


def _answer(sql: str, tables: dict[str, pa.Table]) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("flight", tables["Flight"])
        connection.register("weather", tables["Weather"])
        return connection.sql(sql).to_arrow_table()


def _tables(folder: Path) -> dict[str, pa.Table]:
    return {name: pa.ipc.open_file(str(folder / f"{name}.arrow")).read_all() for name in ("Flight", "Weather")}


def _timed(work: Callable[[], pa.Table], runs: int) -> Any:
    before, spent, burnt = _peak_mb(), [], []
    for _ in range(runs):
        start, cpu = time.perf_counter(), time.process_time()
        rows = work().num_rows
        spent.append(time.perf_counter() - start)
        burnt.append(time.process_time() - cpu)
    return {
        "seconds": round(min(spent), 3), "first_s": round(spent[0], 3), "cpu_s": round(min(burnt), 3), "rows": rows,
        "peak_mb": _peak_mb(), "peak_before_mb": before,
    }  # fmt: skip


def _peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


CHILDREN: dict[str, Callable[[Path, int], Any]] = {
    "frame": frame,
    "prefix_sums": query(PREFIX_SUMS),
    "range_windows": query(RANGE_WINDOWS),
    "same": same,
    "online": online,
}

if __name__ == "__main__":
    main()
