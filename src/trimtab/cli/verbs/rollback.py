"""``trimtab rollback``: bring the version before back, at once."""

import click

from trimtab.cli.nouns.serving import traffic
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.loop import roll_back
from trimtab.serving import get_endpoint


@click.command()
@click.argument("model")
@because_option
@click.option("--dry-run", is_flag=True, help="Only say who answers now.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@pass_session
def rollback(session: Session, model: str, because: str, dry_run: bool, yes: bool) -> None:
    """Let the version before the present one answer at MODEL again: model, features and thresholds in one move.

    During a rollout that is the champion; the rollout ends. A running server takes it up within a second.
    """
    del yes
    before = session.ask(get_endpoint, model)
    if dry_run:
        click.echo(f"{model}: {traffic(before.routing)}")
        click.echo("Nothing has changed: this would record loop.rolled-back and serving.routing-changed.")
        return
    after = session.ask(roll_back, model, actor=session.actor, because=because)
    click.echo(f"{model}: {traffic(after.routing)}")
    click.echo(f"Before: {traffic(before.routing)}")
