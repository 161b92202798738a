"""Ask before something changes."""

import sys

import click

from trimtab.kernel import Refused


def confirmed(question: str, *, yes: bool) -> bool:
    """Return whether to go on, as a person answers on a terminal; ``yes`` answers before.

    Raises ``Refused`` when there is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise Refused(
            "nothing was done: there is nobody to ask",
            where=click.get_current_context().command_path,
            why=f"What comes in is no terminal, so nobody can answer: {question}",
            next="add --yes to go on",
        )
    return click.confirm(question)
