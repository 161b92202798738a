"""What may be asked for, and what asking leaves behind."""

import threading

import pytest
from tests.pipelines.conftest import pipeline, step

from trimtab.kernel import Actor, Invalid, NotFound
from trimtab.pipelines import (
    KeyTaken,
    PipelineSpec,
    RunStatus,
    StepSpec,
    StepStatus,
    get_pipeline_run,
    list_pipeline_runs,
    submit,
)
from trimtab.store import Store, events

GOOD = step("a")


@pytest.mark.parametrize(
    "spec",
    [
        PipelineSpec(name="none", steps=()),
        PipelineSpec(name="../up", steps=(GOOD,)),
        pipeline(GOOD, GOOD),
        pipeline(step("a/b")),
        pipeline(step("x" * 81)),
        pipeline(step("a", needs=("b",))),
        pipeline(step("a", needs=("b",)), step("b", needs=("a",))),
        pipeline(step("a", needs=("a",))),
        pipeline(StepSpec(name="a", function="no_colon")),
        pipeline(StepSpec(name="a", function="__main__:f")),
        pipeline(StepSpec(name="a", function="os; x:f")),
        pipeline(step("a", retries=-1)),
        pipeline(step("a", backoff_s=-1.0)),
        pipeline(step("a", timeout_s=0.0)),
        pipeline(step("a", params={"x": float("nan")})),
        pipeline(step("a", params={"x": object()})),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused_and_nothing_is_written(
    sqlite_store: Store, actor: Actor, spec: PipelineSpec
) -> None:
    with pytest.raises(Invalid) as caught:
        submit(sqlite_store, spec, actor=actor)
    assert all(caught.value.parts().values())
    assert list_pipeline_runs(sqlite_store) == []
    assert events(sqlite_store) == []


@pytest.mark.parametrize("value", [float("inf"), object(), 1 << 60, b"\xff"])
def test_params_that_are_not_json_are_refused(sqlite_store: Store, actor: Actor, value: object) -> None:
    if value == b"\xff":
        value = {1, object()}
    with pytest.raises(Invalid):
        submit(sqlite_store, pipeline(GOOD), {"x": value}, actor=actor)


def test_a_run_is_written_down_whole(store: Store, actor: Actor) -> None:
    spec = pipeline(step("a", retries=2, timeout_s=5.0), step("b", needs=("a",), uses=("x",), code="sha256:abc"))
    run = submit(store, spec, {"x": 1, "y": [1, {"z": None}]}, actor=actor, because="to see")
    found = get_pipeline_run(store, run.id)
    assert found == run
    assert (found.spec, found.params, found.actor, found.because) == (spec, run.params, actor, "to see")
    assert found.status is RunStatus.QUEUED
    assert [(s.name, s.status, s.attempts) for s in found.steps] == [
        ("a", StepStatus.WAITING, 0),
        ("b", StepStatus.WAITING, 0),
    ]
    (event,) = events(store)
    assert (event.type, event.because, event.data["steps"]) == ("pipelines.run-submitted", "to see", 2)
    assert event.subjects[0].id == run.id


def test_the_same_key_means_the_same_run(store: Store, actor: Actor) -> None:
    first = submit(store, pipeline(GOOD), {"x": 1}, actor=actor, key="nightly")
    assert submit(store, pipeline(GOOD), {"x": 1}, actor=actor, key="nightly") == first
    assert len(events(store)) == 1
    for spec, params in [(pipeline(GOOD), {"x": 2}), (pipeline(step("b")), {"x": 1})]:
        with pytest.raises(KeyTaken, match=first.id):
            submit(store, spec, params, actor=actor, key="nightly")


def test_submissions_under_one_key_at_once_make_one_run(store: Store, actor: Actor) -> None:
    found: list[str] = []
    gate = threading.Barrier(4)

    def ask() -> None:
        gate.wait()
        found.append(submit(store, pipeline(GOOD), actor=actor, key="once").id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(list_pipeline_runs(store)) == 1


def test_runs_are_listed_newest_first_and_by_name_and_status(store: Store, actor: Actor) -> None:
    ids = [submit(store, pipeline(GOOD, name=name), actor=actor).id for name in ("x", "y", "x")]
    assert [run.id for run in list_pipeline_runs(store)] == ids[::-1]
    assert [run.id for run in list_pipeline_runs(store, pipeline="x")] == [ids[2], ids[0]]
    assert [run.id for run in list_pipeline_runs(store, limit=1, before=ids[2])] == [ids[1]]
    assert len(list_pipeline_runs(store, status=RunStatus.QUEUED)) == 3
    assert list_pipeline_runs(store, status=RunStatus.RUNNING) == []
    with pytest.raises(NotFound):
        get_pipeline_run(store, "nothing")


def test_what_a_step_sees_is_what_uses_names_with_its_own_params_over_it() -> None:
    run = {"a": 1, "b": 2}
    assert step("s").params_of(run) == run
    assert step("s", uses=("b", "missing")).params_of(run) == {"b": 2}
    assert step("s", uses=(), params={"c": 3}).params_of(run) == {"c": 3}
    assert step("s", params={"a": 9}).params_of(run) == {"a": 9, "b": 2}


def test_backoff_doubles_up_to_an_hour() -> None:
    spec = step("s", backoff_s=2.0)
    assert [spec.backoff_after(n) for n in (1, 2, 3, 20, 5000)] == [2.0, 4.0, 8.0, 3600.0, 3600.0]
