"""One rule: a limit is always said. Each limit of the pages is lowered, and the page must say what it leaves out."""

import html
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import timedelta
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

import httpx
import pytest
from tests.seeded import Seeded
from tests.ui.conftest import client_of
from tests.ui.crowded import crowd

import trimtab.ui.screens
from trimtab.cli.main import run
from trimtab.pipelines import list_pipeline_runs
from trimtab.store import Store, open_store

_A_LIMIT = re.compile(r"[A-Z_]*(_AT_MOST|_SHOWN|_A_PAGE|_OF_ONE|_DRAWN|_BYTES|LOOKED_AT)$")


class Case(NamedTuple):
    """A limit, what it is lowered to, a page that it bounds, and what that page then says."""

    limit: str
    value: int
    path: str
    says: str


CASES = [
    Case("home.WAITING_SHOWN", 1, "/ui", r"1 of 6 versions that wait; all of them"),
    Case("home.ALARMS_SHOWN", 1, "/ui", r"1 of \d alarms; all of them"),
    Case("home.NEEDS_SHOWN", 1, "/ui", r"1 of \d others; all of them"),
    Case("home.TURNS_SHOWN", 1, "/ui", r"1 of \d open turns"),
    Case("home.ENDPOINTS_SHOWN", 0, "/ui", r"0 of 1 endpoints"),
    Case("home.RUNS_SHOWN", 1, "/ui", r"the newest 1 run<.*All runs"),
    Case("home.EVENTS_SHOWN", 1, "/ui", r"1 of \d+ events"),
    Case("alarms.OPEN_SHOWN", 1, "/ui/monitor/slow", r"1 of \d alarms, those that page first"),
    Case("alarms.RESOLVED_SHOWN", 1, "/ui/monitor/slow", r"The last 1 that are resolved; earlier ones"),
    Case("audit.EVENTS_A_PAGE", 2, "/ui/audit", r"events \d+ to \d+<.*rel=\"next\""),
    Case("data.SNAPSHOTS_A_PAGE", 1, "/ui/data", r"1 snapshot on this page<.*rel=\"next\""),
    Case("data.HISTORY_SHOWN", 1, "/ui/data/parcels", r"the newest 1, and there are more"),
    Case("data.ROWS_A_PAGE", 1, "/ui/data/parcels", r"rows 1 to 1 of \d+<.*rel=\"next\""),
    Case("data.TOP_SHOWN", 1, "/ui/data/parcels?column=depot", r"1 of 2 values, the most frequent"),
    Case("features.VIEWS_A_PAGE", 1, "/ui/features", r"1 of 2 views<.*rel=\"next\""),
    Case("features.USERS_SHOWN", 1, "/ui/features", r">\+\d</a>"),
    Case("features.VIEW_USERS_SHOWN", 1, "/ui/features/parcel", r"1 of \d, the newest of each model first"),
    Case("models.MODELS_A_PAGE", 1, "/ui/models", r"1 of 3 models<.*rel=\"next\""),
    Case("models.VERSIONS_A_PAGE", 1, "/ui/models/crowd", r"1 of 3 versions<.*rel=\"next\""),
    Case("runs.RUNS_A_PAGE", 1, "/ui/runs", r"1 run on this page, and there are more"),
    Case("runs.METRICS_AT_MOST", 1, "/ui/runs?experiment=by+hand", r"not shown: 2 other metrics"),
    Case("runs.PARAMS_AT_MOST", 0, "/ui/runs?experiment=by+hand", r"[23] other params that differ"),
    Case("runs.COMPARED_AT_MOST", 2, "/ui/compare?run:{0}=1&run:{1}=1&run:{2}=1", r"Two to 2 runs can be held"),
    Case("runs.CURVES_AT_MOST", 1, "/ui/runs/{0}", r"1 of 3 curves are drawn"),
    Case("runs.CHILDREN_SHOWN", 1, "/ui/runs/{0}", r"The newest 1; all of them"),
    Case("runs.FILES_SHOWN", 1, "/ui/runs/{0}", r"1 of \d files"),
    Case("runs.CONSOLE_SHOWN", 8, "/ui/runs/{0}", r"The last 8 of [\d\u202f]+ characters; all of it"),
    Case("pipelines.RUNS_A_PAGE", 1, "/ui/pipelines", r"1 run on this page<.*rel=\"next\""),
    Case("pipelines.LANES_AT_MOST", 1, "/ui/pipelines", r"1 of \d pipelines of this page"),
    Case("pipelines.LOG_BYTES", 100, "{pipeline}", r"The last 100 of [\d\u202f]+ bytes; all of it"),
    Case("loop.MODELS_A_PAGE", 1, "/ui/loop", r"1 of 3 models<.*rel=\"next\""),
    Case("loop.TURNS_A_PAGE", 1, "/ui/loop/crowd", r"1 turn on this page<.*rel=\"next\""),
    Case("loop.LANES_AT_MOST", 1, "/ui/loop/crowd", r"1 of 3 turns of this page"),
    Case("endpoints.LOOKED_AT", 9, "/ui/endpoints/slow", r"of the last 9 decisions"),
    Case("endpoints.DECISIONS_SHOWN", 1, "/ui/endpoints/slow", r"the newest 1<.*All decisions"),
    Case("endpoints.CHANGES_SHOWN", 1, "/ui/endpoints/slow", r"the newest 1<.*All in the ledger"),
    Case("decisions.DECISIONS_A_PAGE", 2, "/ui/decisions", r"2 decisions on this page<.*rel=\"next\""),
    Case("lineage.NODES_AT_MOST", 2, "/ui/lineage?about=source:parcels", r"2 of \d+ things, those that lie nearest"),
    Case("lineage.ROWS_AT_MOST", 1, "/ui/lineage?about=source:parcels", r"1 of \d+ things<.*All of them"),
    Case("lineage.DECISIONS_AT_MOST", 1, "/ui/lineage?about=source:parcels", r"the first 1, and there are more"),
    Case("lineage.MISSING_SHOWN", 1, "/ui/lineage?about=source:parcels", r"1 of 12 parts; all of them"),
    Case("evaluation.SLICES_AT_MOST", 1, "/ui/models/slow/2/evaluation", r"1 of 2 slices, the worst<.*More of them"),
    Case("evaluation.SLICES_OF_ONE", 1, "/ui/models/slow/2/evaluation?by=depot", r"1 of 2 slices, the worst"),
    Case("monitor.ROWS_DRAWN", 3, "/ui/monitor/slow?column=weight&version=1", r"\d+ drawn, the newest of \d+"),
]  # fmt: skip


@pytest.fixture(scope="module")
def crowded(looped: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    return crowd(looped, tmp_path_factory.mktemp("crowded"))


@pytest.fixture(scope="module")
def crowded_store(crowded: Seeded) -> Iterator[Store]:
    store = open_store(crowded.settings)
    yield store
    store.close()


@pytest.fixture(scope="module")
def crowded_client(crowded_store: Store) -> httpx.Client:
    """A browser on a server whose background never begins: nothing resolves alerts or runs what waits meanwhile."""
    return client_of(crowded_store)


@pytest.fixture(scope="module")
def open_page(crowded: Seeded, crowded_store: Store, crowded_client: httpx.Client) -> Callable[[str], str]:
    """Open a path, in which ``{0}`` stands for a run and ``{pipeline}`` for the run that trained."""

    trained = next(run for run in list_pipeline_runs(crowded_store) if run.steps[0].attempts)

    def open_(path: str) -> str:
        return html.unescape(
            crowded_client.get(path.format(*crowded.runs, pipeline=f"/ui/pipelines/{trained.id}")).text
        )

    return open_


def test_every_limit_of_a_screen_is_tried() -> None:
    found = {
        f"{module.name}.{name}"
        for module in iter_modules(trimtab.ui.screens.__path__)
        for name in vars(import_module(f"trimtab.ui.screens.{module.name}"))
        if _A_LIMIT.fullmatch(name)
    }
    here = {name for name in found if name.partition(".")[0] != "kit"}
    assert here == {case.limit for case in CASES} | {"loop.WEEKS_AT_MOST"}, "which has a test of its own"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.limit)
def test_what_a_page_leaves_out_is_said(
    open_page: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    whole = open_page(case.path)
    monkeypatch.setattr(f"trimtab.ui.screens.{case.limit}", case.value)
    page = open_page(case.path)
    assert re.search(case.says, page, re.DOTALL), page
    assert page != whole


def test_a_page_that_leaves_nothing_out_does_not_say_so(open_page: Callable[[str], str]) -> None:
    for path in ("/ui/models", "/ui/models/crowd", "/ui/features", "/ui/loop/crowd", "/ui/runs/{0}"):
        assert not re.search(r"\d+ of \d+ (models|versions|views|turns|curves|files)\b", open_page(path)), path


def test_weeks_that_are_not_drawn_are_counted_and_labels_too(
    open_page: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.ui.screens.loop.WEEK", timedelta(days=1))  # the home is four days old
    assert re.search(r'muted">[\d\u202f]+ to [\d\u202f]+ labels a week', open_page("/ui/loop/slow"))
    monkeypatch.setattr("trimtab.ui.screens.loop.WEEKS_AT_MOST", 2)
    assert re.search(r"The last 2 of [45] weeks; \d", open_page("/ui/loop/slow"))


def test_page_command_line_and_api_count_the_same(
    crowded: Seeded, crowded_client: httpx.Client, open_page: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("HOME", crowded.settings.home),
        ("PROJECT", crowded.settings.project),
        ("CLOCK", crowded.settings.clock),
    ):
        monkeypatch.setenv(f"TRIMTAB_{name}", value)
    with redirect_stdout(io.StringIO()) as printed:
        assert run(["status", "-o", "json"]) == 0
    typed = json.loads(printed.getvalue())
    answered = crowded_client.get("/api/v1/status").json()
    moving = {"at", "events", "server", "next"}
    assert {key: value for key, value in typed.items() if key not in moving} == {
        key: value for key, value in answered.items() if key not in moving
    }
    assert [one["version"] for one in typed["waiting"]] == [f"{m}@{n}" for m in ("crowd", "other") for n in (3, 2, 1)]
    page = open_page("/ui")
    shown = {name: int(count) for name, count in re.findall(r"<dt>(\w[\w ]*)</dt><dd>(\d+)", page)}
    assert shown["Models"] == len(typed["models"]) == 3
    assert shown["Views"] == len(typed["views"]) == 2
    monkeypatch.setattr("trimtab.ui.screens.home.WAITING_SHOWN", 0)
    monkeypatch.setattr("trimtab.ui.screens.home.ALARMS_SHOWN", 0)
    page = open_page("/ui")
    assert f"0 of {len(typed['waiting'])} versions that wait" in page
    assert f"0 of {len(typed['alerts'])} alarms" in page
    for model in typed["models"]:
        waiting = re.search(r"<dt>Waiting</dt><dd>(\d+)", open_page(f"/ui/models/{model['model']}"))
        assert waiting is not None
        assert int(waiting[1]) == model["waiting"]
