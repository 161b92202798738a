"""``/ui/runs``: a table with filters and chosen columns, one run in full, and several compared by their differences."""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from trimtab.evaluation import direction_of
from trimtab.kernel import Body, Call, Invalid, Route, in_path
from trimtab.store import Store
from trimtab.tracking import (
    Artifact,
    Curve,
    Direction,
    Run,
    declared_direction,
    get_artifact,
    get_run,
    list_artifacts,
    list_experiments,
    list_models,
    metric_curve,
    read_artifact,
    read_console,
    search_runs,
)
from trimtab.ui.draw import Chart, Series, line_chart, thin
from trimtab.ui.draw.scale import short
from trimtab.ui.render import counted, number
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/runs"
RUNS_A_PAGE = 50
METRICS_AT_MOST, PARAMS_AT_MOST = 4, 2
COMPARED_AT_MOST = 8
CURVES_AT_MOST = 12
CHILDREN_SHOWN = 50
FILES_SHOWN = 200
CONSOLE_SHOWN = 20_000
"""Characters."""
LONGEST_HEAD = 20


class Drawn(msgspec.Struct, frozen=True):
    """A metric with its chart, and what the chart leaves out; one without steps has none, only its value."""

    key: str
    chart: Chart | None
    value: str
    notes: tuple[str, ...] = ()


class Head(msgspec.Struct, frozen=True):
    """A metric as the head of a column: which direction of it is better, and the best of the runs that are shown."""

    key: str
    better: Direction | None
    best: float | None


class Columns(msgspec.Struct, frozen=True):
    """The columns of the table, and how many others there would be."""

    metrics: tuple[Head, ...]
    params: tuple[str, ...]
    other_metrics: int
    other_params: int


def routes(desk: Desk) -> list[Route]:
    """Return the pages of tracking."""
    store = desk.rooms.store

    def runs(call: Call) -> Body:
        query = call.query
        found = search_runs(
            store, query.get("filter", ""), order_by=query.get("order", ""), experiment=query.get("experiment") or None,
            limit=RUNS_A_PAGE, cursor=query.get("cursor") or None,
        )  # fmt: skip
        return desk.pages.page(
            call, "runs.html", at=AT, runs=found.items, next=found.next,
            columns=_columns(found.items, query.get("columns", "")), experiments=list_experiments(store),
            query_values=dict(query), any_run=bool(query) or bool(found.items),
        )  # fmt: skip

    def run(call: Call) -> Body:
        found = get_run(store, call.path["run"])
        curved = [key for key in sorted(found.metrics) if found.metrics[key].points > 1]
        asked = call.query.get("curve", "")
        chosen = [asked] if asked in curved else curved[:CURVES_AT_MOST]
        drawn = [_drawn(store, [found], key) for key in chosen]
        files, console = list_artifacts(store, found.id), read_console(store, found.id)
        return desk.pages.page(
            call, "run.html", at=AT, run=found, drawn=drawn, curved=curved,
            heads=[_head([found], key) for key in sorted(found.metrics)],
            files=files, files_shown=files[:FILES_SHOWN], models=list_models(store, found.id),
            console=console[-CONSOLE_SHOWN:], console_length=len(console), environment=_environment(store, found),
            children=search_runs(store, f"attributes.parent = '{found.id}'", limit=CHILDREN_SHOWN),
        )  # fmt: skip

    def compare(call: Call) -> Body:
        chosen = sorted(name.removeprefix("run:") for name in call.query if name.startswith("run:"))
        if not 2 <= len(chosen) <= COMPARED_AT_MOST:
            raise Invalid(
                f"{counted(len(chosen), 'runs')} chosen",
                where="pages: compare",
                why=f"Two to {COMPARED_AT_MOST} runs can be held against each other.",
                next="choose them in the list of runs",
            )
        found = [get_run(store, id_) for id_ in chosen]
        keys = sorted({key for run in found for key in run.metrics})
        curved = [key for key in keys if any(run.metrics[key].points > 1 for run in found if key in run.metrics)]
        asked = call.query.get("curve", "")
        drawn = [_drawn(store, found, key) for key in ([asked] if asked in curved else curved[:CURVES_AT_MOST])]
        return desk.pages.page(
            call, "compare.html", at=AT, runs=found, drawn=drawn, curved=curved,
            query_values=dict(call.query),
            params=_differences([run.params for run in found]), tags=_differences([run.tags for run in found]),
            metrics=[(_head(found, key), [_number(run, key) for run in found]) for key in keys],
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

    of_run = in_path("run", lambda run: get_run(store, run).experiment)
    of_artifact = in_path("id", lambda file: get_run(store, get_artifact(store, file).run_id).experiment)
    return [
        shown_at(AT, runs, about="Runs, searched and sorted"),
        shown_at("/ui/compare", compare, about="Runs held against each other"),
        shown_at(f"{AT}/{{run}}", run, about="One run: curves, params, artifacts, environment", resource=of_run),
        shown_at("/ui/artifacts/{id}", artifact, about="Download a file of a run", resource=of_artifact),
    ]


def _columns(runs: Sequence[Run], chosen: str) -> Columns:
    """Return the metrics and params to show: those that were asked for; else those that most runs have
    and, of params, that differ between them."""
    metrics, params = _by_frequency([run.metrics for run in runs]), _differing(runs)
    if chosen:
        names = [name.strip() for name in chosen.split(",") if name.strip()]
        shown = [name.removeprefix("metrics.") for name in names if not name.startswith("params.")]
        shown_params = [name.removeprefix("params.") for name in names if name.startswith("params.")]
    else:
        shown = metrics[:METRICS_AT_MOST]
        shown_params = [key for key in params if len(key) <= LONGEST_HEAD][:PARAMS_AT_MOST]
    return Columns(
        tuple(_head(runs, key) for key in shown), tuple(shown_params), len(set(metrics) - set(shown)),
        len(set(params) - set(shown_params)),
    )  # fmt: skip


def _differing(runs: Sequence[Run]) -> list[str]:
    keys = {key for key, _ in _differences([run.params for run in runs])}
    return _by_frequency([{key: value for key, value in run.params.items() if key in keys} for run in runs])


def _by_frequency(values: Sequence[Mapping[str, object]]) -> list[str]:
    counts: dict[str, int] = {}
    for each in values:
        for key in each:
            counts[key] = counts.get(key, 0) + 1
    return sorted(counts, key=lambda key: (-counts[key], key))


def _head(runs: Sequence[Run], key: str) -> Head:
    """Find which direction of a metric is better, as the runs or our own metrics say; without a word nothing is best.

    Nor is anything best among runs that are all alike.
    """
    better = declared_direction(runs, key) or direction_of(key)
    values = {v for v in (_number(run, key) for run in runs) if v is not None and not math.isnan(v)}
    if better is None or len(values) < 2:
        return Head(key, better, None)
    return Head(key, better, min(values) if better == "lower" else max(values))


def _number(run: Run, key: str) -> float | None:
    found = run.metrics.get(key)
    return None if found is None else math.nan if found.value is None else found.value


def _differences(values: Sequence[Mapping[str, object]]) -> list[tuple[str, list[str | None]]]:
    """Return only what is not the same everywhere."""
    keys = sorted({key for each in values for key in each})
    rows = [(key, [None if key not in each else str(each[key]) for each in values]) for key in keys]
    return [(key, row) for key, row in rows if len(set(row)) > 1]


def _drawn(store: Store, runs: Sequence[Run], key: str) -> Drawn:
    series, notes = [], []
    for run in runs:
        name = run.name or run.id if len(runs) > 1 else key
        curve = metric_curve(store, run.id, key)
        numbers = np.isfinite(curve.values)
        steps, values = curve.steps[numbers].astype(np.float64), curve.values[numbers]
        notes += [f"{name}: {said}" for said in _not_drawn(curve)]
        if steps.size > 1:
            kept = thin(steps, values)
            points = list(zip(steps[kept].tolist(), values[kept].tolist(), strict=True))
            series.append(Series(name=name, points=points, of=steps.size, last=float(curve.values[-1])))
        else:
            notes.append(f"{name}: fewer than two values can be drawn, so there is no line")
    chart = line_chart(series, x_name="step") if series else None
    return Drawn(key, chart, short(_number(runs[0], key)), tuple(notes))


def _not_drawn(curve: Curve) -> list[str]:
    """Say which points of a metric stand in no chart, whatever its size."""
    odd = int((~np.isfinite(curve.values)).sum())
    again = curve.logged - curve.steps.size
    said = [f"{number(odd)} of {number(curve.steps.size)} values are NaN or infinite, and not drawn"] if odd else []
    return said + (
        [f"{number(again)} of {number(curve.logged)} points were logged again at their step; the latest counts"]
        if again
        else []
    )


def _environment(store: Store, run: Run) -> Mapping[str, object]:
    """Return what the run ran in, from the file that every run keeps; nothing when it kept none."""
    found: Artifact | None = next(
        (a for a in list_artifacts(store, run.id) if a.name == "environment/environment.json"), None
    )
    if found is None:
        return {}
    decoded: dict[str, object] = msgspec.json.decode(read_artifact(store, found))
    return decoded
