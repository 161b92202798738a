"""``trimtab run``: one step now."""

import click

from trimtab.cli.session import Session, because_option, pass_session
from trimtab.cli.watch import outcome_lines, watched
from trimtab.declare import load_project
from trimtab.kernel import NotFound
from trimtab.loop import cancel_turn, open_turn_of, pipeline_of, run_one


@click.command()
@click.argument("name")
@click.argument("file", required=False)
@because_option
@click.option("--cancel", is_flag=True, help="Stop the open turn of the loop of model NAME instead.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@pass_session
def run(
    session: Session, name: str, file: str | None, because: str, cancel: bool, dry_run: bool, yes: bool
) -> None:  # fmt: skip
    """Do one thing now: take the snapshot of a source, bring a view online, or train a model again.

    NAME is what FILE declares it as. Training a model by hand is a turn of its loop.
    """
    del yes  # one thing was asked for by its name
    if cancel:
        _cancel(session, name, because, dry_run=dry_run)
        return
    session.check_beside_store()
    project = load_project(session.project_file(file))
    if dry_run:
        with session.looking() as store:
            steps = pipeline_of(store, project, name).steps
        click.echo(f"Nothing has changed: this would do {', '.join(step.name for step in steps)}.")
        return
    with watched(session) as watch:
        done, outcomes = run_one(session.begin(), project, name, actor=session.actor, because=because, watch=watch)
    for line in outcome_lines(outcomes):
        click.echo(line)
    if done is not None:
        click.echo(f"Done in run {done.id}.")


def _cancel(session: Session, model: str, because: str, *, dry_run: bool) -> None:
    turn = session.ask(open_turn_of, model)
    if turn is None:
        raise NotFound(
            f"the loop of {model} is not turning",
            where="option --cancel",
            why="Every turn of it has ended.",
            next="trimtab get turns",
        )
    if dry_run:
        click.echo(f"Nothing has changed: this would cancel turn {turn.id}, which is {turn.state.value}.")
        return
    ended = session.ask(cancel_turn, turn.id, actor=session.actor, because=because)
    click.echo(f"Turn {ended.id} of {model} is cancelled: {ended.moves[-1].text}")
