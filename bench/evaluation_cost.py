"""What judging costs: an evaluation with slices, a paired comparison, and the check of a release.

    python bench/evaluation_cost.py [--runs 5]

Prints JSON; seconds are the best of ``runs``, of one process. The peer is the usual loop: draw rows, call scikit-learn
for the same metrics, 1,000 times (measured over 20 and multiplied). ``check_release_s`` reads and hashes every covered
byte, 20 MB of data snapshots among them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from sklearn import metrics as sk

from trimtab.evaluation import compare, evaluate
from trimtab.kernel import Actor, Settings, VirtualClock, digest_of_bytes
from trimtab.registry import Lineage, ModelArtifacts, approve, check_release, register_version, release_for
from trimtab.store import open_store

NOW = datetime(2013, 3, 1, tzinfo=UTC)
EVALUATE_LIMIT_S = 3.0
METRICS_LIMIT_S = 2.0
PEER_RESAMPLES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    random = np.random.default_rng(7)
    y, p = _rows(random, 10_000)
    slices = {f"column_{i}": random.choice([f"value_{j}" for j in range(20)], y.size) for i in range(3)}
    large_y, large_p = _rows(random, 20_000)
    other = np.clip(p + random.normal(0, 0.1, p.size), 0.001, 0.999)
    result = {
        "evaluate_10k_rows_3_columns_of_20_s": _best(
            runs, lambda: evaluate(task="classification", y=y, prediction=p, slices=slices, measured_at=NOW)
        ),
        "evaluate_limit_s": EVALUATE_LIMIT_S,
        "evaluate_20k_rows_s": _best(
            runs, lambda: evaluate(task="classification", y=large_y, prediction=large_p, measured_at=NOW)
        ),
        "metrics_limit_s": METRICS_LIMIT_S,
        "scikit_learn_loop_20k_rows_s": _loop(large_y, large_p),
        "compare_10k_rows_s": _best(
            runs, lambda: compare(task="classification", y=y, champion=other, challenger=p)
        ),
        "check_release_s": _release(runs),
    }  # fmt: skip
    print(json.dumps(result, indent=2))


def _rows(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    p = 1 / (1 + np.exp(-random.normal(-1.2, 1, n)))
    return random.random(n) < p, p


def _best(runs: int, measured: Callable[[], object]) -> float:
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        measured()
        seconds.append(time.perf_counter() - started)
    return round(min(seconds), 4)


def _loop(y: np.ndarray, p: np.ndarray) -> float:
    random = np.random.default_rng(0)
    started = time.perf_counter()
    for _ in range(PEER_RESAMPLES):
        drawn = random.integers(0, y.size, y.size)
        own_y, own_p = y[drawn], p[drawn]
        decided = own_p >= 0.5
        for metric in (sk.accuracy_score, sk.precision_score, sk.recall_score, sk.f1_score):
            metric(own_y, decided)
        for metric in (sk.average_precision_score, sk.log_loss, sk.brier_score_loss):
            metric(own_y, own_p)
    return round((time.perf_counter() - started) * 1000 / PEER_RESAMPLES, 1)


def _release(runs: int) -> float:
    with tempfile.TemporaryDirectory() as home:
        store = open_store(Settings(home=home), clock=VirtualClock(NOW))
        put, random = store.blobs.put, np.random.default_rng(0)
        with store.change(Actor("bench"), "bench") as change:
            version = register_version(
                change,
                model="late",
                artifacts=ModelArtifacts(model=put(random.bytes(500_000)), format="skops", signature=put(b"{}")),
                lineage=Lineage(
                    data=(put(random.bytes(20_000_000)),),
                    code=digest_of_bytes(b"code"),
                    environment=digest_of_bytes(b"environment"),
                ),
            )
            approve(change, version, override="a benchmark")
        release = release_for(store, version)
        seconds = _best(runs, lambda: check_release(store, release))
        store.close()
        return seconds


if __name__ == "__main__":
    main()
