"""Follow a log as it grows: the server's file, or the steps of a pipeline run until it is over."""

from collections.abc import Iterator
from contextlib import suppress

from trimtab.cli.session import Session
from trimtab.kernel import NotFound, SystemClock
from trimtab.pipelines import StepRun, get_pipeline_run, read_log
from trimtab.server import server_log

LOOKS_EVERY_S = 0.3
_PIECE = 1 << 20


def follow_server(session: Session, lines: int) -> Iterator[str]:
    """Yield the last lines of the server's log, then what is added to it, for ever. It may not be there yet.

    A full log is moved aside and begun anew; the new one is then read from its beginning.
    """
    project, clock = session.project, SystemClock()
    part, begun = None, False
    while True:
        with suppress(NotFound):
            if part is None and not begun:
                part = project.ask(server_log)
                yield "".join(part.text.splitlines(keepends=True)[-lines:])
            elif part is None:
                part = project.ask(server_log, offset=0)  # what comes is new from its first line on
                yield part.text
            else:
                part = project.ask(server_log, file=part.file, offset=part.next_offset)
                yield part.text
        begun = True
        if part is None or not part.text:
            clock.sleep(LOOKS_EVERY_S)


def follow_run(session: Session, run_id: str, step: str | None) -> Iterator[str]:
    """Yield what the steps of a pipeline run print, as they print it, until the run (or the one step) is over.

    Each start of a step begins with a line that names it. Raises ``NotFound``.
    """
    if step is not None:
        session.ask(read_log, run_id, step, limit=4)  # says so when there is no such step
    clock = SystemClock()
    offsets: dict[tuple[str, int], int] = {}
    while True:
        run = session.ask(get_pipeline_run, run_id)
        steps = [one for one in run.steps if step in (None, one.name)]
        over = run.status.is_final or all(one.status.is_final for one in steps)
        for one in steps:
            for attempt in range(1, one.attempts + 1):
                yield from _grown(session, run_id, one, attempt, offsets)
        if over:
            yield "".join(f"== {one.name}: {one.status.value}\n" for one in steps)
            return
        clock.sleep(LOOKS_EVERY_S)


def _grown(
    session: Session, run_id: str, step: StepRun, attempt: int, offsets: dict[tuple[str, int], int]
) -> Iterator[str]:
    """Yield what one start of a step has printed since the last look."""
    place = (step.name, attempt)
    if place not in offsets:
        offsets[place] = 0
        yield f"== {step.name}, attempt {attempt}\n"
    while True:
        piece = session.ask(read_log, run_id, step.name, attempt=attempt, offset=offsets[place], limit=_PIECE)
        if not piece.text:
            return
        offsets[place] = piece.next_offset
        yield piece.text
