"""The long study of the tests that act. Seeded; the tests hold short cuts of it.

    python bench/acting_study.py [--rollouts 1000] [--years 100] [--seed 0]

Prints JSON. *Rollouts*: 22 blocks of six hours (five and a half days) with 225 labelled rows each, a champion whose log
loss is .49, a rule that asks for a loss more than 3 % above it. ``equal`` is the share of rollouts of equal models that
were rolled back, by the standard deviation of what shakes a block and its autocorrelation; ``10 % worse`` the share of
such challengers that were found within 2 days and within the rollout; with the 56 blocks of a test span of 14 days,
with 28, and without any. *Level*: the days from a rise (error rate of 10 to 13 %, log loss of .49 to .539, 1,000 rows a
day, days that differ by 1 percentage point) until the page, after so many healthy days, and the share of stationary
years that are paged. *Best*: the same error rate for a test that knows the level (by 400 days), the spread, an
autocorrelation of .5 and the rise, and pages 5 % of stationary years with that autocorrelation: no other can be much
quicker.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.monitoring.rollouts import BLOCKS, TEST_SPAN, acts_after, share_within
from tests.monitoring.years import ERROR_RATE, LOG_LOSS, best_delays, paged_after

SPREADS = (0.0, 0.02, 0.05, 0.1)
CORRELATIONS = (0.0, 0.5, 0.8)
TWO_DAYS = 8
LEVELS = {"error rate of 10 to 13 %": (ERROR_RATE, 0.03), "log loss of .49 to .539": (LOG_LOSS, 0.049)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--years", type=int, default=100)
    arguments = parser.parse_args()
    result: dict[str, Any] = {}
    for past in (TEST_SPAN, 28, 0):
        random = np.random.default_rng([arguments.seed, past])
        result[f"rollouts, {past} blocks of a test span"] = rollouts(random, past, arguments.rollouts)
    for name, (world, rise) in LEVELS.items():
        random = np.random.default_rng([arguments.seed, 1, len(name)])
        result[f"level, {name}"] = levels(random, arguments.years, world, rise)
    random = np.random.default_rng([arguments.seed, 2])
    delays = best_delays(random, arguments.years, rises_by=LEVELS["error rate of 10 to 13 %"][1], **ERROR_RATE)
    result["best, error rate of 10 to 13 %"] = quantiles(delays)
    json.dump(result, sys.stdout, indent=2)
    print()


def rollouts(random: np.random.Generator, past: int, number: int) -> dict[str, Any]:
    """Return how often equal models are rolled back, and how soon one that is 10 % worse is."""
    equal = {
        f"spread {spread}, autocorrelation {correlation}": round(
            share_within(acts_after(random, number, spread=spread, autocorrelation=correlation, past=past)), 4
        )
        for spread in SPREADS
        for correlation in CORRELATIONS
        if spread or not correlation
    }
    worse = {}
    for spread in SPREADS:
        acts = acts_after(random, number, worse=0.1, spread=spread, past=past)
        worse[f"spread {spread}"] = {
            "within 2 days": round(share_within(acts, TWO_DAYS), 4), "within the rollout": round(share_within(acts), 4),
            "median blocks": float(np.median(acts)) if np.median(acts) <= BLOCKS else None,
        }  # fmt: skip
    return {"equal": equal, "10 % worse": worse}


def levels(random: np.random.Generator, streams: int, world: dict[str, float], rise: float) -> dict[str, Any]:
    """Return how often stationary years are paged, and how many days a rise takes to be."""
    result: dict[str, Any] = {}
    for correlation in (0.0, 0.5):
        paged = paged_after(random, streams, days=365, autocorrelation=correlation, **world)
        result[f"years paged, autocorrelation {correlation}"] = round(float((paged <= 365).mean()), 4)
    for healthy in (0, 14, 60, 120):
        paged = paged_after(random, streams, days=healthy + 60, rises_by=rise, healthy=healthy, **world)
        result[f"days until the page, after {healthy}"] = quantiles(paged[paged > healthy] - healthy)
    return result


def quantiles(days: np.ndarray) -> dict[str, float]:
    """Return the tenth, the middle and the ninetieth of a hundred."""
    return dict(zip(("p10", "median", "p90"), np.quantile(days, (0.1, 0.5, 0.9)).tolist(), strict=True))


if __name__ == "__main__":
    main()
