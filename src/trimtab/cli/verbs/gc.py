"""``trimtab gc``: remove what is older than it is kept."""

from collections.abc import Iterator

import click

from trimtab.cli.output import Column, output_option, show_list, show_one, text_of
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.server import collect_garbage, preview_gc
from trimtab.store import CLASSES, Collection, Found

_COLUMNS = [
    Column("CLASS", lambda f: f.name), Column("WHAT", lambda f: f.what), Column("KEPT", lambda f: f.age),
    Column("COUNT", lambda f: f.count, number=True), Column("BYTES", lambda f: f.size_bytes, number=True),
    Column("OLDEST", lambda f: f.oldest), Column("NEEDED", lambda f: f.needed, number=True),
    Column("HELD", lambda f: f.held, number=True),
]  # fmt: skip


@click.command()
@click.option(
    "--class", "classes", multiple=True, type=click.Choice(CLASSES), metavar="CLASS",
    help=f"Only {', '.join(CLASSES)}; repeat it for several.",
)  # fmt: skip
@because_option
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@output_option
@pass_session
def gc(session: Session, classes: tuple[str, ...], because: str, dry_run: bool, yes: bool, form: str) -> None:
    """Remove what is older than the settings keep_... say: rows with an event each, then the blobs that none names.

    What a registered version, something in use or a legal hold needs is never removed (NEEDED, HELD).
    """
    del yes
    if dry_run:
        found = session.ask(preview_gc, classes=classes)
    else:
        found = session.ask(collect_garbage, classes=classes, actor=session.actor, because=because)
    if form in ("json", "yaml"):
        show_one(found, form=form)
        return
    show_list(found.items, _COLUMNS, form=form)
    if form == "table":
        for line in _said(found):
            click.echo(line)


def _said(found: Collection) -> Iterator[str]:
    for hold in found.holds:
        yield f"On hold: {hold}"
    if not found.done:
        yield "Nothing has changed: without --dry-run, and with --because, these would be removed."
    elif not any(one.count for one in found.items):
        yield "There was nothing to remove."
    else:
        yield f"Removed: {', '.join(_counted(one) for one in found.items if one.count)}."


def _counted(one: Found) -> str:
    return f"{text_of(one.count)} {one.what}"
