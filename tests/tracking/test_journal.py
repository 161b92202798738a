"""What a run logs is written once, whatever is sent twice, and its last values are those of the last step."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.waiting import WatchedLock, wait_until

from trimtab.tracking import (
    BadName,
    Batch,
    DatasetLink,
    FinishRun,
    MetricPoint,
    ParamChanged,
    RunMissing,
    RunNotRunning,
    check_seal,
    close_run,
    find_artifact,
    get_metric,
    get_run,
    list_artifacts,
    log_artifact,
    log_batch,
    read_artifact,
    runs_with_dataset,
)
from trimtab.tracking import journal as journal_module

DIGEST = "sha256:" + "0" * 64


def batch(number=1, writer="w", **parts):
    return Batch(writer=writer, number=number, **parts)


def test_a_batch_counts_once(store, opened):
    run = opened()
    one = batch(points=(MetricPoint("loss", 0, 5, 1.0),), params={"a": "1"}, tags={"t": "x"}, console="hello\n")
    for _ in range(3):
        log_batch(store, run.id, one)
    log_batch(store, run.id, batch(2, points=(MetricPoint("loss", 1, 6, 0.5),)))
    log_batch(store, run.id, one)
    log_batch(store, run.id, batch(1, "other", points=(MetricPoint("loss", 2, 7, 0.25),)))
    found = get_run(store, run.id)
    assert [(p.step, p.value) for p in get_metric(store, run.id, "loss").items] == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert found.metrics["loss"].points == 3
    assert found.metrics["loss"].value == 0.25
    assert (found.params, found.tags) == ({"a": "1"}, {"t": "x"})


steps = st.integers(-3, 3)
values = st.one_of(st.floats(-10, 10), st.sampled_from(["nan", "inf", "-inf"]))
points = st.lists(st.builds(MetricPoint, st.sampled_from("ab"), steps, st.integers(0, 3), values), max_size=12)


def test_last_values_and_extremes_are_those_of_all_points(store, opened):
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(points, max_size=4))
    def check(batches):
        run = opened()
        for number, some in enumerate(batches, 1):
            log_batch(store, run.id, batch(number, points=tuple(some)))
        logged = [point for some in batches for point in some]
        found = get_run(store, run.id).metrics
        assert set(found) == {point.key for point in logged}
        for key, measured in found.items():
            own = [point for point in logged if point.key == key]
            last = max(enumerate(own), key=lambda one: (one[1].step, one[1].at_us, one[0]))[1]
            numbers = [float(p.value) for p in own if p.value != "nan"]
            assert measured.points == len(own)
            assert measured.value == (None if last.value == "nan" else float(last.value))
            assert (measured.min, measured.max) == ((min(numbers), max(numbers)) if numbers else (None, None))
            assert list(get_metric(store, run.id, key).items) == own

    check()


def test_points_come_in_pages(store, opened):
    run = opened()
    log_batch(store, run.id, batch(points=tuple(MetricPoint("x", n, n, float(n)) for n in range(25))))
    seen, cursor = [], None
    while True:
        page = get_metric(store, run.id, "x", limit=10, cursor=cursor)
        seen += [point.step for point in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == list(range(25))
    assert get_metric(store, run.id, "nothing").items == ()


def test_a_parameter_keeps_its_value_and_nothing_of_a_bad_batch_is_kept(store, opened):
    run = opened(params={"lr": "0.1"})
    log_batch(store, run.id, batch(params={"lr": "0.1"}))
    with pytest.raises(ParamChanged, match=r"parameter 'lr' is '0\.1' already, not '0\.2'"):
        log_batch(store, run.id, batch(2, params={"lr": "0.2", "new": "1"}, points=(MetricPoint("x", 0, 0, 1.0),)))
    found = get_run(store, run.id)
    assert found.params == {"lr": "0.1"}
    assert found.metrics == {}


def test_only_a_running_run_takes_anything(store, opened, actor):
    run = opened()
    close_run(store, run.id, FinishRun(), actor=actor)
    with pytest.raises(RunNotRunning, match="has ended: finished"):
        log_batch(store, run.id, batch(params={"a": "1"}))
    with pytest.raises(RunNotRunning):
        log_artifact(store, run.id, "a.txt", b"x", media_type="text/plain")
    with pytest.raises(RunMissing):
        log_batch(store, "01ARZ3NDEKTSV4RRFFQ69G5FAV", batch())


@pytest.mark.parametrize(
    "bad",
    [
        {"params": {"": "1"}},
        {"params": {"a\nb": "1"}},
        {"params": {"a": "x" * 9000}},
        {"params": {"a": "nul\x00"}},
        {"tags": {"k" * 300: "1"}},
        {"points": (MetricPoint("x\x00", 0, 0, 1.0),)},
        {"points": (MetricPoint("x", 2**60, 0, 1.0),)},
        {"datasets": (DatasetLink(digest="sha256:short"),)},
        {"datasets": (DatasetLink(digest=DIGEST, role=""),)},
        {"datasets": (DatasetLink(digest=DIGEST, rows=2**70),)},
        {"writer": "w" * 41},
        {"writer": "nul\x00"},
        {"number": 2**70},
    ],
)
def test_what_cannot_be_kept_is_refused(store, opened, bad):
    run = opened()
    with pytest.raises(BadName):
        log_batch(store, run.id, batch(**bad))
    assert get_run(store, run.id) == run


def somebody_waits(store):
    if store.database.is_sqlite:
        return store.database._lock.waiting > 0
    with store.read() as connection:
        asked = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"
        mine = " AND application_name = current_setting('application_name')"
        return connection.execute(text(asked + mine)).scalar() > 0


@pytest.mark.parametrize("what", ["points", "params"])
def test_a_copy_that_comes_while_the_first_is_written_waits_for_it(store, opened, monkeypatch, what):
    run, inside, others, entered = opened(), threading.Event(), [], []
    write = journal_module.write_texts
    if store.database.is_sqlite:
        monkeypatch.setattr(store.database, "_lock", WatchedLock())

    def slowly(*given):
        entered.append(1)
        if len(entered) == 1:
            inside.set()
            wait_until(lambda: len(entered) > 1 or somebody_waits(store), "the other one waits or is in the middle too")
        write(*given)

    monkeypatch.setattr(journal_module, "write_texts", slowly)
    first = batch(points=(MetricPoint("x", 0, 0, 1.0),), params={"lr": "1"}, tags={"slow": "yes"})
    second = first if what == "points" else batch(writer="other", params={"lr": "2"})
    problems = []

    def late():
        inside.wait()
        try:
            log_batch(store, run.id, second)
        except ParamChanged as problem:
            problems.append(problem)

    others.append(threading.Thread(target=late))
    others[0].start()
    log_batch(store, run.id, first)
    others[0].join()
    found = get_run(store, run.id)
    assert (found.metrics["x"].points, found.params) == (1, {"lr": "1"})
    assert len(problems) == (what == "params")


def test_artifacts_have_names_in_a_manifest_and_bytes_in_blobs(store, opened):
    run = opened()
    first = log_artifact(store, run.id, "plots/roc.txt", b"one", media_type="text/plain")
    log_artifact(store, run.id, "a.bin", b"two", media_type="application/octet-stream")
    again = log_artifact(store, run.id, "plots/roc.txt", b"three", media_type="text/plain")
    assert again.id == first.id
    assert [artifact.name for artifact in list_artifacts(store, run.id)] == ["a.bin", "plots/roc.txt"]
    assert read_artifact(store, find_artifact(store, run.id, "plots/roc.txt")) == b"three"


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "a\\b", "C:x", "a\x00b", " a", "./a", "x" * 600, "a/\ud800"],
)
def test_a_name_that_could_be_a_path_elsewhere_is_refused(store, opened, name):
    run = opened()
    with pytest.raises(BadName):
        log_artifact(store, run.id, name, b"x", media_type="text/plain")
    assert list_artifacts(store, run.id) == []


def test_runs_are_found_by_their_data(store, opened, clock):
    runs = []
    for _ in range(2):
        runs.append(opened().id)
        clock.sleep(1)
    for run in reversed(runs):
        log_batch(
            store, run, batch(datasets=(DatasetLink(digest=DIGEST), DatasetLink(digest=DIGEST, role="test", rows=5)))
        )
    opened()
    assert runs_with_dataset(store, DIGEST) == runs
    assert [link.role for link in get_run(store, runs[0]).datasets] == ["test", "train"]


def test_many_writers_of_one_run_lose_nothing(store, opened, actor):
    run = opened()

    def write(writer):
        for number in range(1, 11):
            some = tuple(MetricPoint(key, number, number, 1.0) for key in ("a", "b", "c"))
            log_batch(store, run.id, batch(number, writer, points=some, tags={"by": writer}))

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = get_run(store, run.id)
    assert {key: measured.points for key, measured in found.metrics.items()} == {"a": 40, "b": 40, "c": 40}
    assert len({point.at_us for point in get_metric(store, run.id, "a").items}) == 10
    close_run(store, run.id, FinishRun(), actor=actor)
    assert check_seal(store, run.id) == ()
