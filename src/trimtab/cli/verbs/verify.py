"""``trimtab verify``: prove that nothing was altered."""

import sys
from pathlib import Path

import click

from trimtab.cli.errors import print_error
from trimtab.cli.output import show_one, text_option
from trimtab.cli.session import Session, pass_session
from trimtab.governance import verify_evidence
from trimtab.kernel import Invalid, TrimtabError
from trimtab.store import Verification, VerificationKind, export_log
from trimtab.store import verify as verify_ledger

_NOT_PROVABLE, _USAGE = 2, 3
_TEXTS = {
    "checkpoint": "name a text file with the checkpoint that came with a receipt",
    "key": "name the text file with the public key, keys/ledger-....pub in the home of the ledger",
}


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--key", "keys", multiple=True, metavar="KEY", help="A public key that you trust, or a file with it.")
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
    session.code_of_fault = _NOT_PROVABLE  # a fault of the program is no proof that something was tampered with
    try:
        checkpoints = [_read(note, "checkpoint") for note in notes]
        trusted = [key for text in keys for key in _keys_of(text)]
        _ = session.settings
    except TrimtabError as error:
        print_error(error)
        return _USAGE
    try:
        if export is not None and not _exported(session, export):
            return _USAGE
        if file is not None:
            found = verify_evidence(file, keys=trusted, checkpoints=checkpoints, home=session.settings.home_path)
        else:
            found = session.ask(verify_ledger, keys=trusted, checkpoints=checkpoints, progress=_told)
    except TrimtabError as error:
        # What cannot be opened is not proved to be tampered with.
        print_error(error)
        return _NOT_PROVABLE
    nothing = found.kind is VerificationKind.NOT_PROVABLE and not found.origin and form == "text"
    if found.kind is VerificationKind.USAGE or nothing:
        print_error(_mistake(found))
    elif form == "text":
        say_verdict(found)
        if found.kind is VerificationKind.TAMPERED and file is not None:
            click.echo("  next      do not rely on it; ask whoever sent it for another copy")
        elif found.kind is VerificationKind.TAMPERED:
            click.echo("  next      stop what writes to it, and restore the database from a backup; then verify again")
    else:
        show_one(_plain(found), form=form)
    return found.exit_code


def say_verdict(found: Verification) -> None:
    """Print what a verification found, and what it proves and what not."""
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


def _mistake(found: Verification) -> Invalid:
    return Invalid(
        found.what.rstrip("."),
        where="trimtab verify",
        why="A proof needs a ledger, and keys and checkpoints, that can be read.",
        next="trimtab verify, for this project's ledger; trimtab verify --export FILE makes one to send",
    )


def _plain(found: Verification) -> dict[str, object]:
    return {
        "kind": found.kind.value, "what": found.what, "origin": found.origin, "events": found.events,
        "root": found.root.hex(), "first_bad": found.first_bad, "proved": found.proved, "unproved": found.unproved,
    }  # fmt: skip


def _exported(session: Session, path: Path) -> bool:
    """Write the ledger to a file; say so, or why that cannot be done."""
    try:
        header = session.ask(export_log, path)
    except OSError as error:
        print_error(
            Invalid(
                f"{path} cannot be written",
                where="option --export",
                why=f"The system says: {error.strerror}.",
                next="name a file in a folder that you may write to",
            )
        )
        return False
    click.echo(f"Wrote {header.size} events to {path}; verify them anywhere: trimtab verify {path}", err=True)
    return True


def _keys_of(text: str) -> list[str]:
    """Return the key that was typed, or those in the file that was named."""
    try:
        is_file = Path(text).is_file()
    except OSError:  # no file has so long a name
        is_file = False
    return _read(Path(text), "key").split() if is_file else [text]


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"the {option} {path.name} cannot be read",
            where=f"option --{option}",
            why=f"{type(error).__name__}.",
            next=_TEXTS[option],
        ) from None


def _told(events: int) -> None:
    if sys.stderr.isatty() and events:
        click.echo(f"\r{events} events", nl=False, err=True)
