"""``trimtab level``: how mature the operation of a model is, by facts alone."""

from collections.abc import Iterator

import click

from trimtab.cli.output import show_one, text_option
from trimtab.cli.session import Session, pass_session
from trimtab.governance import Maturity, levels
from trimtab.governance import level as level_of

_WORDS = ("manual process", "continuous training", "continuous delivery of the pipeline")


@click.command()
@click.argument("model", required=False)
@click.option("--at-position", type=click.IntRange(min=0), help="As of this position of the ledger (the newest).")
@text_option
@pass_session
def level(session: Session, model: str | None, at_position: int | None, form: str) -> None:
    """Say which MLOps level (0, 1, 2) the operation of MODEL, or of each, has reached, and the cheapest next step.

    Each check names the events that prove it; what no fact shows does not count.
    """
    if model:
        found = [session.ask(level_of, model, position=at_position)]
    else:
        found = list(session.ask(levels, position=at_position))
    if form != "text":
        show_one(found, form=form)
        return
    if not found:
        click.echo("No model yet, so there is nothing to judge:\n  trimtab apply")
    for one in found:
        for line in lines_of(one):
            click.echo(line)


def lines_of(found: Maturity) -> Iterator[str]:
    """Return the checks as a person reads them, level by level."""
    reached = "below level 0" if found.level is None else f"level {found.level}, {_WORDS[found.level]}"
    yield f"{found.model}: {reached} (looked at {found.version or 'no version'}, position {found.position})"
    for number, words in enumerate(_WORDS):
        checks = [check for check in found.checks if check.level == number]
        yield f"Level {number}, {words}: {sum(check.met for check in checks)} of {len(checks)}"
        for check in checks:
            yield f"  {'yes' if check.met else 'no ':<3}  {check.name}"
            if check.met:
                yield f"       {', '.join(f'event {one.position} {one.type}' for one in check.proof)}"
            else:
                yield f"       {check.why}"
    step = found.next
    if step is not None:
        yield f"Next, towards level {step.level}: {step.next}"
    for line in found.unjudged:
        yield f"Not judged: {line}"
