"""``trimtab backup``: copy everything that this project has recorded into a folder."""

from pathlib import Path

import click

from trimtab.cli.output import text_of
from trimtab.cli.progress import Progress
from trimtab.cli.session import Session, pass_session
from trimtab.store import back_up


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--keys", is_flag=True, help="With the private keys: who has the backup can then sign in your name.")
@pass_session
def backup(session: Session, folder: Path, keys: bool) -> int:
    """Take a backup into FOLDER, beside those that are there; only blobs that are new are copied.

    Servers may run meanwhile. Ends with 1 when a blob was damaged; the rest is backed up then.
    """
    with Progress(session.store.clock) as progress:
        taken = back_up(session.store, folder, with_keys=keys, told=progress.update)
    click.echo(f"Took the backup {taken.name} of {taken.taken_of}.")
    click.echo(f"  {text_of(taken.events)} events, {text_of(taken.blobs)} blobs, root {taken.root}")
    if not keys:
        click.echo("  without private keys; keep those of the home's folder keys elsewhere, or take --keys")
    click.echo(f"Rehearse it: trimtab restore {folder} --check")
    for digest in taken.damaged:
        click.echo(f"Damaged, and not in it: blob {digest}", err=True)
    return 1 if taken.damaged else 0
