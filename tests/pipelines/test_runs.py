"""Runs that nothing disturbs: order, outputs, cache, retries, errors, cancel, logs, events."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from tests.pipelines.conftest import Hurried, Marks, asker, on_sqlite, pipeline, runs, step
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import Actor, ActorKind, Conflict, Invalid, NotFound, Settings, VirtualClock
from trimtab.pipelines import (
    Outcome,
    PipelineRun,
    Progress,
    Runner,
    RunStatus,
    StepStatus,
    cancel,
    get_pipeline_run,
    list_attempts,
    list_pipeline_runs,
    log_path,
    read_log,
    retry,
    submit,
)
from trimtab.store import Store, events, open_store

Ask = Callable[..., PipelineRun]


def kinds(heard: list[Progress]) -> list[tuple[str, str]]:
    return [(progress.kind, progress.step) for progress in heard]


def test_steps_run_when_their_needs_are_done_and_pass_on_their_outputs(
    store: Store, runner: Runner, ask: Ask, marks: Marks
) -> None:
    heard: list[Progress] = []
    run = ask(step("c", needs=("a", "b")), step("a"), step("b", needs=("a",)))
    done = runner.run_until_done(run.id, on_event=heard.append)
    assert done.status is RunStatus.SUCCEEDED
    assert done == get_pipeline_run(store, run.id)
    assert done.outputs["c"] == {"step": "c", "seen": {"a": "a", "b": "b"}}
    assert [line[1] for line in marks.lines()] == ["a", "b", "c"]
    assert [(a.step, a.attempt, a.outcome) for a in list_attempts(store, run.id)] == [
        ("a", 1, Outcome.SUCCEEDED),
        ("b", 1, Outcome.SUCCEEDED),
        ("c", 1, Outcome.SUCCEEDED),
    ]
    assert kinds(heard) == [(kind, name) for name in "abc" for kind in ("started", "finished")]
    assert (heard[-1].steps_done, heard[-1].steps_total) == (3, 3)
    recorded = events(store)
    assert [event.type for event in recorded] == [
        "pipelines.run-submitted",
        *["pipelines.step-finished"] * 3,
        "pipelines.run-finished",
    ]
    assert {event.because for event in recorded} == {"a test"}
    assert {event.actor.id for event in recorded} == {"tester"}
    assert runner.run_until_done(run.id) == done


def test_a_run_keeps_who_stands_behind_its_author(store: Store, runner: Runner, actor: Actor) -> None:
    """A token's run is its issuer's, also when a worker registers what came of it."""
    held = actor.holding("ci", ActorKind.SERVICE)
    run = submit(store, pipeline(step("w", "where")), actor=held)
    assert runner.run_until_done(run.id).actor == held
    assert events(store, type="pipelines.run-finished")[-1].actor == held


def test_a_step_gets_params_inputs_actor_reason_and_the_time_of_the_project(
    store: Store, clock: VirtualClock, actor: Actor, runner: Runner
) -> None:
    spec = pipeline(step("w", "where"), step("e", "echo", needs=("w",), uses=("x",), params={"y": 2}))
    done = runner.run_until_done(submit(store, spec, {"x": 1, "z": 3}, actor=actor, because="to look").id)
    assert done.outputs["e"] == {
        "params": {"x": 1, "y": 2},
        "inputs": {"w": done.outputs["w"]},
        "actor": "tester",
        "because": "to look",
    }
    # A clock that stands still stands still in the worker too, at the same moment.
    assert done.outputs["w"]["now"] == clock.now().isoformat() == datetime(2013, 3, 1, tzinfo=UTC).isoformat()
    assert done.outputs["w"]["pid"] == done.outputs["w"]["group"]
    assert done.step("w").started_at == clock.now()
    clock.sleep(3600)
    again = runner.run_until_done(submit(store, pipeline(step("w", "where")), actor=actor).id)
    assert again.outputs["w"]["now"] == "2013-03-01T01:00:00+00:00"
    assert again.outputs["w"]["pid"] == done.outputs["w"]["pid"]  # a warm worker


def test_a_step_that_asks_for_it_and_saw_the_same_before_is_taken_over(
    store: Store, runner: Runner, ask: Ask, marks: Marks
) -> None:
    first = runner.run_until_done(
        ask(step("a", "work", uses=("marks", "seed"), cache=True), step("b", needs=("a",)), seed=1).id
    )
    heard: list[Progress] = []
    # The first step does not see x, the second does.
    second = ask(step("a", "work", uses=("marks", "seed"), cache=True), step("b", needs=("a",)), seed=1, x=1)
    done = runner.run_until_done(second.id, on_event=heard.append)
    assert kinds(heard) == [("cached", "a"), ("started", "b"), ("finished", "b")]
    assert done.outputs["a"] == first.outputs["a"]
    assert done.step("a").cached_from == first.id
    assert (done.step("a").status, done.step("a").attempts) == (StepStatus.CACHED, 0)
    (event,) = events(store, type="pipelines.step-cached")
    assert (event.data["taken_from"], event.data["step"]) == (first.id, "a")
    assert event.data["blobs"] == [first.outputs["a"]["frame"], first.outputs["a"]["kept"]]
    third = runner.run_until_done(ask(step("a", "work", uses=("marks", "seed"), cache=True), seed=1, x=2).id)
    assert third.step("a").cached_from == first.id
    assert marks.started("a") == 1


def test_nothing_is_taken_over_unless_it_is_asked_for(sqlite_store: Store, actor: Actor, marks: Marks) -> None:
    ask = asker(sqlite_store, actor, marks)
    with Runner(sqlite_store, workers=1) as runner:
        for _ in range(2):
            done = runner.run_until_done(ask(step("a")).id)
    assert (done.step("a").status, marks.started()) == (StepStatus.SUCCEEDED, 2)


def test_the_result_of_other_code_is_not_taken_over(
    sqlite_store: Store, actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function keeps its name when it changes, and so does the helper that it imports."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "cached_steps.py").write_text(
        "from cached_helper import text\n\ndef f(c):\n    return {'text': text()}\n"
    )
    spec = pipeline(msgspec.structs.replace(step("a", cache=True), function="cached_steps:f"))
    found = []
    with Runner(sqlite_store, workers=1) as runner:
        for text in ("'one'", "'second'", "'second'  # the same", "'one'"):
            (tmp_path / "cached_helper.py").write_text(f"def text():\n    return {text}\n")
            found.append(runner.run_until_done(submit(sqlite_store, spec, actor=actor).id))
    assert [run.outputs["a"]["text"] for run in found] == ["one", "second", "second", "one"]
    assert [run.step("a").cached_from for run in found] == [None, None, found[1].id, found[0].id]


def test_a_result_of_code_that_changed_while_it_ran_is_for_nobody_else(
    sqlite_store: Store, actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module, go = tmp_path / "slow_steps.py", tmp_path / "go"
    text = (
        "import pathlib\n\ndef f(c):\n    while not pathlib.Path({go!r}).exists():\n        pass\n"
        "    return {{'n': {n}}}\n"
    )
    module.write_text(text.format(go=str(go), n=1))
    spec = pipeline(msgspec.structs.replace(step("a", cache=True), function="slow_steps:f"))

    def change(progress: Progress) -> None:
        if progress.kind == "started":
            module.write_text(text.format(go=str(go), n=2))
            go.touch()

    with Runner(sqlite_store, workers=1) as runner:
        runner.run_until_done(submit(sqlite_store, spec, actor=actor).id, on_event=change)
        module.write_text(text.format(go=str(go), n=1))
        again = runner.run_until_done(submit(sqlite_store, spec, actor=actor).id)
    assert (again.step("a").status, again.outputs["a"]) == (StepStatus.SUCCEEDED, {"n": 1})


@pytest.mark.parametrize(
    "other",
    [{"code": "sha256:new"}, {"params": {"k": 2}}, {"cache": False}, {"function": "pipeline_bodies:echo"}],
    ids=lambda other: next(iter(other)),
)
def test_a_step_that_differs_is_run(sqlite_store: Store, actor: Actor, marks: Marks, other: dict[str, object]) -> None:
    ask = asker(sqlite_store, actor, marks)
    same = step("a", code="sha256:old", params={"k": 1}, cache=True)
    with Runner(sqlite_store, workers=1, poll_s=0.05) as runner:
        runner.run_until_done(ask(same).id)
        assert runner.run_until_done(ask(same).id).step("a").status is StepStatus.CACHED
        changed = runner.run_until_done(ask(msgspec.structs.replace(same, **other)).id)
    assert changed.step("a").status is StepStatus.SUCCEEDED


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_outputs_whose_bytes_are_not_whole_are_not_taken_over(
    sqlite_store: Store, actor: Actor, marks: Marks, how: str
) -> None:
    ask = asker(sqlite_store, actor, marks)
    with Runner(sqlite_store, workers=1) as runner:
        first = runner.run_until_done(ask(step("a", "work", cache=True), seed=1).id)
        kept = first.outputs["a"]["kept"].removeprefix("sha256:")
        path = sqlite_store.settings.home_path / "blobs" / kept[:2] / kept[2:]
        path.unlink()
        if how == "damaged":
            path.write_bytes(b"something else")
        second = runner.run_until_done(ask(step("a", "work", cache=True), seed=1).id)
    assert second.step("a").status is StepStatus.SUCCEEDED
    assert sqlite_store.blobs.get(first.outputs["a"]["kept"])


def test_a_failure_is_tried_again_after_a_growing_wait(store: Store, runner: Runner, ask: Ask, marks: Marks) -> None:
    heard: list[Progress] = []
    run = ask(step("a", "fails_until", retries=3, backoff_s=0.05), step("b", needs=("a",)), good_at=3)
    done = runner.run_until_done(run.id, on_event=heard.append)
    assert done.status is RunStatus.SUCCEEDED
    assert done.outputs["a"] == {"attempt": 3}
    assert [a.outcome for a in list_attempts(store, run.id, step="a")] == [
        Outcome.FAILED,
        Outcome.FAILED,
        Outcome.SUCCEEDED,
    ]
    assert kinds(heard)[:4] == [("started", "a"), ("retrying", "a"), ("started", "a"), ("retrying", "a")]
    assert heard[1].text == "the source does not answer"
    assert done.step("a").error is None


def test_a_failed_step_keeps_its_error_and_what_needs_it_is_skipped(
    store: Store, runner: Runner, ask: Ask, marks: Marks
) -> None:
    run = ask(
        step("bad", "fails", retries=1, backoff_s=0.01),
        step("after", needs=("bad",)),
        step("later", needs=("after",)),
        step("aside"),
    )
    done = runner.run_until_done(run.id)
    assert done.status is RunStatus.FAILED
    assert {s.name: s.status.value for s in done.steps} == {
        "bad": "failed",
        "after": "skipped",
        "later": "skipped",
        "aside": "succeeded",
    }
    assert marks.started("bad") == 2
    error = done.step("bad").error
    assert error
    assert (error.type, error.what) == ("ValueError", "ValueError: no good at attempt 2")
    assert "SELECT" not in msgspec.json.encode(error).decode()
    assert "Traceback" in read_log(store, run.id, "bad").text
    assert "pipelines/worker.py" not in read_log(store, run.id, "bad").text
    assert events(store, type="pipelines.step-failed")[0].data["code"] == "pipelines.step-raised"
    assert events(store, type="pipelines.run-finished")[0].data["status"] == "failed"


@on_sqlite
def test_a_mistake_keeps_its_four_parts_and_is_not_tried_again(
    store: Store, runner: Runner, ask: Ask, marks: Marks
) -> None:
    done = runner.run_until_done(ask(step("a", "mistaken", retries=5)).id)
    error = done.step("a").error
    assert error
    assert (error.type, error.code, error.what, error.where, error.why, error.next) == (
        "Invalid",
        "invalid",
        "the column depth is missing",
        "contract Flight",
        "The model needs it.",
        "add it",
    )
    assert marks.started() == 1
    assert "Traceback" not in read_log(store, done.id, "a").text
    assert "add it" in read_log(store, done.id, "a").text


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("exits", "SystemExit: 3"),
        ("returns_a_list", "list"),
        ("returns_nan", "nan"),
        ("returns_much", "2,097"),
        ("not_there", "has no not_there"),
        ("HERE", "has no HERE"),
        ("__doc__", "not a function"),
    ],
)
def test_a_body_that_is_none_or_returns_no_outputs_fails_the_step(
    sqlite_runner: Runner, sqlite_ask: Ask, body: str, what: str
) -> None:
    error = sqlite_runner.run_until_done(sqlite_ask(step("a", body)).id).step("a").error
    assert error
    assert what in error.what


def test_a_module_that_is_not_there_is_named(sqlite_runner: Runner, sqlite_ask: Ask) -> None:
    spec = msgspec.structs.replace(step("a"), function="nowhere.at_all:f")
    error = sqlite_runner.run_until_done(sqlite_ask(spec).id).step("a").error
    assert error
    assert (error.code, error.what) == ("invalid", "there is no module nowhere")


@pytest.fixture(scope="module")
def _kept(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """One store and one warm runner for the cases that differ in nothing else."""
    folder = tmp_path_factory.mktemp("kept")
    store = open_store(Settings(home=str(folder / "home")))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        with Runner(store, workers=1) as runner:
            yield store, runner, Marks(folder / "marks")
    store.close()


@pytest.fixture
def sqlite_runner(_kept) -> Runner:  # type: ignore[no-untyped-def]
    return _kept[1]


@pytest.fixture
def sqlite_ask(_kept, actor: Actor) -> Ask:  # type: ignore[no-untyped-def]
    return asker(_kept[0], actor, _kept[2])


def test_a_failed_run_goes_on_from_where_it_failed(store: Store, runner: Runner, ask: Ask, marks: Marks) -> None:
    steps = (
        step("a"),
        step("b", "waits_for_file", needs=("a",)),
        step("c", "fails_until", needs=("a",)),
        step("d", needs=("c",)),
    )
    run = ask(*steps, good_at=2, file=str(marks.path))
    assert runner.run_until_done(run.id).status is RunStatus.FAILED
    with pytest.raises(Conflict):
        cancel(store, run.id, actor=Actor("other"))
    again = retry(store, run.id, actor=Actor("other"), because="the source is back")
    assert {s.name: s.status.value for s in again.steps} == {
        "a": "succeeded",
        "b": "succeeded",
        "c": "waiting",
        "d": "waiting",
    }
    done = runner.run_until_done(run.id)
    assert done.status is RunStatus.SUCCEEDED
    assert (marks.started("a"), marks.started("c"), done.step("c").attempts) == (1, 2, 2)
    assert events(store, type="pipelines.run-retried")[0].data["steps"] == ["c", "d"]
    with pytest.raises(Conflict):
        retry(store, run.id, actor=Actor("other"))


def test_cancel_kills_what_runs_and_starts_nothing_more(store: Store, ask: Ask, marks: Marks, tmp_path: Path) -> None:
    run = ask(step("a", "sleeps_with_child"), step("b", needs=("a",)), pids=str(tmp_path / "pids"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        marks.wait_for(1)
        assert list_pipeline_runs(store, status="running")[0].id == run.id
        cancelled = cancel(store, run.id, actor=Actor("boss"), because="wrong data")
        runner.wake()
        assert cancelled.status is RunStatus.CANCELLED
        assert {s.status for s in cancelled.steps} == {StepStatus.CANCELLED}
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        wait_until(lambda: not any(map(runs, pids)), "they are killed")
        assert runner.run_until_done(run.id).status is RunStatus.CANCELLED
        assert [a.outcome for a in list_attempts(store, run.id)] == [Outcome.CANCELLED]
        wait_until(lambda: "cancelled" in read_log(store, run.id, "a").text, "the log says so")
        (event,) = events(store, type="pipelines.run-cancelled")
        assert (event.actor.id, event.because) == ("boss", "wrong data")


@on_sqlite
def test_a_log_can_be_read_while_the_step_runs(store: Store, ask: Ask, tmp_path: Path) -> None:
    run = ask(step("a", "waits_for_file"), file=str(tmp_path / "go"))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        runner.start()
        wait_until(lambda: "waiting" in read_log(store, run.id, "a").text, "the step waits")
        piece = read_log(store, run.id, "a")
        assert (piece.text, piece.is_complete, piece.attempt) == ("waiting\n", False, 1)
        (tmp_path / "go").touch()
        assert runner.run_until_done(run.id).outputs["a"] == {"saw": True}
        assert read_log(store, run.id, "a", offset=piece.next_offset).is_complete


def test_a_log_holds_all_that_was_printed_and_is_read_in_whole_characters(
    sqlite_store: Store, actor: Actor, marks: Marks
) -> None:
    heard: list[Progress] = []
    with Runner(sqlite_store, workers=1) as runner:
        run = runner.run_until_done(asker(sqlite_store, actor, marks)(step("a", "speaks")).id, on_event=heard.append)
    whole = read_log(sqlite_store, run.id, "a").text
    assert sorted(whole.split("\n")) == ["", "from a child", "logged: žluťoučký", "printed", "to stderr"]
    text, offset = "", 0
    while not (piece := read_log(sqlite_store, run.id, "a", offset=offset, limit=7)).is_complete:
        text, offset = text + piece.text, piece.next_offset
    assert text + piece.text == whole
    assert ("said", "logged: žluťoučký") in {(p.kind, p.text) for p in heard}
    assert [(p.done, p.total, p.unit) for p in heard if p.kind == "progress"][-1] == (5, 5, "rows")
    assert log_path(sqlite_store.settings, run.id, "a", 1).read_text() == whole
    with pytest.raises(NotFound):
        read_log(sqlite_store, run.id, "b")
    with pytest.raises(Invalid):
        read_log(sqlite_store, run.id, "a", attempt=2)


@on_sqlite
def test_a_background_runner_takes_what_others_submit(store: Store, ask: Ask, tmp_path: Path) -> None:
    with Runner(store, workers=2, poll_s=0.05) as runner:
        runner.start()
        all_heard: list[list[Progress]] = [[], []]
        steps = (step("a", "waits_for_file"), step("b", needs=("a",)))
        found = [ask(*steps, x=i, file=str(tmp_path / "go")) for i in range(2)]
        threads = [
            threading.Thread(target=runner.run_until_done, args=(run.id,), kwargs={"on_event": heard.append})
            for run, heard in zip(found, all_heard, strict=True)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(runner._listeners) == 2, "both are followed")
        (tmp_path / "go").touch()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert {get_pipeline_run(store, run.id).status for run in found} == {RunStatus.SUCCEEDED}
        for run, heard in zip(found, all_heard, strict=True):
            assert {progress.run_id for progress in heard} == {run.id}
            assert heard[-1].steps_done == 2
        runner.stop()
        # It can go on after a stop, in either way.
        assert runner.run_until_done(ask(step("c")).id).status is RunStatus.SUCCEEDED


def test_an_isolated_step_has_a_process_of_its_own(sqlite_store: Store, actor: Actor) -> None:
    spec = pipeline(
        step("a", "where"), step("b", "where", needs=("a",), isolate=True), step("c", "where", needs=("b",))
    )
    with Runner(sqlite_store, workers=1) as runner:
        done = runner.run_until_done(submit(sqlite_store, spec, actor=actor).id)
    assert len({done.outputs[name]["pid"] for name in "abc"}) == 3


def test_a_worker_runs_the_code_that_is_on_disk_now(
    sqlite_store: Store, actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "edited_steps.py"
    spec = pipeline(msgspec.structs.replace(step("a"), function="edited_steps:f"))
    found = []
    with Runner(sqlite_store, workers=1) as runner:
        for text in ("one", "second"):
            module.write_text(f"def f(context):\n    return {{'text': {text!r}}}\n")
            found.append(runner.run_until_done(submit(sqlite_store, spec, actor=actor).id))
    assert [run.outputs["a"]["text"] for run in found] == ["one", "second"]
    assert [run.step("a").attempts for run in found] == [1, 1]


def test_workers_end_when_they_are_idle_for_long(sqlite_store: Store, actor: Actor) -> None:
    machine = Hurried()
    with Runner(sqlite_store, workers=1, poll_s=0.05, idle_s=3600.0, machine=machine) as runner:
        runner.start()
        done = runner.run_until_done(submit(sqlite_store, pipeline(step("a", "where")), actor=actor).id)
        assert runs(done.outputs["a"]["pid"])
        machine.ahead_s += 3600.0
        wait_until(lambda: not runs(done.outputs["a"]["pid"]), "the worker has ended")


@on_sqlite
def test_wide_runs_use_all_workers_and_end_once(store: Store, ask: Ask, marks: Marks) -> None:
    with Runner(store, workers=2, poll_s=0.05) as runner:
        done = runner.run_until_done(ask(*(step(f"s{i}", "waits_for_another", params={"i": i}) for i in range(8))).id)
    assert done.status is RunStatus.SUCCEEDED
    assert len({line[4] for line in marks.lines()}) == 2
    assert len(events(store, type="pipelines.run-finished")) == 1


@on_sqlite
def test_numbers_of_numpy_are_numbers(store: Store, runner: Runner, ask: Ask) -> None:
    import numpy as np

    done = runner.run_until_done(ask(step("a", "returns_numbers_of_numpy"), rate=np.float64(0.5)).id)
    assert done.outputs["a"] == {"auc": 0.5, "rows": 3, "good": True, "all": [0.25]}
    assert (done.status, done.params["rate"]) == (RunStatus.SUCCEEDED, 0.5)
