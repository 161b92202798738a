"""Progress: bars with counts and times on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType
from typing import Self

import click

from trimtab.cli.errors import coloured
from trimtab.kernel import Clock


class Progress:
    """Shows steps as they go on. ``update`` may be called as often as one likes.

        with Progress(clock) as progress:
            progress.update("train", 120, 500, "trees")
            progress.finish("train", "0.74 auc")

    On a terminal each step is a bar; elsewhere a line is printed when a step starts and when it ends.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started: dict[str, float] = {}
        self._bars: dict[str, object] = {}
        self._rich: object | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            self._rich = Bars(
                TextColumn("{task.description:<24}"), BarColumn(bar_width=28), TextColumn("{task.fields[count]:<18}"),
                TimeElapsedColumn(), TextColumn("{task.fields[said]}"),
                console=Console(stderr=True, no_color=not coloured(sys.stderr)),
            )  # fmt: skip
            self._rich.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()  # type: ignore[attr-defined]

    def update(self, step: str, done: float | None = None, total: float | None = None, unit: str = "") -> None:
        """Say how far a step is; the first call starts it."""
        count = f"{done:,.0f} of {total:,.0f} {unit}" if done is not None and total else ""
        if step not in self._started:
            self._started[step] = self._clock.monotonic()
            if self._rich is None:
                click.echo(f"{step} ...", err=True)
            else:
                self._bars[step] = self._rich.add_task(step, total=None, count="", said="")  # type: ignore[attr-defined]
        if self._rich is not None:
            self._rich.update(  # type: ignore[attr-defined]
                self._bars[step], completed=done or 0, total=total, count=count.replace(",", " ")
            )

    def say(self, step: str, text: str) -> None:
        """Show a line that a step says."""
        if self._rich is not None:
            self._rich.console.print(f"  {step}: {text}", markup=False, highlight=False)  # type: ignore[attr-defined]
        else:
            click.echo(f"{step}: {text}", err=True)

    def finish(self, step: str, said: str = "") -> None:
        """Say that a step is done, and what came of it."""
        self.update(step)
        if self._rich is not None:
            self._rich.update(self._bars[step], completed=1, total=1, said=said)  # type: ignore[attr-defined]
            self._rich.stop_task(self._bars[step])  # type: ignore[attr-defined]
        else:
            seconds = self._clock.monotonic() - self._started[step]
            click.echo(f"{step} done in {seconds:.1f} s{': ' + said if said else ''}", err=True)
