"""``/ui/pipelines``: runs on a time axis, and one run as a graph with its steps, logs and errors."""

from datetime import timedelta

import msgspec

from fairlead.kernel import Body, Call, Invalid, Permission, Route
from fairlead.pipelines import (
    PipelineRun,
    RunStatus,
    StepRun,
    StepStatus,
    cancel,
    get_pipeline_run,
    list_attempts,
    list_pipeline_runs,
    read_log,
    retry,
)
from fairlead.ui.draw import Node, layered_graph, time_strip
from fairlead.ui.forms import form_of
from fairlead.ui.render import see_other, span
from fairlead.ui.screen import Desk, done_at, shown_at
from fairlead.ui.tones import tone_of

AT = "/ui/pipelines"
LOG_BYTES = 20_000
RUNS_A_PAGE = 50


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
        now = store.clock.now()
        strip = time_strip(
            [line.run.submitted_at for line in lines],
            bad=[line.run.submitted_at for line in lines if line.run.status.value == "failed"],
            start=now - timedelta(hours=24), end=now, slices=48, noun="runs",
        )  # fmt: skip
        return desk.pages.page(
            call, "pipelines.html", at=AT, lines=lines, strip=strip, query_values=dict(call.query),
            after=lines[-1].run.id if len(found) > RUNS_A_PAGE else "", statuses=[status.value for status in RunStatus],
        )  # fmt: skip

    def run(call: Call) -> Body:
        found = get_pipeline_run(store, call.path["run"])
        chosen = _chosen(found, call.query.get("step", ""))
        log = read_log(store, found.id, chosen.name, limit=1 << 20).text if chosen and chosen.attempts else ""
        return desk.pages.page(
            call, "pipeline.html", at=AT, line=run_line(found), run=found, step=chosen, log=log[-LOG_BYTES:],
            graph=layered_graph([_node(found, step) for step in found.steps]),
            attempts=list_attempts(store, found.id, step=chosen.name) if chosen else [],
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

    return [
        shown_at(AT, runs, about="Pipeline runs"),
        shown_at(f"{AT}/{{run}}", run, about="One pipeline run: graph, steps, logs"),
        done_at(f"{AT}/{{run}}/retry", again, about="Do the failed steps of a run again", permission=Permission.WRITE),
        done_at(f"{AT}/{{run}}/cancel", stop, about="Stop a run", permission=Permission.WRITE),
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
