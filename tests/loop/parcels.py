"""A small project that is declared, trained and served in seconds: parcels that arrive late or not."""

from pathlib import Path

SMALL = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.compose import make_column_transformer

import trimtab as tt

ROWS = 3000


class Parcel(tt.Contract):
    parcel_id: tt.Key[str]
    sent: tt.EventTime
    depot: tt.Category = tt.one_of("north", "south")
    weight: tt.Float = tt.between(0, 50)
    arrived: tt.Time
    delay: tt.Float = tt.known_at("arrived")


@tt.source(Parcel, every="1h")
def parcels():
    random = np.random.default_rng(1)
    sent = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(ROWS) * 30, unit="m")
    depot = random.choice(["north", "south"], ROWS)
    weight = random.uniform(0, 40, ROWS)
    weight[7] = 400.0
    delay = 2 * weight + 20 * (depot == "south") + random.normal(0, 15, ROWS)
    arrived = sent + pd.to_timedelta(np.full(ROWS, 120.0), unit="m")
    return pd.DataFrame({
        "parcel_id": [f"p{i}" for i in range(ROWS)], "sent": sent, "depot": depot, "weight": weight,
        "arrived": arrived, "delay": delay,
    })


parcel = tt.features(
    "parcel", of=Parcel, decided=Parcel.sent,
    columns=[Parcel.weight, Parcel.depot, Parcel.sent.hour, Parcel.delay.mean(over="24h", by="depot")],
)


@tt.model(parcel, label=Parcel.delay > 50, train="all history", test="last 7 days")
def slow(X, y, strength=1.0):
    X = X.drop(columns=["depot_delay_mean_24h"])
    encode = make_column_transformer((OneHotEncoder(), ["depot"]), remainder="passthrough")
    return make_pipeline(encode, LogisticRegression(C=strength, max_iter=1000)).fit(X, y)


slow.accept_if(tt.auc >= ACCEPT, tt.log_loss <= tt.champion.log_loss + 1.0)
slow.serve(rollout=tt.shadow("1d") >> tt.canary(10, each="1d") >> tt.full)
"""


def write_project(path: Path, *, accept: float = 0.7, **replacements: str) -> Path:
    """Write the small project with another threshold or other text in it."""
    text = SMALL.replace("ACCEPT", str(accept))
    for old, new in replacements.items():
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    return path


def trying(path: Path, *files: Path) -> Path:
    """Write a project whose source says as whom it runs, and what it reads in some files."""
    path.parent.mkdir(exist_ok=True)
    text = write_project(path).read_text("utf-8")
    attempt = f"""    import os
    print("AS", os.getresuid(), os.getresgid(), os.getgroups(), os.access(os.environ.get("TMPDIR", "/"), os.W_OK))
    for file in {[str(file) for file in files]}:
        try:
            print("GOT", open(file).read())
        except OSError as error:
            print("NOTHING", type(error).__name__)
"""
    path.write_text(text.replace("    random = np.random", f"{attempt}    random = np.random", 1), "utf-8")
    return path
