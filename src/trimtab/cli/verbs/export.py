"""``trimtab export``: write the evidence of a version, or its model card, to a file for others."""

import secrets
from pathlib import Path

import click

from trimtab.cli.session import Session, pass_session
from trimtab.governance import as_html, as_json, as_markdown, evidence_pack, model_card
from trimtab.kernel import Invalid
from trimtab.registry import VersionRef

_CARDS = {".html": as_html, ".md": as_markdown, ".json": as_json}


@click.command()
@click.argument("version")
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(path_type=Path),
    help="The file to write: late.zip, card.html, .md, .json.",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(["evidence", "card"]),
    default="evidence",
    show_default=True,
    help="What to write.",
)
@click.option("--at-position", type=click.IntRange(min=0), help="As of this position of the ledger (the newest).")
@pass_session
def export(session: Session, version: str, file: Path | None, form: str, at_position: int | None) -> None:
    """Write the evidence of VERSION (late@2) to one file that verifies offline, or its model card.

    The same position of the ledger gives the same bytes.
    """
    ref = VersionRef.parse(version)
    if form == "card":
        file = file or Path(f"{ref.model}-card.html")
        if file.suffix not in _CARDS:
            raise Invalid(
                f"{file.name} names no form of a card",
                where="option --output",
                why=f"A card is written as {', '.join(_CARDS)}.",
                next="trimtab export late@2 --as card -o card.html",
            )
        card = session.ask(model_card, ref, position=at_position)
        _write(file, _CARDS[file.suffix](card).encode())
        click.echo(f"Wrote the card of {card.ref} as of position {card.position} to {file}.")
        return
    found = session.ask(evidence_pack, ref, position=at_position)
    file = file or Path(f"{found.ref.replace('@', '-')}.zip")
    _write(file, found.data)
    click.echo(
        f"Wrote the evidence of {found.ref} as of position {found.position} to {file}: {len(found.members)} files.\n"
        f"Verify it anywhere: trimtab verify {file} --key {found.key}"
    )
    for line in found.missing:
        click.echo(f"Missing: {line}")


def _write(file: Path, data: bytes) -> None:
    """Write a file that appears when it is complete. Raises ``Invalid`` when it cannot be written."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(data)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Invalid(
            f"{file} cannot be written",
            where="option --output",
            why=f"The system says: {error.strerror}.",
            next="name a file in a folder that you may write to",
        ) from None
