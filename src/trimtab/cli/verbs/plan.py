"""``trimtab plan``: say what would change."""

import click

from trimtab.cli.output import show_one, text_option
from trimtab.cli.session import Session, pass_session
from trimtab.declare import load_project
from trimtab.loop import make_plan

CHANGES = 2


@click.command()
@click.argument("file", required=False)
@text_option
@pass_session
def plan(session: Session, file: str | None, form: str) -> int:
    """Say what applying FILE would change. Nothing happens yet.

    Ends with 0 when there is nothing to do, 2 when there are changes, 1 for an error.
    """
    with session.looking() as store:
        found = make_plan(store, load_project(session.project_file(file)))
    if form == "text":
        click.echo(str(found))
    else:
        show_one(found, form=form)
    return CHANGES if found.has_changes else 0
