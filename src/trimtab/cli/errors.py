"""Errors on a terminal: what happened, where, why, and what to type next."""

import os
import re
import sys
import traceback
from typing import TYPE_CHECKING

import click

from trimtab.kernel import Invalid, TrimtabError

if TYPE_CHECKING:
    from trimtab.cli.session import Session

USAGE = {"plan": 1, "verify": 3}
"""Exit codes for a mistake in the command line, where 2 already has a meaning."""


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters, but for the tab and the end of a line."""


def plain(text: str) -> str:
    """Return a text in which nothing can steer a terminal: names and reasons come from others, too."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def exit_code_of_usage(error: click.UsageError) -> int:
    context = error.ctx
    while context is not None:
        if context.info_name in USAGE:
            return USAGE[context.info_name]
        context = context.parent
    return 2


def told(error: click.UsageError) -> TrimtabError:
    """Return a mistake in the command line in four parts, as every other mistake is told."""
    path = error.ctx.command_path if error.ctx else "trimtab"
    usage = " ".join(error.ctx.get_usage().split()).removeprefix("Usage: ") if error.ctx else "trimtab VERB"
    return Invalid(
        error.format_message().rstrip("."),
        where=path,
        why=f"It is typed as: {usage}.",
        next=f"{path} --help",
    )


def print_error(error: TrimtabError) -> None:
    """Print the four parts on stderr, each on its own line."""
    colour = coloured(sys.stderr)
    mark = click.style("error", fg="red", bold=True) if colour else "error"
    click.echo(f"{mark}: {plain(error.where)}: {plain(error.what)}", err=True, color=colour)
    click.echo(f"  why   {plain(error.why)}", err=True)
    click.echo(f"  next  {plain(error.next)}", err=True)


def print_fault(fault: Exception, session: "Session") -> None:
    """Tell a mistake of ours without a stack trace, and keep that in a file."""
    if os.environ.get("TRIMTAB_DEBUG"):
        traceback.print_exception(fault)
        return
    text = "".join(traceback.format_exception(fault))
    kept = "set TRIMTAB_DEBUG=1 and run it again to see the stack trace"
    try:
        home = session.settings.home_path
        if home.is_dir():
            folder = home / "logs"
            folder.mkdir(exist_ok=True)
            file = folder / "fault.txt"
            file.write_text(text, "utf-8")
            kept = f"report it with the file {file}"
    except (OSError, TrimtabError):
        pass  # the home cannot be written; the hint above still helps
    click.echo(f"error: Trimtab made a mistake: {type(fault).__name__}", err=True)
    click.echo("  why   This is a fault of the program, not of what was typed.", err=True)
    click.echo(f"  next  {kept}", err=True)


def coloured(stream: object) -> bool:
    """Say whether a stream should get colour: a terminal, and nobody asked for none (https://no-color.org)."""
    isatty = getattr(stream, "isatty", None)
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and bool(isatty and isatty())
