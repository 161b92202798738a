"""Outputs of runs that came to nothing, logs and ended runs go by age; what goes on, or is tried again, is safe."""

from collections.abc import Callable

import pytest
from tests.pipelines.conftest import Marks, step
from tests.store.aged import ANN, grow_old, with_ages

from trimtab.kernel import NotFound, VirtualClock
from trimtab.pipelines import (
    PipelineRun,
    Runner,
    RunStatus,
    get_pipeline_run,
    list_pipeline_runs,
    log_path,
    read_log,
    retry,
)
from trimtab.pipelines.finish import Taken, _check_there
from trimtab.pipelines.lease import FenceLost, Lease
from trimtab.server import MakeHold, collect_garbage, create_hold
from trimtab.store import Store

Ask = Callable[..., PipelineRun]


@pytest.fixture
def kept(store: Store, clock: VirtualClock) -> Store:
    return with_ages(store, keep_attempts="1h", keep_logs="1d", keep_runs="10d")


def gc(store: Store) -> dict[str, int]:
    grow_old(store.settings.home_path / "blobs")
    found = collect_garbage(store, actor=ANN, because="it is old")
    return {one.what: one.count for one in found.items}


def failed(runner: Runner, ask: Ask, **more: object) -> PipelineRun:
    """Run a step that ends well and one that does not."""
    run = ask(step("a", "keeps_bytes", cache=True), step("b", "fails", needs=("a",), **more))
    done = runner.run_until_done(run.id)
    assert done.status is RunStatus.FAILED
    return done


def test_outputs_of_a_failed_run_go_and_a_retry_makes_them_again(
    kept: Store, runner: Runner, ask: Ask, clock: VirtualClock, marks: Marks
) -> None:
    run = failed(runner, ask)
    digest = run.step("a").outputs["blob"]
    assert gc(kept)["outputs of failed and cancelled runs"] == 0
    assert kept.blobs.has(digest)
    clock.sleep(2 * 3600)
    assert gc(kept)["outputs of failed and cancelled runs"] == 1
    assert not kept.blobs.has(digest)
    assert get_pipeline_run(kept, run.id).step("a").outputs is None
    again = retry(kept, run.id, actor=ANN, because="again")
    assert {one.status for one in again.steps} == {"waiting"}
    assert gc(kept)["outputs of failed and cancelled runs"] == 0
    assert runner.run_until_done(run.id).step("a").outputs["blob"] == digest
    assert kept.blobs.has(digest)


def test_what_was_removed_is_not_taken_over(kept: Store, runner: Runner, ask: Ask, clock: VirtualClock) -> None:
    run = failed(runner, ask)
    with kept.read() as connection:
        key = connection.exec_driver_sql("SELECT cache_key FROM pipeline_steps WHERE name = 'a'").scalar_one()
    taken = Taken(key=key, run_id=run.id, step="a", outputs="{}", blobs=())
    lease = Lease(run_id=run.id, step="a", fence=1, attempt=1, runner="r")
    with kept.change(ANN, "while it is there") as change:
        _check_there(change, taken, lease)
    clock.sleep(2 * 3600)
    gc(kept)
    with pytest.raises(FenceLost), kept.change(ANN, "when it is gone") as change:
        _check_there(change, taken, lease)
    second = failed(runner, ask)
    assert second.step("a").cached_from is None


def test_logs_go_before_their_runs_and_say_nothing_then(
    kept: Store, runner: Runner, ask: Ask, clock: VirtualClock
) -> None:
    run = failed(runner, ask)
    assert log_path(kept.settings, run.id, "b", 1).is_file()
    clock.sleep(2 * 86_400)
    assert gc(kept)["logs of steps"] == 1
    assert not log_path(kept.settings, run.id, "b", 1).parent.exists()
    assert read_log(kept, run.id, "b").text == ""
    assert gc(kept)["logs of steps"] == 0
    clock.sleep(10 * 86_400)
    assert gc(kept)["pipeline runs"] == 1
    assert list_pipeline_runs(kept) == []
    with pytest.raises(NotFound) as refused:
        get_pipeline_run(kept, run.id)
    assert "as runs are kept for 10d" in refused.value.why


def test_a_run_that_goes_on_keeps_all_that_was_written_since(kept: Store, ask: Ask, clock: VirtualClock) -> None:
    run = ask(step("a"))
    nobodys = kept.blobs.put(b"a step keeps this, and has not ended")
    clock.sleep(100 * 86_400)
    found = collect_garbage(kept, actor=ANN, because="it is old")
    assert [one.count for one in found.items] == [0] * len(found.items)
    assert kept.blobs.has(nobodys)
    assert get_pipeline_run(kept, run.id).status is RunStatus.QUEUED


def test_a_held_run_keeps_its_outputs_and_logs(kept: Store, runner: Runner, ask: Ask, clock: VirtualClock) -> None:
    run = failed(runner, ask)
    create_hold(kept, MakeHold(subject=f"run:{run.id}"), actor=ANN, because="case 12")
    clock.sleep(100 * 86_400)
    assert set(gc(kept).values()) == {0}
    assert kept.blobs.has(run.step("a").outputs["blob"])
    assert read_log(kept, run.id, "b").is_complete
