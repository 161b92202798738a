"""``trimtab restore``: bring a backup back into an empty home, or rehearse that."""

from pathlib import Path

import click

from trimtab.cli.progress import Progress
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.cli.verbs.verify import say_verdict
from trimtab.kernel import SystemClock
from trimtab.store import backup_named, rehearse
from trimtab.store import restore as restore_store


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--taken", default="", metavar="NAME", help="Which backup of the folder; by default the newest.")
@click.option("--check", is_flag=True, help="Rehearse: restore into a temporary place, verify everything, remove it.")
@because_option
@pass_session
def restore(session: Session, folder: Path, taken: str, check: bool, because: str) -> int:
    """Restore the newest backup in FOLDER to where the settings point: a home and a database that hold nothing.

    What is in them is never overwritten. Ends as trimtab verify does: 0 for intact.
    """
    if not check:  # a rehearsal is of a folder, and has nothing to do with any project
        session.check_beside_store()
    found = backup_named(folder, taken)
    with Progress(SystemClock()) as progress:
        if check:
            verdict = rehearse(folder, name=found.name, told=progress.update, by=session.settings)
        else:
            verdict = restore_store(
                folder, session.settings, name=found.name, actor=session.actor, because=because, told=progress.update
            )
    click.echo(f"{'Rehearsed' if check else 'Restored'} the backup {found.name}, taken at {found.taken_at}.")
    say_verdict(verdict)
    if not check:
        keys = "" if found.has_keys else "lay the private keys into the home's folder keys, then "
        click.echo(f"Next: {keys}trimtab run VIEW for each view that is served by key, then trimtab up")
    return verdict.exit_code
