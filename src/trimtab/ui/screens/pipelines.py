"""``/ui/pipelines``: runs on a time axis, and one run as a graph with its steps, logs and errors."""

import msgspec

from trimtab.kernel import Body, Call, Invalid, Permission, Route
from trimtab.pipelines import (
    Attempt,
    LogEnd,
    PipelineRun,
    RunStatus,
    StepRun,
    StepStatus,
    cancel,
    get_pipeline_run,
    list_attempts,
    list_pipeline_runs,
    read_log_end,
    retry,
)
from trimtab.store import Store
from trimtab.ui.draw import Graph, Lane, Node, Stretch, Tracks, layered_graph, time_tracks
from trimtab.ui.forms import form_of
from trimtab.ui.render import see_other, span
from trimtab.ui.screen import Desk, done_at, shown_at
from trimtab.ui.tones import tone_of

AT = "/ui/pipelines"
LOG_BYTES = 20_000
RUNS_A_PAGE = 50
LANES_AT_MOST = 12


class RunLine(msgspec.Struct, frozen=True):
    """A run as a row: how many steps are over, how long it took, what stopped it."""

    run: PipelineRun
    done: int
    taken: int
    seconds: float | None
    wrong: str


def routes(desk: Desk) -> list[Route]:
    """Return the pages of the orchestrator."""
    store = desk.rooms.store

    def runs(call: Call) -> Body:
        found = list_pipeline_runs(
            store, pipeline=call.query.get("pipeline") or None, status=_status(call.query.get("status", "")),
            limit=RUNS_A_PAGE + 1, before=call.query.get("before") or None,
        )  # fmt: skip
        lines = [run_line(run) for run in found[:RUNS_A_PAGE]]
        chosen = _run_asked(store, call.query.get("run", ""), lines)
        tracks, lanes = _axis(store, lines)
        return desk.pages.page(
            call, "pipelines.html", at=AT, lines=lines, tracks=tracks, lanes=lanes, query_values=dict(call.query),
            after=lines[-1].run.id if len(found) > RUNS_A_PAGE else "", statuses=[status.value for status in RunStatus],
            chosen=chosen, graph=_graph(chosen) if chosen else None,
        )  # fmt: skip

    def run(call: Call) -> Body:
        found = get_pipeline_run(store, call.path["run"])
        chosen = _chosen(found, call.query.get("step", ""))
        attempts = list_attempts(store, found.id)
        return desk.pages.page(
            call, "pipeline.html", at=AT, line=run_line(found), run=found, step=chosen,
            log=_log(store, found, chosen, call.query.get("attempt", "")) if chosen else None,
            graph=_graph(found), tracks=_steps_axis(store, found, attempts),
            attempts=[attempt for attempt in attempts if chosen and attempt.step == chosen.name],
        )  # fmt: skip

    def again(call: Call, body: bytes) -> Body:
        form = form_of(body)
        again_from = retry(store, call.path["run"], actor=call.actor, because=form.get("because", ""))
        desk.rooms.runner.wake()
        return see_other(f"{AT}/{again_from.id}")

    def stop(call: Call, body: bytes) -> Body:
        form = form_of(body)
        stopped = cancel(store, call.path["run"], actor=call.actor, because=form.get("because", ""))
        desk.rooms.runner.wake()
        return see_other(f"{AT}/{stopped.id}")

    builds = Permission.REGISTER
    return [
        shown_at(AT, runs, about="Pipeline runs"),
        shown_at(f"{AT}/{{run}}", run, about="One pipeline run: graph, steps, logs"),
        done_at(f"{AT}/{{run}}/retry", again, about="Do the failed steps of a run again", permission=builds),
        done_at(f"{AT}/{{run}}/cancel", stop, about="Stop a run", permission=builds),
    ]


def run_line(run: PipelineRun) -> RunLine:
    """Return a run as a row of a list."""
    wrong = next((step.error.what for step in run.steps if step.error is not None), "")
    seconds = (run.finished_at - run.submitted_at).total_seconds() if run.finished_at else None
    cached = sum(step.status is StepStatus.CACHED for step in run.steps)
    return RunLine(run, sum(step.status.is_final for step in run.steps), cached, seconds, wrong)


def _status(text: str) -> RunStatus | None:
    if not text:
        return None
    try:
        return RunStatus(text)
    except ValueError:
        raise Invalid(
            f"{text[:40]!r} is no status of a run",
            where="query status",
            why="A run has one of five.",
            next=f"use one of: {', '.join(RunStatus)}",
        ) from None


def _chosen(run: PipelineRun, name: str) -> StepRun | None:
    """Return the step that was asked for, or the one that most wants to be seen."""
    by_name = {step.name: step for step in run.steps}
    if name in by_name:
        return by_name[name]
    for status in (StepStatus.FAILED, StepStatus.RUNNING):
        found = next((step for step in run.steps if step.status is status), None)
        if found is not None:
            return found
    return run.steps[0] if run.steps else None


def _run_asked(store: Store, id_: str, lines: list[RunLine]) -> PipelineRun | None:
    """Return the run whose graph is wanted: the one that was asked for, else one that goes on, else the newest."""
    if id_:
        return get_pipeline_run(store, id_)
    going = (line.run for line in lines if not line.run.status.is_final)
    return next(going, lines[0].run if lines else None)


def _log(store: Store, run: PipelineRun, step: StepRun, asked: str) -> LogEnd | None:
    """Return the end of an attempt's log: the one that was asked for, else the last."""
    if not step.attempts:
        return None
    if asked and not (asked.isascii() and asked.isdigit() and 1 <= int(asked) <= step.attempts):
        raise Invalid(
            f"step {step.name} has no attempt {asked[:10]!r}", where="query attempt",
            why=f"It was started {step.attempts} times.", next="leave attempt out for the last one",
        )  # fmt: skip
    attempt = int(asked) if asked else step.attempts
    return read_log_end(store, run.id, step.name, attempt=attempt, limit=LOG_BYTES)


def _axis(store: Store, lines: list[RunLine]) -> tuple[Tracks | None, int]:
    """Draw the runs of this page of the list on a time axis, a lane for each pipeline; and say how many there are."""
    now = store.clock.now()
    lanes: dict[str, list[Stretch]] = {}
    for line in reversed(lines):
        run = line.run
        took = span(line.seconds) if line.seconds is not None else "not over"
        lanes.setdefault(run.pipeline, []).append(
            Stretch(
                start=run.submitted_at, end=run.finished_at or max(now, run.submitted_at), href=f"{AT}/{run.id}",
                tone=tone_of(run.status.value),
                text=f"{run.submitted_at:%d %b %H:%M}: {run.status.value}, {took}",
            )
        )  # fmt: skip
    drawn = [
        Lane(name=name, stretches=found, href=f"{AT}?pipeline={name}", said=str(len(found)))
        for name, found in sorted(lanes.items(), key=lambda item: item[1][-1].start, reverse=True)
    ]
    return time_tracks(drawn[:LANES_AT_MOST]), len(drawn)


def _steps_axis(store: Store, run: PipelineRun, attempts: list[Attempt]) -> Tracks | None:
    """Draw every start of every step on a time axis, a lane for each step; None when all took no time."""
    now = store.clock.now()
    lanes = []
    for step in run.steps:
        found = [attempt for attempt in attempts if attempt.step == step.name]
        lanes.append(
            Lane(
                name=step.name, href=f"{AT}/{run.id}?step={step.name}",
                stretches=[
                    Stretch(
                        start=a.started_at, end=a.finished_at or max(now, a.started_at),
                        tone=tone_of(a.outcome.value if a.outcome else "running"),
                        text=f"attempt {a.attempt}: {a.outcome.value if a.outcome else 'running'}, {span(a.seconds)}",
                        href=f"{AT}/{run.id}?step={step.name}&attempt={a.attempt}",
                    )
                    for a in found
                ],
            )
        )  # fmt: skip
    drawn = time_tracks(lanes)
    lasted = any(a.finished_at is None or a.finished_at > a.started_at for a in attempts)
    return drawn if lasted else None


def _graph(run: PipelineRun) -> Graph:
    return layered_graph([_node(run, step) for step in run.steps])


def _node(run: PipelineRun, step: StepRun) -> Node:
    said = step.status.value
    if step.status is StepStatus.RUNNING and step.total:
        said = f"{step.done or 0:,.0f} of {step.total:,.0f} {step.unit or ''}".strip()
    elif step.seconds is not None and step.status.is_done:
        said = f"{'taken over' if step.status is StepStatus.CACHED else 'done'} in {span(step.seconds)}"
    return Node(
        name=step.name, needs=step.needs, said=said, tone=tone_of(step.status.value),
        href=f"{AT}/{run.id}?step={step.name}",
    )  # fmt: skip
