"""``/ui/runs``: a table with filters and chosen columns, one run in full, and several compared by their differences."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from trimtab.kernel import Body, Call, Invalid, Route
from trimtab.tracking import (
    Artifact,
    MetricPoint,
    Run,
    get_artifact,
    get_metric,
    get_run,
    list_artifacts,
    list_experiments,
    list_models,
    read_artifact,
    read_console,
    search_runs,
)
from trimtab.ui.draw import Chart, Series, line_chart
from trimtab.ui.draw.scale import short
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/runs"
RUNS_A_PAGE = 50
POINTS_AT_MOST = 5000
COLUMNS_AT_MOST = 6
COMPARED_AT_MOST = 8
LONGEST_HEAD = 20


class Drawn(msgspec.Struct, frozen=True):
    """A metric with its chart; one without steps has none, only its value."""

    key: str
    chart: Chart | None
    value: str


def routes(desk: Desk) -> list[Route]:
    """Return the pages of tracking."""
    store = desk.rooms.store

    def runs(call: Call) -> Body:
        query = call.query
        found = search_runs(
            store, query.get("filter", ""), order_by=query.get("order", ""), experiment=query.get("experiment") or None,
            limit=RUNS_A_PAGE, cursor=query.get("cursor") or None,
        )  # fmt: skip
        metrics, params = _columns(found.items, query.get("columns", ""))
        best = {key: _best(found.items, key) for key in metrics}
        return desk.pages.page(
            call, "runs.html", at=AT, runs=found.items, next=found.next, metrics=metrics, params=params, best=best,
            experiments=list_experiments(store), query_values=dict(query), any_run=bool(query) or bool(found.items),
        )  # fmt: skip

    def run(call: Call) -> Body:
        found = get_run(store, call.path["run"])
        drawn = [_drawn(desk, [found], key) for key in sorted(found.metrics)]
        return desk.pages.page(
            call, "run.html", at=AT, run=found, drawn=[d for d in drawn if d.chart],
            alone=[d for d in drawn if not d.chart],
            artifacts=list_artifacts(store, found.id), models=list_models(store, found.id),
            console=read_console(store, found.id)[-20_000:], environment=_environment(desk, found),
            children=search_runs(store, f"attributes.parent = '{found.id}'", limit=50).items,
        )  # fmt: skip

    def compare(call: Call) -> Body:
        chosen = sorted(name.removeprefix("run:") for name in call.query if name.startswith("run:"))
        if not 2 <= len(chosen) <= COMPARED_AT_MOST:
            raise Invalid(
                f"{len(chosen)} runs are chosen",
                where="pages: compare",
                why=f"Two to {COMPARED_AT_MOST} runs can be held against each other.",
                next="choose them in the list of runs",
            )
        found = [get_run(store, id_) for id_ in chosen]
        keys = sorted({key for run in found for key in run.metrics})
        drawn = [_drawn(desk, found, key) for key in keys]
        return desk.pages.page(
            call, "compare.html", at=AT, runs=found, drawn=[d for d in drawn if d.chart],
            params=_differences([run.params for run in found]), tags=_differences([run.tags for run in found]),
            metrics=[(key, [_number(run, key) for run in found], _best(found, key)) for key in keys],
            datasets=_differences([{d.role: d.digest for d in run.datasets} for run in found]),
        )  # fmt: skip

    def artifact(call: Call) -> Body:
        found = get_artifact(store, call.path["id"])
        name = found.name.rpartition("/")[2].replace('"', "'").encode("ascii", "replace").decode()
        # Always a download: what a run has written must never run as a page of this server.
        return Body(
            data=read_artifact(store, found),
            headers={"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"},
        )

    return [
        shown_at(AT, runs, about="Runs, searched and sorted"),
        shown_at("/ui/compare", compare, about="Runs held against each other"),
        shown_at(f"{AT}/{{run}}", run, about="One run: curves, params, artifacts, environment"),
        shown_at("/ui/artifacts/{id}", artifact, about="Download a file of a run"),
    ]


def _columns(runs: Sequence[Run], chosen: str) -> tuple[list[str], list[str]]:
    """Return the metrics and params to show: those that were asked for; else those that most runs have
    and, of params, that differ between them."""
    if chosen:
        names = [name.strip() for name in chosen.split(",") if name.strip()]
        metrics = [name.removeprefix("metrics.") for name in names if not name.startswith("params.")]
        return metrics, [name.removeprefix("params.") for name in names if name.startswith("params.")]
    differing = [key for key, _ in _differences([run.params for run in runs]) if len(key) <= LONGEST_HEAD]
    params = [{key: run.params[key] for key in differing if key in run.params} for run in runs]
    return _common([run.metrics for run in runs], 4), _common(params, COLUMNS_AT_MOST - 4)


def _common(values: Sequence[Mapping[str, object]], most: int) -> list[str]:
    counts: dict[str, int] = {}
    for each in values:
        for key in each:
            counts[key] = counts.get(key, 0) + 1
    return sorted(counts, key=lambda key: (-counts[key], key))[:most]


def _best(runs: Sequence[Run], key: str) -> float | None:
    """Return the best value of a metric on the page: the least of what is a loss or a time, else the greatest."""
    values = [v for v in (_number(run, key) for run in runs) if v is not None and not math.isnan(v)]
    if len(values) < 2:
        return None
    smaller_is_better = any(word in key for word in ("loss", "error", "rmse", "mae", "brier", "latency", "seconds"))
    return min(values) if smaller_is_better else max(values)


def _number(run: Run, key: str) -> float | None:
    found = run.metrics.get(key)
    return None if found is None else math.nan if found.value is None else found.value


def _differences(values: Sequence[Mapping[str, object]]) -> list[tuple[str, list[str | None]]]:
    """Return only what is not the same everywhere."""
    keys = sorted({key for each in values for key in each})
    rows = [(key, [None if key not in each else str(each[key]) for each in values]) for key in keys]
    return [(key, row) for key, row in rows if len(set(row)) > 1]


def _drawn(desk: Desk, runs: Sequence[Run], key: str) -> Drawn:
    series = []
    for run in runs:
        points = get_metric(desk.rooms.store, run.id, key, limit=POINTS_AT_MOST).items if key in run.metrics else ()
        if len(points) > 1:
            series.append(Series(name=run.name if len(runs) > 1 else key, points=_points(points)))
    value = _number(runs[0], key)
    return Drawn(key, line_chart(series, x_name="step") if series else None, short(value))


def _points(points: Sequence[MetricPoint]) -> list[tuple[float, float]]:
    """Return steps and values; of several values at one step the last counts, and what is no number is left out."""
    by_step = {point.step: point.value for point in points if isinstance(point.value, float | int)}
    return [(float(step), float(value)) for step, value in sorted(by_step.items())]


def _environment(desk: Desk, run: Run) -> Mapping[str, object]:
    """Return what the run ran in, from the file that every run keeps; nothing when it kept none."""
    found: Artifact | None = next(
        (a for a in list_artifacts(desk.rooms.store, run.id) if a.name == "environment/environment.json"), None
    )
    if found is None:
        return {}
    decoded: dict[str, object] = msgspec.json.decode(read_artifact(desk.rooms.store, found))
    return decoded
