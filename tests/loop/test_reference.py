"""A version's own rows, served in every way that they can be, lie exactly where its reference says."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.loop.replays import START, opened, replayed

from trimtab.data import latest_snapshot, load_snapshot
from trimtab.declare import load_project
from trimtab.features import open_online, training_frame
from trimtab.monitoring import Reference, drift, drift_findings, dry_run, get_reference, watch
from trimtab.serving import Ask, Gateway, RegisteredReleases, ServingLimits
from trimtab.store import Store
from trimtab.tracking import ALLOWED_TYPES

PROJECT = """
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

import trimtab as tt

ROWS = 3000


class Parcel(tt.Contract):
    parcel_id: tt.Key[str]
    sent: tt.EventTime
    depot: tt.Category
    lane: tt.Category = tt.missing(0.5)
    weight: tt.Float
    width: tt.Float = tt.missing(0.5)
    stops: tt.Int
    gate: tt.Int = tt.missing(0.5)
    gift: tt.Bool
    insured: tt.Bool = tt.missing(0.5)
    arrived: tt.Time
    late: tt.Bool = tt.known_at("arrived")


@tt.source(Parcel, every="1h")
def parcels():
    random = np.random.default_rng(1)

    def some(values):
        return pd.Series(values).astype(object).where(random.random(ROWS) < 0.8, None)

    sent = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(ROWS) * 30, unit="m")
    weight = random.uniform(0, 40, ROWS).astype(np.float32)
    return pd.DataFrame({
        "parcel_id": [f"p{i}" for i in range(ROWS)], "sent": sent,
        "depot": random.choice(["north", "south", "7"], ROWS), "lane": some(random.choice(["a", "b"], ROWS)),
        "weight": weight, "width": some(random.integers(1, 5, ROWS) / 10),
        "stops": random.poisson(1.0, ROWS), "gate": some(random.integers(0, 9, ROWS)),
        "gift": random.random(ROWS) < 0.3, "insured": some(random.random(ROWS) < 0.5),
        "arrived": sent + pd.Timedelta("2h"), "late": weight + random.normal(0, 20, ROWS) > 20,
    })


parcel = tt.features(
    "parcel", of=Parcel, decided=Parcel.sent,
    columns=[
        Parcel.depot, Parcel.lane, Parcel.weight, Parcel.width, Parcel.stops, Parcel.gate, Parcel.gift, Parcel.insured,
        Parcel.sent.hour,
        (Parcel.weight > 20.0).named("heavy"),
    ],
)


@tt.model(parcel, label=Parcel.late, train="all history", test="last 14 days")
def slow(X, y):
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    texts = ["depot", "lane"]
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), texts),
        (SimpleImputer(), [name for name in X.columns if name not in texts]),
    )
    return make_pipeline(encode, RandomForestClassifier(n_estimators=100, random_state=0)).fit(X, y)


slow.accept_if(tt.auc >= 0.5)
slow.serve(rollout=tt.full)
"""
DAYS = 8
OWN = ("depot", "lane", "weight", "width", "stops", "gate", "gift", "insured")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "parcels.py").write_text(PROJECT, "utf-8")
    replayed(folder / "home", folder / "parcels.py", days=DAYS)
    return folder / "home", folder / "parcels.py"


@pytest.fixture
def store(home: tuple[Path, Path]) -> Iterator[Store]:
    with closing(opened(home[0], at=START + timedelta(days=DAYS))) as store:
        yield store


def rows_of(store: Store, file: Path, *, days: int) -> pa.Table:
    """The rows of a day before the version was made, as its training saw them."""
    project = load_project(file).spec
    snapshot = latest_snapshot(store, "parcels")
    assert snapshot is not None
    tables = {"Parcel": load_snapshot(store, snapshot)}
    since = START - timedelta(days=days)
    return training_frame(project.models[0].view, tables, since=since, until=since + timedelta(days=1))


async def ask(store: Store, columns: dict[str, Any]) -> None:
    online = open_online(store)
    releases, limits = RegisteredReleases(store), ServingLimits(threads=1)
    gateway = Gateway(store, releases=releases, allowed=ALLOWED_TYPES, online=online, limits=limits)
    await gateway.start()
    try:
        await gateway.infer("slow", Ask(columns=columns))
    finally:
        await gateway.stop()
        online.close()


def reference_of(store: Store) -> Reference:
    found = get_reference(store, "slow", 1)
    assert found is not None
    return found


def test_rows_served_by_key_are_never_called_unseen_nor_drifted(store: Store) -> None:
    span: Any = {"version": 1, "since": START, "until": START + timedelta(days=DAYS)}
    found = drift(store, "slow", **span)
    assert found is not None
    assert found.n == DAYS * 48
    assert {one.name: one.unseen_share for one in found.columns if one.unseen_share} == {}
    assert {one.kind for one in found.columns} == {"float", "int", "bool", "category"}
    assert [one.text for one in drift_findings(store, "slow", **span) if one.level != "none"] == []


def test_rows_served_again_are_counted_as_the_reference_counted_them(store: Store, home: tuple[Path, Path]) -> None:
    rows, reference = rows_of(store, home[1], days=2), reference_of(store)
    in_full = {cells.name: rows[cells.name].to_pylist() for cells in reference.columns}
    as_floats = in_full | {
        name: [None if value is None else float(value) for value in in_full[name]]
        for name in ("gift", "insured", "stops", "gate", "heavy", "sent_hour")
    }
    fields = {name: in_full[name] for name in OWN}
    fields |= {"sent": [at.isoformat() for at in rows["decided_at"].to_pylist()]}
    at = [start.date() for start in reference.starts].index((START - timedelta(days=2)).date())
    for asked in (in_full, as_floats, fields):
        before = asked_so_far(store)
        asyncio.run(ask(store, asked))
        now = asked_so_far(store)
        for name in (name for name in asked if name != "sent"):
            assert (now[name] - before[name]).tolist() == reference.tally(name).blocks[at].tolist(), name


def asked_so_far(store: Store) -> dict[str, np.ndarray]:
    """The counts of everything that was decided, in the reference's cells."""
    from trimtab.monitoring.drift import _window

    watch(store, "slow", until=store.clock.now())
    window = _window(store, "slow", 1, START - timedelta(days=30), START + timedelta(days=30), "")
    assert window is not None
    names = [*(cells.name for cells in window.kept.reference.columns), "prediction"]
    return dict(zip(names, window.counts, strict=True))


def test_predictions_are_compared_with_those_of_rows_that_were_not_learnt(store: Store) -> None:
    reference = reference_of(store)
    held = reference.predicted.blocks.sum(axis=1) > 0
    assert 13 <= np.count_nonzero(held) <= 15
    assert len(reference.starts) > 25
    assert held[np.argmax(held) :].all()
    assert reference.predicted_rows < reference.rows
    found = drift(store, "slow", version=1, since=START, until=START + timedelta(days=DAYS))
    assert found is not None
    assert found.of_prediction.psi is not None
    assert found.of_prediction.psi < 0.1, "a forest that has learnt its rows by heart is not surer here than in service"
    findings = drift_findings(store, "slow", version=1, since=START, until=START + timedelta(days=DAYS))
    assert findings[0].level == "none", findings[0].text
    assert dry_run(reference).expected == pytest.approx(held.sum() / 90)
