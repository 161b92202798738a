"""``fairlead verify``: prove that nothing was altered."""

import sys
from pathlib import Path

import click

from fairlead.cli.errors import print_error
from fairlead.cli.output import show_one, text_option
from fairlead.cli.session import Session, pass_session
from fairlead.governance import is_evidence, verify_evidence
from fairlead.kernel import FairleadError, Invalid
from fairlead.store import Verification, VerificationKind, export_log
from fairlead.store import verify as verify_ledger

_NOT_PROVABLE, _USAGE = 2, 3


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--key", "keys", multiple=True, metavar="KEY", help="A public key that you trust.")
@click.option(
    "--checkpoint", "notes", multiple=True, type=click.Path(path_type=Path), help="A checkpoint that you kept."
)
@click.option(
    "--export", type=click.Path(path_type=Path), help="Write the ledger to a file first, for others to verify."
)
@text_option
@pass_session
def verify(
    session: Session, file: Path | None, keys: tuple[str, ...], notes: tuple[Path, ...], export: Path | None, form: str
) -> int:
    """Verify this project's ledger, or FILE: an evidence pack or an exported ledger (which need no store).

    Ends with 0 for intact, 1 for tampered, 2 for not provable, 3 for a mistake in the command line.
    """
    try:
        checkpoints = [_read(note) for note in notes]
        _ = session.settings
    except FairleadError as error:
        print_error(error)
        return _USAGE
    try:
        if export is not None:
            header = export_log(session.store, export)
            click.echo(
                f"Wrote {header.size} events to {export}; verify them anywhere: fairlead verify {export}", err=True
            )
        if file is not None and is_evidence(file):
            found = verify_evidence(file, keys=keys, checkpoints=checkpoints, home=session.settings.home_path)
        else:
            found = verify_ledger(file or session.store, keys=keys, checkpoints=checkpoints, progress=_told)
    except FairleadError as error:
        # What cannot be opened is not proved to be tampered with.
        print_error(error)
        return _NOT_PROVABLE
    if found.kind is VerificationKind.USAGE:
        print_error(_mistake(found))
    elif form == "text":
        _say(found, file)
    else:
        show_one(_plain(found), form=form)
    return found.exit_code


def _say(found: Verification, file: Path | None) -> None:
    click.echo(f"{found.kind.value}: {found.what}")
    if found.origin:
        click.echo(f"  ledger    {found.origin}")
    if found.root:
        click.echo(f"  events    {found.events}")
        click.echo(f"  root      {found.root.hex()}")
    for line in found.proved:
        click.echo(f"  proved    {line}")
    for line in found.unproved:
        click.echo(f"  unproved  {line}")
    if found.kind is VerificationKind.TAMPERED and file is not None:
        click.echo("  next      do not rely on it; ask whoever sent it for another copy")
    elif found.kind is VerificationKind.TAMPERED:
        click.echo("  next      stop what writes to it, and restore the database from a backup; then verify again")


def _mistake(found: Verification) -> Invalid:
    return Invalid(
        found.what.rstrip("."),
        where="fairlead verify",
        why="A proof needs a ledger, and keys and checkpoints, that can be read.",
        next="fairlead verify, for this project's ledger; fairlead verify --export FILE makes one to send",
    )


def _plain(found: Verification) -> dict[str, object]:
    return {
        "kind": found.kind.value, "what": found.what, "origin": found.origin, "events": found.events,
        "root": found.root.hex(), "first_bad": found.first_bad, "proved": found.proved, "unproved": found.unproved,
    }  # fmt: skip


def _read(note: Path) -> str:
    try:
        return note.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"the checkpoint {note.name} cannot be read",
            where="option --checkpoint",
            why=f"{type(error).__name__}.",
            next="name a text file with the checkpoint that came with a receipt",
        ) from None


def _told(events: int) -> None:
    if sys.stderr.isatty() and events:
        click.echo(f"\r{events} events", nl=False, err=True)
