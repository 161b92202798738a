"""A home with several of everything that a page lists: that of a loop, and what a loop does not make."""

import shutil
from datetime import timedelta
from pathlib import Path

import msgspec
from tests.registry.cases import ANN, artifacts, evaluated, lineage
from tests.seeded import Seeded

from trimtab.data import take_snapshot
from trimtab.declare import load_project
from trimtab.features import get_view, register_view
from trimtab.kernel import Actor
from trimtab.loop import Trigger, TriggerKind, TurnState, move_turn, open_turn
from trimtab.monitoring import Sign
from trimtab.monitoring.alerts import settle
from trimtab.pipelines import PipelineSpec, StepSpec, list_pipeline_runs, log_path, submit
from trimtab.registry import register_version
from trimtab.store import Store, open_store
from trimtab.tracking import start_run

LINES = "".join(f"line {n}\n" for n in range(200))


def crowd(looped: Seeded, folder: Path) -> Seeded:
    """Copy the home in which the loop has turned, and add to it."""
    home = folder / "home"
    shutil.copytree(looped.home, home)
    found = msgspec.structs.replace(looped, home=home)
    store = open_store(found.settings)
    try:
        runs = _runs(store)
        _versions(store)
        _views(store)
        _snapshots(store, found.project)
        _loops(store)
        _pipelines(store)
        return msgspec.structs.replace(found, runs=runs)
    finally:
        store.close()


def _runs(store: Store) -> tuple[str, ...]:
    parent = start_run(
        store, experiment="by hand", name="parent", actor=ANN, params={"rate": 0.1, "depth": 3}, capture=()
    )
    for step in range(3):
        parent.log_metrics({f"metric_{n}": 1.0 + step + n for n in range(3)}, step)
    parent.log_param("text", "a long text " * 30)
    parent.log_text("one", "one.txt")
    parent.log_text("two", "two.txt")
    parent.log_text(LINES, "console.txt")
    ids = [parent.finish().id]
    for n in range(2):
        child = start_run(
            store, experiment="by hand", name=f"child {n}", actor=ANN, params={"rate": n, "depth": n}, capture=(),
            parent=ids[0],
        )  # fmt: skip
        child.log_metrics({"metric_0": float(n), "metric_1": float(n)})
        ids.append(child.finish().id)
    return tuple(ids)


def _versions(store: Store) -> None:
    evaluation, made = evaluated(store), artifacts(store)
    came = lineage(store, features=get_view(store, "parcel").digest, view="parcel")
    with store.change(ANN, "a sweep") as change:
        for n in range(3):
            for model in ("crowd", "other"):
                register_version(
                    change, model=model, artifacts=made, lineage=came, params={"n": n}, evaluation_id=evaluation
                )  # fmt: skip


def _views(store: Store) -> None:
    with store.change(ANN, "more views") as change:
        register_view(change, msgspec.structs.replace(get_view(store, "parcel").spec, name="parcel_too"))


def _snapshots(store: Store, file: Path) -> None:
    """Read the source twice more, each time with other rows that break its contract."""
    project = load_project(file)
    (source,) = project.spec.sources
    rows = project.namespace["parcels"]()
    for n in (3, 5):
        rows.loc[rows.index[:n], "weight"] = 400.0 + n
        take_snapshot(store, source, {"parcels": rows.copy}, actor=ANN, because="again")


def _loops(store: Store) -> None:
    trigger = Trigger(kind=TriggerKind.HAND, text="look")
    for n in range(3):
        with store.change(Actor("loop"), "look") as change:
            turn = open_turn(change, "crowd", trigger)
            if n < 2:
                move_turn(change, turn, TurnState.FAILED, "it failed")
    with store.change(Actor("loop"), "look") as change:
        open_turn(change, "other", trigger)
    now = store.clock.now()
    signs = [Sign(kind="skew", group=f"skew:{n}", severity="note", title=f"skew {n}") for n in range(4)]
    settle(store, "slow", signs, kinds=["skew"], at=now)
    settle(store, "slow", signs[:2], kinds=["skew"], at=now + timedelta(seconds=1))


def _pipelines(store: Store) -> None:
    for run in list_pipeline_runs(store, limit=None):
        for step in run.steps:
            if step.attempts:
                path = log_path(store.settings, run.id, step.name, step.attempts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(LINES, "utf-8")
    for name in ("nightly", "weekly"):
        spec = PipelineSpec(name=name, steps=(StepSpec(name="one", function="nothing:here"),))
        submit(store, spec, actor=ANN, because="wait for a worker")
