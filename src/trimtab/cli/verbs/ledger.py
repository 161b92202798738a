"""``trimtab ledger``: begin to trust the ledger anew, for a stated reason."""

import click

from trimtab.cli.session import Session, because_option, pass_session
from trimtab.store import accept_history, replace_key


@click.group()
def ledger() -> None:
    """Go on after a restored database, or with another key."""


@ledger.command()
@because_option
@pass_session
def accept(session: Session, because: str) -> None:
    """Go on with the history that the database holds, although this home or a client has seen a newer one.

    Until then nothing is written, and nothing that an approval, a token or a route says is acted on.
    """
    event = accept_history(session.store, actor=session.actor, because=because)
    click.echo(f"The ledger goes on after {event.found_size} events; it had been seen with {event.seen_size}.")


@ledger.command("new-key")
@click.option(
    "--in", "token", default="", metavar="pkcs11:...", help="PKCS#11 token, such as an HSM, that keeps the new key."
)
@because_option
@pass_session
def new_key(session: Session, token: str, because: str) -> None:
    """Sign and authenticate with a new key from here on; the old one signs that too, if this home has it.

    Stop the servers of other homes before, and copy the new file into their folder keys.
    """
    event = replace_key(session.store, actor=session.actor, because=because, token=token)
    click.echo(f"The ledger is signed by {event.new}.")
    if token and event.by_old is not None:
        click.echo(
            "The key of before still lies in the folder keys: put its file away, where only an auditor reads it."
        )
    if event.by_old is None:
        click.echo(f"The key of before ({event.old or 'none'}) is not here, so it has not signed that.")
