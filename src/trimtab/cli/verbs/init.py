"""``trimtab init``: a project file to begin with."""

from importlib.resources import files
from pathlib import Path

import click

from trimtab.cli.session import Session, pass_session
from trimtab.kernel import Conflict, Invalid


@click.command()
@click.argument("file", required=False)
@click.option("--dry-run", is_flag=True, help="Only print what would be written.")
@click.option("--yes", is_flag=True, help="Overwrite a file that is there.")
@pass_session
def init(session: Session, file: str | None, dry_run: bool, yes: bool) -> None:
    """Write a small project that runs as it is and is yours to change.

    It declares parcels and whether they arrive late, from numbers that it invents.
    """
    text = files("trimtab.cli").joinpath("first_project.py.txt").read_text("utf-8")
    if dry_run:
        click.echo(text, nl=False)
        return
    session.check_beside_store()
    target: Path = session.project_file(file)
    if target.suffix != ".py":
        raise Invalid(
            f"{target.name} is not the name of a Python file",
            where="argument FILE",
            why="A project is one Python file.",
            next="trimtab init parcels.py",
        )
    if target.exists() and not yes:
        raise Conflict(
            f"{target} is there already",
            where=str(target),
            why="Overwriting it would lose what it declares.",
            next=f"trimtab plan {target}, or trimtab init another.py",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    name = "" if file is None else f" {target}"
    click.echo(f"Wrote {target}.")
    click.echo(f"Next: trimtab plan{name}")
