"""The end of a log, of any length."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.kernel import Actor, Invalid
from trimtab.pipelines import PipelineSpec, Runner, StepSpec, log_path, read_log_end, submit
from trimtab.store import Store


@pytest.fixture
def logged(sqlite_store: Store, actor: Actor) -> tuple[Store, str]:
    """A run with one step, which was started once."""
    spec = PipelineSpec(name="one", steps=(StepSpec(name="a", function="trimtab.nothing_here:run"),))
    run = submit(sqlite_store, spec, actor=actor, because="look")
    with Runner(sqlite_store, workers=1) as runner:
        runner.run_until_done(run.id)
    return sqlite_store, run.id


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80), limit=st.integers(4, 100))
def test_the_end_of_a_log_is_whole_characters_and_says_what_it_skips(
    logged: tuple[Store, str], text: str, limit: int
) -> None:
    store, run = logged
    data = text.encode()
    log_path(store.settings, run, "a", 1).write_bytes(data)
    found = read_log_end(store, run, "a", limit=limit)
    assert (found.attempt, found.size_bytes) == (1, len(data))
    assert data[found.skipped_bytes :] == found.text.encode()
    assert len(data) - limit <= found.skipped_bytes <= max(0, len(data) - limit + 3)


def test_more_than_a_megabyte_ends_with_its_last_line(logged: tuple[Store, str]) -> None:
    store, run = logged
    log_path(store.settings, run, "a", 1).write_text("x" * (1 << 21) + "\nlast\n", "utf-8")
    found = read_log_end(store, run, "a", limit=1000)
    assert found.text.endswith("x\nlast\n")
    assert found.skipped_bytes == (1 << 21) + 6 - 1000


def test_a_log_that_is_not_here_is_empty_and_an_attempt_that_never_was_is_refused(logged: tuple[Store, str]) -> None:
    store, run = logged
    log_path(store.settings, run, "a", 1).unlink()
    assert read_log_end(store, run, "a", limit=10).text == ""
    with pytest.raises(Invalid):
        read_log_end(store, run, "a", attempt=2, limit=10)
