"""``trimtab move``: bring this project to another database and another place for its blobs."""

import click
import msgspec

from trimtab.cli.ask import confirmed
from trimtab.cli.progress import Progress
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.cli.verbs.verify import say_verdict
from trimtab.kernel import Conflict, Invalid, Settings
from trimtab.server import running_server
from trimtab.store import move as move_store
from trimtab.store import name_of, reopen_here

HOME = "home"


@click.command()
@click.option("--to", metavar="URL", help="The new database: postgresql://..., or home for SQLite in the home.")
@click.option("--blobs", metavar="URL", help="The new place of the blobs: s3://..., or home (by default, as it is).")
@click.option("--reopen", is_flag=True, help="Let this database take changes again after it was moved away.")
@because_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def move(session: Session, to: str | None, blobs: str | None, reopen: bool, because: str, yes: bool) -> int:
    """Move everything that was recorded to another database and other blobs; this one is closed then.

    Stop the servers first. A move that was interrupted goes on when the command is repeated.
    """
    _refuse_running(session)
    if reopen:
        return _reopened(session, because)
    target = _target(session, to, blobs)
    if not confirmed(f"Move {name_of(session.settings)} to {name_of(target)}?", yes=yes):
        return 1
    with Progress(session.store.clock) as progress:
        verdict = move_store(session.store, target, actor=session.actor, because=because, told=progress.update)
    click.echo(f"Moved to {name_of(target)}.")
    say_verdict(verdict)
    click.echo("Next: set this, in trimtab.toml or in the environment, wherever the project is used:")
    click.echo(f'  database = "{name_of(msgspec.structs.replace(target, blobs="")) if target.database else ""}"')
    click.echo(f'  blobs = "{target.blobs}"')
    return verdict.exit_code


def _reopened(session: Session, because: str) -> int:
    if not because:
        raise Invalid(
            "a database is reopened without a reason",
            where="trimtab move --reopen",
            why="From then on two of them may go on under one name, and the ledger keeps who wanted that and why.",
            next="trimtab move --reopen --because 'the other one is lost'",
        )
    other = reopen_here(session.store, actor=session.actor, because=because)
    click.echo(f"It takes changes again. What was recorded at {other} since is not here.")
    return 0


def _target(session: Session, to: str | None, blobs: str | None) -> Settings:
    if to is None:
        raise Invalid(
            "no place is named",
            where="option --to",
            why="A move brings the database to another place, and the blobs too where --blobs says so.",
            next="trimtab move --to postgresql://user@host/name --blobs s3://bucket/prefix, or trimtab move --to home",
        )
    place = {"database": "" if to == HOME else to}
    if blobs is not None:
        place["blobs"] = "" if blobs == HOME else blobs
    return msgspec.structs.replace(session.settings, **place)


def _refuse_running(session: Session) -> None:
    running = running_server(session.settings)
    if running is not None:
        raise Conflict(
            "a server of this home is running",
            where=running.url,
            why="It would go on with the database that it has open, and be refused whatever it wants to write.",
            next=f"stop it, and repeat this: kill {running.pid}",
        )
