"""Look again and again: ``--watch`` of every listing, on a terminal as a page that is drawn anew, elsewhere as text."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime
from typing import Any

import click

from trimtab.cli.session import Session
from trimtab.kernel import Invalid, SystemClock, Unavailable, parse_time
from trimtab.server import time_of_project

CLEAR = "\x1b[H\x1b[2J"
"""Go to the upper left corner and erase what is there."""


def watch_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options ``--watch`` and ``--every``, which ``watch`` and ``every`` take to the verb."""
    every = click.option(
        "--every", type=click.FloatRange(0.1, 86_400), default=2.0, show_default=True, metavar="SECONDS",
        help="How often --watch looks.",
    )  # fmt: skip
    watch = click.option("-w", "--watch", is_flag=True, help="Look again and again, until Ctrl C.")
    return watch(every(function))


def at_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``--at``, for ``moment_of``."""
    return click.option("--at", default="", metavar="TIME", help="As it stood at this time: 2013-03-01T12:00.")(
        function
    )


def moment_of(session: Session, at: str) -> datetime | None:
    """Read ``--at``, None when it was not given. Raises ``Invalid`` for a moment that is still to come."""
    if not at:
        return None
    moment = parse_time(at, where="option --at")
    now = session.ask(time_of_project)
    if moment > now:
        raise Invalid(
            f"{at} is still to come",
            where="option --at",
            why=f"It is {now:%Y-%m-%d %H:%M:%S}, and nobody knows how things will stand.",
            next="leave --at out, or give an earlier time",
        )
    return moment


def look(show: Callable[[], None], *, watch: bool, every: float) -> None:
    """Show something once, or with ``watch`` every so many seconds until Ctrl C.

    On a terminal each look replaces the one before. Elsewhere only a look that differs from the one before is printed,
    so that what reads along hears of changes. A store that does not answer for a while is waited for.
    """
    if not watch:
        show()
        return
    clock, before, looked = SystemClock(), "", False
    try:
        while True:
            try:
                if sys.stdout.isatty():
                    click.echo(CLEAR, nl=False)
                    show()
                    click.echo(f"\n{clock.now():%H:%M:%S} UTC, every {every:g} s; Ctrl C ends")
                elif (said := _printed(show)) != before:
                    click.echo(said, nl=False)
                    sys.stdout.flush()
                    before = said
                looked = True
            except Unavailable as error:
                if not looked:
                    raise
                click.echo(f"{error.what}; looking again", err=True)
            clock.sleep(every)
    except KeyboardInterrupt:
        return


def _printed(show: Callable[[], None]) -> str:
    text = io.StringIO()
    with redirect_stdout(text):
        show()
    return text.getvalue()
