"""``trimtab diff``: how two versions differ."""

from collections.abc import Iterator

import click

from trimtab.cli.output import show_one, text_of, text_option
from trimtab.cli.session import Session, pass_session
from trimtab.governance import Diff, Difference
from trimtab.governance import diff as compare

MOST = 12
"""Differences of one section that the text shows; the JSON has all of them."""


@click.command()
@click.argument("was")
@click.argument("now")
@click.option("--at-position", type=click.IntRange(min=0), help="As of this position of the ledger (the newest).")
@text_option
@pass_session
def diff(session: Session, was: str, now: str, at_position: int | None, form: str) -> None:
    """Compare two versions: data, features, code, params, metrics by slice, environment, policy, approvals.

    WAS and NOW are versions such as late@1, late@champion.
    """
    found = session.ask(compare, was, now, position=at_position)
    if form != "text":
        show_one(found, form=form)
        return
    for line in lines_of(found):
        click.echo(line)


def lines_of(found: Diff) -> Iterator[str]:
    """Return the differences as a person reads them; what is the same is counted."""
    yield f"{found.was} > {found.now}, as of position {found.position}"
    for section in found.sections:
        differ = sorted(section.differences, key=_by_size)
        said = f"{len(differ)} of {section.compared} differ" if differ else f"the same ({section.compared} compared)"
        yield f"{section.title}: {said if section.compared else 'nothing is known of it'}"
        if differ and section.note:
            yield f"    {section.note}"
        width = max((len(one.name) for one in differ[:MOST]), default=0)
        yield from (f"  {_sign(one)} {one.name:<{width}}  {_values(one)}" for one in differ[:MOST])
        if len(differ) > MOST:
            yield f"    and {len(differ) - MOST} more: trimtab diff {found.was} {found.now} -o json"
    for line in found.missing:
        yield f"Missing: {line}"


def _by_size(one: Difference) -> float:
    """Put the largest relative changes of numbers first; everything else keeps its order before them."""
    if one.delta is None or isinstance(one.was, str | bool | None):
        return -1e300
    return -abs(one.delta) / max(abs(float(one.was)), 1e-12)


def _sign(one: Difference) -> str:
    return "+" if one.was is None else "-" if one.now is None else "~"


def _values(one: Difference) -> str:
    if one.was is None or one.now is None:
        return text_of(one.now if one.was is None else one.was)
    delta = f"  ({one.delta:+.4g})" if one.delta is not None else ""
    return f"{text_of(one.was)} > {text_of(one.now)}{delta}"
