"""A home in which a good deal has happened: a champion, a version for each answer a gate can give, a snapshot."""

from pathlib import Path

import msgspec
import numpy as np
from tests.loop.parcels import write_project

from trimtab.declare import Condition, Metric, Threshold, load_project
from trimtab.evaluation import evaluate, judge, save_evaluation
from trimtab.kernel import Actor, Settings
from trimtab.loop import apply_project, approve_version
from trimtab.registry import Version, get_version, register_version, reject
from trimtab.store import Store, open_store

CLOCK = "2013-03-01"
ALICE = Actor("alice")
REJECTED, CANDIDATE, FAILED = "slow@2", "slow@3", "slow@4"
CHAMPION = "slow@1"


def prepare(folder: Path) -> None:
    """Make the home ``.trimtab`` beside the small project's file in ``folder``.

    ``slow@1`` is trained, approved and serves; ``slow@2`` is rejected, ``slow@3`` waits for an approval, and
    ``slow@4`` did not pass its gate.
    """
    folder.mkdir(parents=True)
    store = open_store(settings_of(folder))
    project = load_project(write_project(folder / "parcels.py"))
    apply_project(store, project, actor=ALICE, because="the first parcels")
    approve_version(store, CHAMPION, actor=ALICE, because="the first model")
    for strength in (0.5, 0.25):
        _again(store, strength)
    with store.change(ALICE, "not better") as change:
        reject(change, REJECTED)
    _again(store, 0.1, evaluation=_failed(store))
    store.close()


def settings_of(folder: Path) -> Settings:
    return Settings(home=str(folder / ".trimtab"), clock=CLOCK)


def _again(store: Store, strength: float, *, evaluation: str | None = None) -> None:
    """Enter the champion's bytes once more, as if learnt with another parameter: training takes seconds, this none."""
    first = get_version(store, CHAMPION)
    # The same signature in bytes of its own, so that the champion's can be damaged alone.
    signature = store.blobs.put(store.blobs.get(first.artifacts.signature) + b" " * int(100 * strength))
    artifacts = msgspec.structs.replace(first.artifacts, signature=signature)
    with store.change(ALICE, "try again") as change:
        register_version(
            change, model="slow", artifacts=artifacts, lineage=first.lineage, params={"strength": strength},
            evaluation_id=evaluation or first.evaluation_id, task=first.task,
        )  # fmt: skip


def _failed(store: Store) -> str:
    """Save an evaluation of the champion's bytes that its gate refuses."""
    first: Version = get_version(store, CHAMPION)
    random = np.random.default_rng(2)
    found = evaluate(
        task="classification", y=random.integers(0, 2, 200), prediction=random.uniform(0, 1, 200), seed=2,
        measured_at=store.clock.now(),
    )  # fmt: skip
    asked = (Condition(left=Metric(name="auc"), op=">=", right=Threshold(value=0.999)),)
    verdict = judge(asked, candidate=found, now=store.clock.now())
    with store.change(ALICE, "a look at noise") as change:
        record = save_evaluation(
            change, found, blobs=store.blobs, model_digest=first.artifacts.model, dataset_digest=first.lineage.data[0],
            code_digest=first.lineage.code, verdict=verdict,
        )  # fmt: skip
    assert record.passed is False, msgspec.to_builtins(record)
    return record.id
