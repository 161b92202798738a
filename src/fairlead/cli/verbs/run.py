"""``fairlead run``: one step now."""

import click

from fairlead.cli.session import Session, because_option, pass_session
from fairlead.cli.watch import outcome_lines, watched
from fairlead.declare import load_project
from fairlead.loop import run_one


@click.command()
@click.argument("name")
@click.argument("file", required=False)
@because_option
@pass_session
def run(session: Session, name: str, file: str | None, because: str) -> None:
    """Do one thing now: take the snapshot of a source, bring a view online, or train a model again.

    NAME is what FILE declares it as.
    """
    project = load_project(session.project_file(file))
    with watched(session) as watch:
        done, outcomes = run_one(session.store, project, name, actor=session.actor, because=because, watch=watch)
    for line in outcome_lines(outcomes):
        click.echo(line)
    if done is not None:
        click.echo(f"Done in run {done.id}.")
