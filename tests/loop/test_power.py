"""A plan says what a rollout can find, from how the newest version differed from its champion."""

from pathlib import Path

import numpy as np
from sqlalchemy import insert
from tests.loop.parcels import write_project
from tests.monitoring import seeded
from tests.registry.cases import ANN, CODE, registered

from trimtab.declare import load_project
from trimtab.evaluation import compare, evaluate, save_evaluation
from trimtab.kernel import digest_of_bytes
from trimtab.loop import make_plan
from trimtab.monitoring import Reference, keep_reference
from trimtab.monitoring.moments import hour_of
from trimtab.monitoring.tables import monitoring_hours
from trimtab.store import Store

ROLLOUT = 'slow.serve(rollout=tt.shadow("1d") >> tt.canary(10, each="1d") >> tt.full)'
RULE = """
slow.serve(rollout=tt.shadow("1d") >> tt.canary(5, 25, 50, each="12h") >> tt.full,
           roll_back_if=tt.log_loss > tt.champion.log_loss * 1.03)
"""
DAYS, A_DAY = 14, 400


def compared(store: Store, *, model: bytes = b"model", moments: bool = True, a_day: int = A_DAY) -> str:
    """Save the evaluation of a challenger that is a little noisier than its champion; return its id."""
    random = np.random.default_rng(0)
    n = DAYS * a_day
    logit = random.normal(-1, 1, n)
    p, q = (1 / (1 + np.exp(-x)) for x in (logit, logit + random.normal(0, 0.5, n)))
    y = random.random(n) < p
    at = np.datetime64("2013-02-01") + np.arange(n) * np.timedelta64(86400 // a_day, "s")
    both = {"task": "classification", "y": y, "resamples": 20, "moments": at if moments else None}
    comparison = compare(champion=p, challenger=q, **both)  # type: ignore[arg-type]
    found = evaluate(prediction=q, measured_at=store.clock.now(), **both)  # type: ignore[arg-type]
    with store.change(ANN) as change:
        return save_evaluation(
            change, found, blobs=store.blobs, model_digest=digest_of_bytes(model),
            dataset_digest=digest_of_bytes(b"rows"), code_digest=CODE, comparison=comparison,
        ).id  # fmt: skip


def planned(store: Store, folder: Path, rule: str = RULE) -> tuple[str, ...]:
    project = load_project(write_project(folder / "parcels.py", **{ROLLOUT: rule}))
    return make_plan(store, project).item("endpoint", "slow").lines


def test_before_any_comparison_it_says_what_is_missing(sqlite_store: Store, tmp_path: Path) -> None:
    _, rule, line = planned(sqlite_store, tmp_path)
    assert rule == "rolls back if log loss above the champion's log loss times 1.03"
    assert line == "how small a difference it finds is known once a version was compared with a champion"


def test_after_one_it_says_how_much_worse_is_found(sqlite_store: Store, tmp_path: Path) -> None:
    registered(sqlite_store, name="slow", evaluation_id=compared(sqlite_store))
    line = planned(sqlite_store, tmp_path)[2]
    assert line.startswith("within this rollout (5.5 days, 400 labelled rows a day) a challenger worse by ")
    assert " % is found with 80 %, a smaller difference less often (blocks of 6 hours differ by " in line


def test_a_rollout_with_fewer_rows_than_are_judged_finds_nothing(sqlite_store: Store, tmp_path: Path) -> None:
    registered(sqlite_store, name="slow", evaluation_id=compared(sqlite_store, a_day=20))
    line = planned(sqlite_store, tmp_path)[2]
    assert line == (
        "within this rollout (5.5 days, 20 labelled rows a day) nothing is found: that is 110 rows, and at least "
        "200 are judged"
    )


def test_a_comparison_without_moments_tells_nothing(sqlite_store: Store, tmp_path: Path) -> None:
    registered(sqlite_store, name="slow", evaluation_id=compared(sqlite_store, moments=False))
    assert planned(sqlite_store, tmp_path)[2].startswith("how small a difference it finds is known once")


def test_a_rule_without_losses_has_no_such_line(sqlite_store: Store, tmp_path: Path) -> None:
    lines = planned(
        sqlite_store, tmp_path, RULE.replace("tt.log_loss > tt.champion.log_loss * 1.03", "tt.errors > 0.01")
    )
    assert len(lines) == 2


def watched(store: Store, folder: Path) -> str:
    return make_plan(store, load_project(write_project(folder / "parcels.py"))).item("monitor", "slow").lines[1]


def made_on(store: Store) -> Reference:
    """Register a version, and keep 20 days of 300 rows as its reference."""
    random = np.random.default_rng(0)
    reference = seeded.reference_of_days([seeded.day(random, rows=300, columns=3) for _ in range(20)])
    version = registered(store, name="slow")
    with store.change(ANN) as change:
        keep_reference(change, model="slow", version=version.number, reference=reference, blobs=store.blobs)
    return reference


def test_before_any_training_it_says_who_will_say_how_small_a_drift_is_found(
    sqlite_store: Store, tmp_path: Path
) -> None:
    line = "how small a drift or rise of the loss it finds is known once a version was trained: approve says it"
    assert watched(sqlite_store, tmp_path) == line
    registered(sqlite_store, name="slow")
    assert watched(sqlite_store, tmp_path) == line


def test_with_a_reference_it_says_how_small_a_drift_is_found(sqlite_store: Store, tmp_path: Path) -> None:
    made_on(sqlite_store)
    line = watched(sqlite_store, tmp_path)
    assert line.startswith(
        "drift, by what slow@1 was made on (as many as on a usual day of its reference): In a window of 300 rows it "
        "finds a shift of the prediction by "
    )
    assert (
        " A shift of 0.2 standard deviations in one column alone is found in the first window with a power of " in line
    )
    assert line.endswith("Its columns were others: trimtab approve says it again.")


def test_it_is_said_for_the_traffic_that_there_is(sqlite_store: Store, tmp_path: Path) -> None:
    made_on(sqlite_store)
    today = hour_of(sqlite_store.clock.now()) // 24 * 24
    with sqlite_store.journal() as journal:
        for day in range(1, 9):
            journal.execute(insert(monitoring_hours).values(
                endpoint="slow", version=1, stage="full", hour=today - 24 * day, n=40, labelled=0, sums="",
            ))  # fmt: skip
    line = watched(sqlite_store, tmp_path)
    assert "(as many as on a usual day): In a window of 40 rows " in line


def test_once_a_version_was_evaluated_it_says_how_large_a_rise_of_the_loss_is_found(
    sqlite_store: Store, tmp_path: Path
) -> None:
    registered(sqlite_store, name="slow", evaluation_id=compared(sqlite_store))
    project = load_project(write_project(tmp_path / "parcels.py"))
    line = make_plan(sqlite_store, project).item("monitor", "slow").lines[2]
    assert line.startswith("the loss, by the test span of slow@1: a loss that rises by ")
    assert "(from the first day of service on, 400 labelled rows a day; the 14 days of the test span differ by " in line
