"""A small world of late flights: a view, a trained model, its bytes, and a gate in memory."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import skops.io as skops
from msgspec import UNSET
from sklearn.ensemble import HistGradientBoostingClassifier

from trimtab.declare.records import ContractSpec, FeatureViewSpec, Field, FieldKind, FieldSpec, Latest, TimePart
from trimtab.kernel import Actor, digest_of
from trimtab.serving import Ask, Canary, Gateway, Input, NotServable, Released, Routing, set_routing
from trimtab.store import Store

K = FieldKind
ACTOR = Actor("tester")
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
CARRIERS = ("AA", "B6", "DL", "UA")
ORIGINS = ("EWR", "JFK", "LGA")
ALLOWED = (
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
)
INPUTS = (
    Input(name="origin", kind="category", categories=ORIGINS),
    Input(name="carrier", kind="category", categories=CARRIERS),
    Input(name="distance", kind="float"),
    Input(name="scheduled_hour", kind="int"),
    Input(name="weather_temp", kind="float"),
)
NAMES = tuple(column.name for column in INPUTS)

WEATHER = ContractSpec(
    name="Weather",
    fields=(
        FieldSpec(name="origin", kind=K.KEY),
        FieldSpec(name="at", kind=K.EVENT_TIME),
        FieldSpec(name="temp", kind=K.FLOAT),
    ),
)
FLIGHT = ContractSpec(
    name="Flight",
    fields=(
        FieldSpec(name="flight_id", kind=K.KEY),
        FieldSpec(name="scheduled", kind=K.EVENT_TIME),
        FieldSpec(name="origin", kind=K.CATEGORY),
        FieldSpec(name="carrier", kind=K.CATEGORY),
        FieldSpec(name="distance", kind=K.FLOAT),
    ),
)
VIEW = FeatureViewSpec(
    name="delay",
    of=FLIGHT,
    decided="scheduled",
    decided_offset_s=-7200.0,
    columns=(
        Field(contract="Flight", field="origin"),
        Field(contract="Flight", field="carrier"),
        Field(contract="Flight", field="distance"),
        TimePart(of=Field(contract="Flight", field="scheduled"), part="hour"),
        Latest(contract="Weather", fields=("temp",), by=("origin",), within_s=3 * 3600.0),
    ),
    contracts=(FLIGHT, WEATHER),
)


def _promising(field: FieldSpec) -> FieldSpec:
    promises: dict[str, Any] = {
        "origin": {"values": ORIGINS},
        "carrier": {"missing": 0.1},
        "distance": {"low": 0.0, "high": 5000.0},
        "temp": {"low": -60.0, "high": 130.0},
    }
    return msgspec.structs.replace(field, **promises.get(field.name, {}))


PROMISING_WEATHER, PROMISING_FLIGHT = (
    msgspec.structs.replace(contract, fields=tuple(_promising(field) for field in contract.fields))
    for contract in (WEATHER, FLIGHT)
)
PROMISING = msgspec.structs.replace(VIEW, of=PROMISING_FLIGHT, contracts=(PROMISING_FLIGHT, PROMISING_WEATHER))
"""The same view, over contracts that promise more: it means the same, so its digest is the same."""
SEEN = tuple(msgspec.structs.replace(one, missing=one.name in ("carrier", "weather_temp")) for one in INPUTS)
"""The inputs of a model that has seen carriers and temperatures missing, and nothing else."""


def facts(flights: int = 20) -> dict[str, pa.Table]:
    """Flights from noon on, one an hour, and the weather at each airport every hour."""
    rows = [
        {"flight_id": f"F{i}", "scheduled": NOON + timedelta(hours=i), "origin": ORIGINS[i % 3],
         "carrier": CARRIERS[i % 4], "distance": 500.0 + i}
        for i in range(flights)
    ]  # fmt: skip
    weather = [
        {"origin": origin, "at": NOON + timedelta(hours=hour), "temp": 30.0 + hour + place}
        for hour in range(-24, 1)
        for place, origin in enumerate(ORIGINS)
    ]
    return {"Flight": pa.Table.from_pylist(rows), "Weather": pa.Table.from_pylist(weather)}


def history(rows: int = 400, seed: int = 0) -> tuple[pd.DataFrame, Any]:
    """What a model learns from, some values missing, and whether each flight was late."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "origin": pd.Categorical(rng.choice(ORIGINS, rows), categories=list(ORIGINS)),
            "carrier": pd.Categorical(rng.choice(CARRIERS, rows), categories=list(CARRIERS)),
            "distance": rng.uniform(100, 5000, rows),
            "scheduled_hour": rng.integers(0, 24, rows).astype(float),
            "weather_temp": rng.normal(50, 20, rows),
        }
    )
    steep = (frame["scheduled_hour"].to_numpy() - 12) / 4 + (frame["carrier"] == "B6").to_numpy()
    late = rng.random(rows) < 1 / (1 + np.exp(-steep))
    frame.loc[rng.random(rows) < 0.05, "weather_temp"] = np.nan
    frame.loc[rng.random(rows) < 0.05, "carrier"] = None
    return frame, late.astype(np.int64)


def trained(seed: int = 0, trees: int = 12) -> Any:
    frame, late = history(seed=seed)
    model = HistGradientBoostingClassifier(max_iter=trees, categorical_features="from_dtype", random_state=0)
    return model.fit(frame, late)


def plain(frame: pd.DataFrame) -> list[list[Any]]:
    """The rows of a frame as callers send them: plain values, None where one is missing, hours as integers."""
    rows = [[None if pd.isna(value) else value for value in row] for row in frame.itertuples(index=False)]
    hour = list(frame.columns).index("scheduled_hour") if "scheduled_hour" in frame else None
    if hour is not None:
        for row in rows:
            row[hour] = int(row[hour])
    return rows


def ask_for(rows: Iterable[list[Any]], **more: Any) -> Ask:
    """All features of some rows, as a request."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Ask(columns=dict(zip(NAMES, columns, strict=True)), **more)


def some_rows(count: int, seed: int = 5) -> list[list[Any]]:
    return plain(history(count, seed=seed)[0])


def parquet_of(frame: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    columns = zip(*plain(frame), strict=True)
    pq.write_table(pa.table({name: list(column) for name, column in zip(frame.columns, columns, strict=True)}), sink)
    return sink.getvalue()


class FakeReleases:
    """A registry's gate in memory: what was released, and what was withdrawn."""

    def __init__(self) -> None:
        self.released: dict[tuple[str, int], Released] = {}

    def withdraw(self, model: str, version: int) -> None:
        del self.released[model, version]

    def checked(self, model: str, version: int) -> Released:
        found = self.released.get((model, version))
        if found is None:
            raise NotServable(f"{model}@{version} has no release", where="registry", version=f"{model}@{version}")
        return found

    def release(self, store: Store, version: int, fitted: Any, *, model: str = "late", **changes: Any) -> Released:
        """Keep a fitted model's bytes and release them."""
        about: dict[str, Any] = {
            "model": model, "version": version, "release": digest_of({"model": model, "version": version}),
            "format": "skops", "inputs": INPUTS, "task": "classification",
            "sample": store.blobs.put(parquet_of(history(40, seed=9)[0])),
        }  # fmt: skip
        if "digest" not in changes:
            about["digest"] = store.blobs.put(skops.dumps(fitted))
        one = Released(**(about | changes))
        self.released[model, version] = one
        return one


def route(
    store: Store,
    releases: FakeReleases,
    champion: int = 1,
    *,
    canary: dict[int, float] | None = None,
    endpoint: str = "late",
    model: str = "late",
    shadow: tuple[int, ...] = (),
    sticky_by: str | None = None,
    paired: bool = False,
    broken_rows: Any = UNSET,
) -> None:
    """Put versions in their places at an endpoint."""
    canaries = tuple(Canary(version=version, percent=percent) for version, percent in (canary or {}).items())
    routing = Routing(
        endpoint=endpoint, model=model, champion=champion, canary=canaries, shadow=shadow, sticky_by=sticky_by,
        paired=paired, broken_rows=broken_rows,
    )  # fmt: skip
    with store.change(ACTOR, "try it") as change:
        set_routing(change, routing, releases=releases)


def gateway_of(store: Store, releases: FakeReleases, **options: Any) -> Gateway:
    return Gateway(store, releases=releases, allowed=ALLOWED, **({"poll_s": 0.02} | options))
