"""Whoever writes the rows of runs and steps has nothing done, in nobody's name."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert, select
from tests.forging import by_sql
from tests.pipelines.conftest import Marks, step

from trimtab.pipelines import PipelineRun, Runner, RunStatus, check_open_runs
from trimtab.pipelines.tables import pipeline_leases, pipeline_runs, pipeline_steps
from trimtab.store import RowForged, Store, events

Ask = Callable[..., PipelineRun]


def assert_nothing_is_done(store: Store, runner: Runner, run: str, marks: Marks) -> None:
    before = len(events(store, limit=1000))
    with pytest.raises(RowForged):
        check_open_runs(store)
    with pytest.raises(RowForged):
        runner.run_until_done(run)
    assert marks.lines() == []
    assert len(events(store, limit=1000)) == before, "something was recorded in somebody's name"


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE pipeline_runs SET spec = replace(spec, 'marked', 'where')""",
        """UPDATE pipeline_runs SET params = replace(params, '"x":1', '"x":2')""",
        "UPDATE pipeline_runs SET actor = 'nightly'",
        "UPDATE pipeline_runs SET actor_kind = 'service'",
        """UPDATE pipeline_runs SET issued_by = '["ann"]'""",
        "UPDATE pipeline_runs SET because = 'the ops lead asked for it'",
        "UPDATE pipeline_runs SET pipeline = 'another'",
    ],
)
def test_a_run_is_done_as_it_was_submitted(
    store: Store, runner: Runner, ask: Ask, marks: Marks, statement: str
) -> None:
    run = ask(step("a"), x=1)
    by_sql(store, statement)
    assert_nothing_is_done(store, runner, run.id, marks)


def test_a_run_that_nobody_submitted_is_not_done_and_others_are(
    store: Store, runner: Runner, ask: Ask, marks: Marks
) -> None:
    true = ask(step("b"))
    with store.database.write() as connection:
        for table, name in ((pipeline_runs, "id"), (pipeline_steps, "run_id"), (pipeline_leases, "run_id")):
            row = connection.execute(select(table)).mappings().one()
            connection.execute(insert(table).values({**row, name: "0" * 26}))
    assert_nothing_is_done(store, runner, "0" * 26, marks)
    assert runner.run_until_done(true.id).status is RunStatus.SUCCEEDED


def test_a_step_gets_what_the_steps_before_it_have_returned(store: Store, ask: Ask, marks: Marks) -> None:
    run = ask(step("a"), step("b", needs=("a",)))
    by_sql(
        store,
        "UPDATE pipeline_steps SET status = 'succeeded', outputs = '{\"step\":\"forged\"}', blobs = '[]' "
        "WHERE name = 'a'",
    )
    with Runner(store, workers=1, poll_s=0.05) as runner:
        assert_nothing_is_done(store, runner, run.id, marks)


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE pipeline_steps SET outputs = replace(outputs, '"step":"a"', '"step":"forged"') WHERE name = 'a'""",
        """UPDATE pipeline_steps SET blobs = '["{blob}"]' WHERE name = 'a'""",
        "UPDATE pipeline_steps SET cache_key = CASE name WHEN 'a' THEN 'other' ELSE '{key}' END",
    ],
    ids=["outputs", "bytes", "key"],
)
def test_what_somebody_wrote_is_not_taken_over_by_an_equal_step(
    store: Store, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Nor what another step has returned, whose row was given the key. The step is done again."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "equal_steps.py").write_text("def a(c):\n    return {'step': c.step}\n\n\nb = a\n")
    a, b = (msgspec.structs.replace(step(name, cache=True), function=f"equal_steps:{name}") for name in "ab")
    with Runner(store, workers=1, poll_s=0.05) as runner:
        first = runner.run_until_done(ask(a, b).id)
    with store.read() as connection:
        key = connection.execute(select(pipeline_steps.c.cache_key).where(pipeline_steps.c.name == "a")).scalar_one()
    by_sql(store, statement.format(key=key, blob=store.blobs.put(b"forged")))
    with Runner(store, workers=1, poll_s=0.05) as runner:
        second, third = (runner.run_until_done(ask(a).id).step("a") for _ in range(2))
    assert (second.cached_from, second.outputs) == (None, first.step("a").outputs)
    assert third.outputs == second.outputs
    assert third.cached_from not in (None, first.id)


def test_a_run_that_is_right_again_is_done(store: Store, runner: Runner, ask: Ask, marks: Marks) -> None:
    run = ask(step("a"))
    by_sql(store, "UPDATE pipeline_runs SET actor = 'nightly'")
    assert_nothing_is_done(store, runner, run.id, marks)
    by_sql(store, f"UPDATE pipeline_runs SET actor = '{run.actor.id}'")
    assert runner.run_until_done(run.id).status is RunStatus.SUCCEEDED
