"""``trimtab hold``: keep what a case needs from being removed."""

import click

from trimtab.cli.session import Session, because_option, pass_session
from trimtab.server import MakeHold, create_hold
from trimtab.store import end_hold, list_holds, the_hold


@click.group()
def hold() -> None:
    """Make and end legal holds."""


@hold.command()
@click.argument("subject")
@because_option
@click.option("--dry-run", is_flag=True, help="Only say what would be held.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@pass_session
def create(session: Session, subject: str, because: str, dry_run: bool, yes: bool) -> None:
    """Hold SUBJECT: model:NAME, endpoint:NAME, run:ID or all. Nothing of it is removed until the hold is ended."""
    del yes
    if dry_run:
        click.echo(f"Nothing has changed: this would hold {subject}.")
        return
    made = session.ask(create_hold, MakeHold(subject=subject), actor=session.actor, because=because)
    click.echo(f"{made.subject} is held ({made.id}): {made.because}")


@hold.command()
@click.argument("hold_", metavar="HOLD")
@because_option
@click.option("--dry-run", is_flag=True, help="Only say which hold it is.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@pass_session
def end(session: Session, hold_: str, because: str, dry_run: bool, yes: bool) -> None:
    """End HOLD, by its id or by what it is on. The next gc may remove what it kept."""
    del yes
    found = the_hold(session.ask(list_holds), hold_)
    if dry_run:
        click.echo(f"Nothing has changed: this would end the hold on {found.subject} ({found.id}).")
        return
    ended = session.ask(end_hold, found.id, actor=session.actor, because=because)
    click.echo(f"The hold on {ended.subject} ({ended.id}) is over: {ended.ended_because}")
