"""The pages of runs: what is best by its metric's own definition, and curves of any length."""

import math
import re
from urllib.parse import quote

import pytest
from tests.ui.conftest import client_of

from trimtab.kernel import Actor
from trimtab.store import Store
from trimtab.tracking import Batch, MetricPoint, StartRun, log_batch, open_run, start_run


def run_with(store: Store, name: str, better: dict[str, str] | None = None, **metrics: float) -> str:
    run = start_run(store, experiment="best", name=name, actor=Actor("ann"), capture=())
    run.log_metrics(metrics)
    for key, direction in (better or {}).items():
        run.define_metric(key, better=direction)  # type: ignore[arg-type]
    return run.finish().id


def starred(page: str) -> set[str]:
    """Return the values that are marked as the best."""
    return set(re.findall(r"<b[^>]*>([^<]+) ★</b>", page))


@pytest.mark.parametrize(
    ("key", "better", "best"),
    [
        ("log_loss", None, "0.1"), ("auc", None, "0.9"), ("calibration_error", None, "0.1"), ("r2", None, "0.9"),
        ("selection_rate", None, None), ("lossless_share", None, None), ("train_seconds", None, None),
        ("error_free_rows", None, None), ("val_loss", None, None), ("val_loss", "lower", "0.1"),
        ("lossless_share", "higher", "0.9"), ("auc", "lower", "0.1"),
    ],
)  # fmt: skip
def test_the_best_is_what_the_definition_of_the_metric_says(
    sqlite_store: Store, key: str, better: str | None, best: str | None
) -> None:
    said = {key: better} if better else None
    ids = [run_with(sqlite_store, f"r{value}", said, **{key: value}) for value in (0.9, 0.1, 0.5)]
    wanted = set() if best is None else {best}
    with client_of(sqlite_store) as client:
        page = client.get("/ui/runs").text
        compared = client.get("/ui/compare?" + "&".join(f"run:{id_}=1" for id_ in ids)).text
        one = client.get(f"/ui/runs/{ids[0]}").text
    assert (starred(page), starred(compared)) == (wanted, wanted)
    direction = better or {"0.1": "lower", "0.9": "higher", None: None}[best]
    for text in (page, compared):
        assert ("lower is better" in text, "higher is better" in text) == (direction == "lower", direction == "higher")
    assert f"<td>{direction or '–'}</td>" in one


def test_runs_that_contradict_each_other_have_no_best(sqlite_store: Store) -> None:
    run_with(sqlite_store, "a", {"score": "lower"}, score=0.1)
    run_with(sqlite_store, "b", {"score": "higher"}, score=0.9)
    with client_of(sqlite_store) as client:
        assert starred(client.get("/ui/runs").text) == set()


def test_nothing_is_best_among_equals_and_nan_never_is(sqlite_store: Store) -> None:
    run_with(sqlite_store, "a", auc=0.5, brier=math.nan)
    run_with(sqlite_store, "b", auc=0.5, brier=0.2)
    run_with(sqlite_store, "c", auc=0.5, brier=0.3)
    with client_of(sqlite_store) as client:
        page = client.get("/ui/runs").text
    assert starred(page) == {"0.2"}
    assert "NaN" in page


def test_a_long_curve_shows_its_beginning_its_end_and_its_extremes(sqlite_store: Store) -> None:
    values = [0.5 + 0.1 * math.sin(step / 50) for step in range(12_000)]
    values[2], values[11_990], values[0], values[-1] = -3.0, 9.0, 0.25, 0.75
    run = open_run(sqlite_store, StartRun(experiment="long"), actor=Actor("ann"))
    points = [MetricPoint("loss", step, step, value) for step, value in enumerate(values)]
    points += [MetricPoint("loss", 100, 0, 77.0), MetricPoint("loss", 12_000, 12_000, "nan")]
    log_batch(sqlite_store, run.id, Batch(writer="w", number=1, points=tuple(points)))
    with client_of(sqlite_store) as client:
        page = client.get(f"/ui/runs/{run.id}").text
    assert 'aria-label="Line chart over step: loss from 0.25 to 0.75, least -3, most 9"' in page
    assert re.search("Drawn: 1\u202f00\\d of 12\u202f000 points of loss", page)
    assert re.search("As a table: \\d\\d of 12\u202f000 points", page)
    assert "loss: 1 of 12\u202f001 values are NaN or infinite, and not drawn" in page
    assert "loss: 1 of 12\u202f002 points were logged again at their step; the latest counts" in page


def test_a_curve_of_one_number_says_why_there_is_no_line(sqlite_store: Store) -> None:
    with start_run(sqlite_store, experiment="e", actor=Actor("ann"), capture=()) as run:
        run.log_metrics({"loss": math.nan}, 0)
        run.log_metrics({"loss": 0.5}, 1)
    with client_of(sqlite_store) as client:
        page = client.get(f"/ui/runs/{run.id}").text
    assert "loss: 1 of 2 values are NaN or infinite, and not drawn" in page
    assert "loss: fewer than two values can be drawn, so there is no line" in page
    assert "curves are drawn" not in page


def test_curves_that_are_not_drawn_are_counted_and_can_be_chosen(sqlite_store: Store) -> None:
    run = start_run(sqlite_store, experiment="many", name="many", actor=Actor("ann"), capture=())
    for step in range(3):
        run.log_metrics({f"layer/{n:02} norm": float(step) for n in range(20)}, step)
    id_ = run.finish().id
    with client_of(sqlite_store) as client:
        page = client.get(f"/ui/runs/{id_}").text
        chosen = client.get(f"/ui/runs/{id_}?curve={quote('layer/19 norm', safe='')}").text
        compared = client.get(f"/ui/compare?run:{id_}=1&run:{run_with(sqlite_store, 'other', x=1.0)}=1").text
    for text in (page, compared):
        assert "12 of 20 curves are drawn" in text
        assert text.count('aria-label="Line chart') == 12
    assert chosen.count('aria-label="Line chart') == 1
    assert "1 of 20 curves are drawn" in chosen


def test_a_curve_that_ends_in_an_infinity_does_not_tell_an_earlier_value_as_its_last(sqlite_store: Store) -> None:
    ids = []
    for name, last in (("exploded", math.inf), ("fine", 0.125)):
        run = start_run(sqlite_store, experiment="ends", name=name, actor=Actor("ann"), capture=())
        for value in (0.5, 0.25, last):
            run.log_metric("loss", value)
        ids.append(run.finish().id)
    with client_of(sqlite_store) as client:
        page = client.get("/ui/compare?" + "&".join(f"run:{id_}=1" for id_ in ids)).text
    legend = re.search(r'<(\w+) class="legend".*?</\1>', page, re.DOTALL)
    assert legend is not None
    assert re.findall(r"<b>([^<]+)</b>", legend[0]) == ["∞", "0.125"]
