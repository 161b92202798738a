"""Labels that take their time, in worlds where nothing changes: what the gate is shown, and who is paged.

    python bench/maturity_study.py [--worlds 100] [--served 10] [--seed 0]

Prints JSON. The model knows the truth, so its loss is known. *Gate*: 200 days of 60 rows, tested on the last 60 days;
``held`` is the share of 95 % intervals that hold the true log loss, ``apart`` the mean distance from it, with the age
of final labels declared and measured, and beside them judged as soon as a label is known. *Service*: 90 days of 60
decisions at an endpoint, asked every week: ``held`` and ``apart`` of "the last 7 days" (of all asked weeks), and the
share of endpoints whose level test had paged by the end.
"""

import argparse
import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.declare import Label, ModelSpec, Span, load_project
from trimtab.kernel import Settings, VirtualClock
from trimtab.loop.maturity import maturity_of
from trimtab.monitoring import Outcome, lately, level_test, record_outcomes, watch
from trimtab.store import open_store

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.loop.late_labels import DAY, DAY_S, DAYS, PATTERNS, START, TIME, shown_by_gate, world
from tests.loop.parcels import write_project
from tests.monitoring.served import ACTOR, Served
from tests.registry.cases import evaluated, registered

SERVED_DAYS, TEST_DAYS = 90, 60
WAYS: dict[str, float | None] = {"declared": 31.0, "measured": None, "as soon as known": 1 / DAY_S}
"""Days after which a label is final; None: as measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--served", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    result: dict[str, Any] = {}
    for pattern in PATTERNS:
        result[pattern] = {
            way: {
                "gate": gate(pattern, days, worlds=given.worlds, seed=given.seed),
                "service": service(pattern, days, worlds=given.served, seed=given.seed),
            }
            for way, days in WAYS.items()
        }
    json.dump(result, sys.stdout, indent=2)
    print()


def gate(pattern: str, days: float | None, *, worlds: int, seed: int) -> dict[str, float]:
    """Return how often the gate's interval held the truth, and how far its figure lay from it."""
    held, apart = shown_by_gate(declared(days), pattern, range(seed, seed + worlds), resamples=200)
    return {"held": held / worlds, "apart": round(apart, 4)}


def service(pattern: str, days: float | None, *, worlds: int, seed: int) -> dict[str, float]:
    """Return the same of what an endpoint says of its last week, and how many endpoints paged."""
    held, asked, apart, paged = 0, 0, [], 0
    for number in range(worlds):
        with tempfile.TemporaryDirectory() as folder:
            for value, low, high, truth in weeks(Path(folder), pattern, days, seed=seed + number):
                if truth is None:
                    paged += value
                    continue
                held, asked = held + (low <= truth <= high), asked + 1
                apart.append(value - truth)
    return {
        "held": round(held / max(asked, 1), 3), "apart": round(float(np.mean(apart)), 4), "paged": paged / worlds,
    }  # fmt: skip


def weeks(folder: Path, pattern: str, days: float | None, *, seed: int) -> Any:
    """Live ninety days at an endpoint; yield what each week is shown, and at last whether somebody was paged."""
    frame, truth = world(seed, PATTERNS[pattern])
    first = START + (DAYS - SERVED_DAYS) * DAY
    rows = [row for row in frame.to_pylist() if row["decided_at"] >= first]
    clock = VirtualClock(first)
    store = open_store(Settings(home=str(folder / "home")), clock=clock)
    known = frame.filter(pc.fill_null(pc.less_equal(frame["label_known_at"], pa.scalar(first, TIME)), False))
    maturity = maturity_of(frame, known, declared(days).label, at=first)  # as the version's training knew it
    registered(store, evaluation_id=evaluated(store, maturity=maturity))
    served, waiting, place = Served(store), [], 0
    for day in range(1, SERVED_DAYS + 1):
        now = first + day * DAY
        while place < len(rows) and rows[place]["decided_at"] < now:
            row = rows[place]
            (id_,) = served.decide([row["p"]], at=row["decided_at"])
            if row["label_known_at"] is not None:
                waiting.append((row["label_known_at"], id_, row["label"]))
            place += 1
        clock.advance_to(now)
        watch(store, "late", until=now)
        told = [one for one in waiting if one[0] <= now]
        waiting = [one for one in waiting if one[0] > now]
        record_outcomes(
            store, "late", [Outcome(decision=i, value=float(y), known_at=at) for at, i, y in told], actor=ACTOR
        )
        if day % 7 == 0 and day > 40:
            week = lately(store, "late", version=1, over=timedelta(days=7)).metrics.get("log_loss")
            if week is not None and week.value is not None and week.low is not None:
                yield week.value, week.low, week.high, truth
    test = level_test(store, "late", version=1, at=clock.now())
    yield bool(test and test.evidence.alarmed), None, None, None
    store.close()


def declared(days: float | None) -> ModelSpec:
    """Return a model that is tested on sixty days, and whose labels are final after so many."""
    with tempfile.TemporaryDirectory() as folder:
        model = load_project(write_project(Path(folder) / "parcels.py")).spec.models[0]
    label: Label = msgspec.structs.replace(model.label, matures_s=msgspec.UNSET if days is None else days * DAY_S)
    return msgspec.structs.replace(
        model, label=label, test=Span(seconds=TEST_DAYS * DAY_S, text=f"last {TEST_DAYS} days")
    )


if __name__ == "__main__":
    main()
