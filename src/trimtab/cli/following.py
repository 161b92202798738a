"""Follow a log as it grows: the server's file, or the steps of a pipeline run until it is over."""

from collections.abc import Iterator
from pathlib import Path

from trimtab.cli.session import Session
from trimtab.kernel import SystemClock
from trimtab.pipelines import StepRun, get_pipeline_run, read_log

LOOKS_EVERY_S = 0.3
_PIECE = 1 << 20


def follow_server(file: Path, lines: int) -> Iterator[str]:
    """Yield the last lines of the server's log, then what is added to it, for ever. It may not be there yet.

    A full log is moved aside and begun anew; the new one is then read from its beginning.
    """
    clock, offset, known = SystemClock(), 0, -1
    while True:
        try:
            with file.open("rb") as opened:
                now = file.stat().st_ino
                if known == -1:
                    data = opened.read()
                    offset = len(data)
                    yield "".join(data.decode("utf-8", "replace").splitlines(keepends=True)[-lines:])
                else:
                    opened.seek(0 if now != known else offset)
                    data = opened.read()
                    offset = opened.tell()
                    yield data.decode("utf-8", "replace")
                known = now
        except FileNotFoundError:
            known = 0 if known == -1 else known  # what comes is new from its first line on
        clock.sleep(LOOKS_EVERY_S)


def follow_run(session: Session, run_id: str, step: str | None) -> Iterator[str]:
    """Yield what the steps of a pipeline run print, as they print it, until the run (or the one step) is over.

    Each start of a step begins with a line that names it. Raises ``NotFound``.
    """
    if step is not None:
        read_log(session.store, run_id, step, limit=4)  # says so when there is no such step
    clock = SystemClock()
    offsets: dict[tuple[str, int], int] = {}
    while True:
        run = get_pipeline_run(session.store, run_id)
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
        piece = read_log(session.store, run_id, step.name, attempt=attempt, offset=offsets[place], limit=_PIECE)
        if not piece.text:
            return
        offsets[place] = piece.next_offset
        yield piece.text
