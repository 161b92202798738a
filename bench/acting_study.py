"""The long study of the tests that act. Seeded; the tests hold short cuts of it.

    python bench/acting_study.py [--rollouts 1000] [--seed 0]

Prints JSON. *Rollouts*: 22 blocks of six hours (five and a half days) with 225 labelled rows each, a champion whose log
loss is .49, a rule that asks for a loss more than 3 % above it. ``equal`` is the share of rollouts of equal models that
were rolled back, by the standard deviation of what shakes a block and its autocorrelation; ``10 % worse`` the share of
such challengers that were found within 2 days and within the rollout; with the 56 blocks of a test span of 14 days,
with 28, and without any.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.monitoring.rollouts import BLOCKS, TEST_SPAN, acts_after, share_within

SPREADS = (0.0, 0.02, 0.05, 0.1)
CORRELATIONS = (0.0, 0.5, 0.8)
TWO_DAYS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    result: dict[str, Any] = {}
    for past in (TEST_SPAN, 28, 0):
        random = np.random.default_rng([arguments.seed, past])
        result[f"rollouts, {past} blocks of a test span"] = rollouts(random, past, arguments.rollouts)
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


if __name__ == "__main__":
    main()
