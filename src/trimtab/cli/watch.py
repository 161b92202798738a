"""Watch a pipeline run from the command line, and tell what came of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from trimtab.cli.progress import Progress as Bars
from trimtab.cli.session import Session
from trimtab.kernel import SystemClock
from trimtab.loop import Outcome
from trimtab.pipelines import Progress

Watch = Callable[[Progress], None]


@contextmanager
def watched(_session: Session) -> Iterator[Watch]:
    """Yield what a runner tells its progress to: bars on a terminal, plain lines elsewhere."""
    # Bars show how long a person waits, so they go by the machine's clock, whatever time the project lives in.
    with Bars(SystemClock()) as bars:
        yield lambda progress: _show(bars, progress)


def _show(bars: Bars, progress: Progress) -> None:
    step = progress.step
    match progress.kind:
        case "started":
            bars.update(step)
        case "progress":
            bars.update(step, progress.done, progress.total, progress.unit)
        case "said":
            bars.say(step, progress.text)
        case "finished":
            bars.finish(step, progress.text)
        case "cached":
            bars.finish(step, "unchanged, taken over")
        case "retrying":
            bars.say(step, f"tries again: {progress.text}")
        case "failed" | "skipped" | "cancelled":
            bars.finish(step, f"{progress.kind} {progress.text}".strip())


def outcome_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Say what became of each trained model, and what to type next."""
    for outcome in outcomes:
        word = "passed its gate" if outcome.passed else "did not pass its gate"
        again = ", as before" if outcome.already_registered else ""
        yield f"{outcome.ref} {word}{again}"
        for line in outcome.verdict:
            yield f"  {line}"
        if outcome.passed:
            yield f'Next: trimtab approve {outcome.ref} --because "..."'
