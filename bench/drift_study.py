"""The long study of drift: false alarms and power. Seeded; the tests hold short cuts of it.

    python bench/drift_study.py [--days 365] [--worlds 30] [--seed 0]

Prints JSON. *Drift*: 40 features, 5,000 rows a day, a natural effect of each day of 0.03 standard deviations; a
reference of 14, 30 and 60 days. ``false_days`` is the share of days without drift on which anything was found,
``found_days`` that of first days after a shift of 5 features on which at least one of them was, ``found_features`` the
share of those five, ``found_all`` that of days on which all five were; beside them the usual test, Kolmogorov-Smirnov
at p < 0.05 for each feature. ``dry_run`` compares what a dry run promised with what then happened. *Dependent days*: 10
columns of 400 rows whose days are an autoregression with a deviation of 0.3; the share of later days on which anything
was found, and on which somebody was paged, over many such worlds. *Long tails*: the same of a category whose values
come from a power law, and its PSI before and after what chance alone makes of it.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from trimtab.monitoring.calibration import Calibration, calibrate
from trimtab.monitoring.counting import count_table
from trimtab.monitoring.distances import psi
from trimtab.monitoring.dry_run import dry_run
from trimtab.monitoring.reference import PREDICTION, build_reference

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.monitoring import seeded

COLUMNS, ROWS, SHIFTED = 40, 5_000, 5
RATES = {"5 % of windows": (1.0, 20.0), "one in 90 days": (1.0, 90.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--worlds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    result: dict[str, Any] = {}
    for length in (14, 30, 60):
        random = np.random.default_rng([arguments.seed, length])
        result[f"reference of {length} days"] = drift(random, length, arguments.days)
    result["dependent days"] = {
        f"autocorrelation {rho}, reference of {length} days": dependent(arguments.seed, length, rho, arguments.worlds)
        for length in (14, 30, 60)
        for rho in (0.0, 0.9, 0.97)
    }
    result["long tails"] = {f"exponent {tail}": long_tail(arguments.seed, tail) for tail in (1.2, 1.5, 2.0)}
    json.dump(result, sys.stdout, indent=2)
    print()


def drift(random: np.random.Generator, length: int, days: int) -> dict[str, Any]:
    """Return false alarms and power of one reference, at each rate that a user might state."""
    past = [day(random) for _ in range(length)]
    reference = seeded.reference_of_days(past)
    calibration = calibrate(reference)
    healthy = [day(random) for _ in range(days)]
    found: dict[str, Any] = {}
    for words, rate in RATES.items():
        marked = [names(calibration, rows, rate) for rows in healthy]
        found[words] = {
            "false_days": share([bool(some) for some in marked]),
            "false_days_without_effect_gate": share([bool(names(calibration, rows, rate, 0.0)) for rows in healthy]),
            "paged_days": share([PREDICTION in some for some in marked]),
        }
        for shift in (0.05, 0.1, 0.2, 0.3):
            found[words][f"shift of {shift} sd"] = power(random, calibration, rate, shift, days // 4)
    rows_before = np.concatenate(past)[:: max(1, length // 10)]
    found["ks at p < 0.05"] = {"false_days": share([naive(rows_before, rows) for rows in healthy[:20]])}
    found["dry_run"] = promised(random, calibration)
    return found


def power(
    random: np.random.Generator, calibration: Calibration, rate: tuple[float, float], shift: float, days: int
) -> dict[str, float]:
    shifted = {f"f{i}" for i in range(SHIFTED)}
    marked = [names(calibration, day(random, shift=shift, shifted=SHIFTED), rate) & shifted for _ in range(days)]
    return {
        "found_days": share([bool(some) for some in marked]),
        "found_features": round(float(np.mean([len(some) / SHIFTED for some in marked])), 4),
        "found_all": share([len(some) == SHIFTED for some in marked]),
    }


def promised(random: np.random.Generator, calibration: Calibration) -> dict[str, Any]:
    """Return how often the smallest shift of a dry run is found: 80 % was promised."""
    run = dry_run(calibration.reference)
    last = run.columns[-1]
    assert last.smallest is not None
    hits = []
    for _ in range(200):
        rows = day(random)
        rows[:, -1] += last.smallest
        hits.append(last.name in names(calibration, rows, RATES["one in 90 days"]))
    return {"text": run.text, "smallest_sd": round(last.smallest, 4), "promised": 0.8, "found": share(hits)}


def dependent(seed: int, length: int, rho: float, worlds: int) -> dict[str, float]:
    """Return how many of 60 later days were marked in worlds where a day is like the one before it."""
    noted, paged = [], []
    for world in range(worlds):
        random = np.random.default_rng([seed, world, length, round(100 * rho)])
        moved = [random.normal(0, 0.3, 10)]
        for _ in range(length + 59):
            moved.append(rho * moved[-1] + random.normal(0, 0.3 * np.sqrt(1 - rho**2), 10))
        days = [random.normal(size=(400, 10)) + of_day for of_day in moved]
        calibration = calibrate(seeded.reference_of_days(days[:length]))
        for rows in days[length:]:
            levels = {one.level for one in seeded.judge(calibration, rows, false_pages=RATES["one in 90 days"])}
            noted.append(bool(levels & {"shown", "page"}))
            paged.append("page" in levels)
    return {"noted_days": share(noted), "paged_days": share(paged)}


def long_tail(seed: int, tail: float) -> dict[str, float]:
    """Return what 200 healthy days of 600 rows of a category show against a reference of 30."""
    random = np.random.default_rng([seed, round(10 * tail)])

    def day() -> pa.Array:
        return pa.array([f"c{value}" for value in random.zipf(tail, 600)])

    past = [day() for _ in range(30)]
    at = np.datetime64("2013-01-01", "us") + np.repeat(np.arange(30), 600) * np.timedelta64(1, "D")
    reference = build_reference(
        pa.table({"c": pa.concat_arrays(past)}), kinds={"c": "category"}, prediction=random.random(18_000),
        at=pa.array(at, pa.timestamp("us", "UTC")),
    )  # fmt: skip
    calibration, cells = calibrate(reference), reference.cells("c")
    silent = np.zeros(reference.prediction.size, dtype=np.int64)
    days = [count_table((cells,), {"c": day()}) for _ in range(200)]
    found = [calibration.findings(counts, silent)[1] for counts in days]
    return {
        "noted_days": share([one.level in ("shown", "page") for one in found]),
        "psi": round(float(np.mean([psi(reference.tally("c").total, counts["c"], cells) for counts in days])), 4),
        "psi_less_chance": round(float(np.mean([one.distances.psi for one in found])), 4),
    }


def names(
    calibration: Calibration, rows: np.ndarray, rate: tuple[float, float], matters: float | None = None
) -> set[str]:
    more = {} if matters is None else {"matters": matters}
    return {
        one.name for one in seeded.judge(calibration, rows, false_pages=rate, **more) if one.level in ("shown", "page")
    }


def day(random: np.random.Generator, **more: Any) -> np.ndarray:
    return seeded.day(random, rows=ROWS, columns=COLUMNS, **more)


def naive(before: np.ndarray, rows: np.ndarray) -> bool:
    return any(stats.ks_2samp(before[:, i], rows[:, i]).pvalue < 0.05 for i in range(COLUMNS))


def share(flags: list[bool]) -> float:
    return round(float(np.mean(flags)), 4)


if __name__ == "__main__":
    main()
