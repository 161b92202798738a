"""``trimtab token``: who may call the server from elsewhere."""

import re
from datetime import datetime
from typing import Any

import click

from trimtab.cli.ask import confirmed
from trimtab.cli.looking import at_option, look, moment_of, watch_option
from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked
from trimtab.cli.output import Column, output_option, show_list, show_one
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.kernel import GRANTED, Grants, Invalid
from trimtab.server import IssueToken, create_token, end_token, list_tokens, the_active, time_of_project

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
def token() -> None:
    """Issue, list and revoke API tokens."""


@token.command()
@click.argument("name")
@click.option(
    "--may",
    multiple=True,
    default=("read",),
    show_default=True,
    metavar="PERMISSION",
    help=f"{', '.join(GRANTED)}; for some names only: predict:late,churn. Repeat it for several.",
)
@click.option("--as", "actor", default="", metavar="PERSON", help="Act in this person's name instead of its own.")
@click.option("--expires", default="90d", show_default=True, metavar="TIME", help="90d, 12h, or never.")
@because_option
@click.option("--dry-run", is_flag=True, help="Only say what would be issued.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@output_option
@pass_session
def create(session: Session, /, name: str, may: tuple[str, ...], form: str, dry_run: bool, **told: Any) -> None:
    """Issue a token; its secret is shown this once."""
    actor, expires, because = told["actor"], told["expires"], told["because"]
    life = None if expires == "never" else _seconds(expires)
    if dry_run:
        wanted = ", ".join(Grants.of(may, where="option --may").texts)
        click.echo(f"Nothing has changed: this would issue the token {name}, which may {wanted}, expiring: {expires}.")
        return
    asked = IssueToken(name=name, may=tuple(may), actor=actor, expires_in_s=life)
    if not session.settings.server:
        session.begin()  # whoever serves to others needs a token first
    issued = session.ask(create_token, asked, actor=session.actor, because=because)
    if form == "table":
        click.echo(issued.secret)
        until = issued.token.expires_at
        end = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "without an end"
        click.echo(f"{issued.token.actor}: may {', '.join(issued.token.may)}, {end}.", err=True)
        click.echo("The secret above is not kept and not shown again.", err=True)
    else:
        show_one(issued, form=form)


@token.command("list")
@at_option
@watch_option
@output_option
@pass_session
def list_(session: Session, at: str, watch: bool, every: float, form: str) -> None:
    """List every token that was ever issued, without the secrets."""
    moment = moment_of(session, at)

    def show() -> None:
        found = session.ask(list_tokens) if moment is None else past.tokens(session, Asked(at=moment))
        columns = _columns(moment or session.ask(time_of_project))
        show_list(found, columns, form=form, empty="No token yet: trimtab token create NAME")

    look(show, watch=watch, every=every)


def _columns(now: datetime) -> list[Column]:
    return [
        Column("ID", lambda t: t.id), Column("NAME", lambda t: t.name), Column("ACTS AS", lambda t: t.actor.id),
        Column("ISSUED BY", lambda t: ", by ".join(t.actor.issuers) or None),
        Column("MAY", lambda t: " ".join(t.may)), Column("STATE", lambda t: t.state(now)),
        Column("CREATED", lambda t: t.created_at), Column("EXPIRES", lambda t: t.expires_at),
    ]  # fmt: skip


@token.command()
@click.argument("token_")
@because_option
@click.option("--dry-run", is_flag=True, help="Only say which token it is.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def revoke(session: Session, token_: str, because: str, dry_run: bool, yes: bool) -> int:
    """End a token, by its id or its name. Servers stop taking it within seconds."""
    found = the_active(session.ask(list_tokens), token_)
    if dry_run:
        click.echo(f"Nothing has changed: this would revoke token {found.name} ({found.id}).")
        return 0
    if not confirmed(f"Revoke token {found.name}?", yes=yes):
        return 1
    revoked = session.ask(end_token, found.id, actor=session.actor, because=because)
    click.echo(f"Token {revoked.name} ({revoked.id}) is revoked.")
    return 0


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise Invalid(
            f"{text!r} is not a span of time",
            where="option --expires",
            why="A span is a whole number and a unit.",
            next="write for example 90d, 12h or never",
        )
    return float(int(match[1]) * _UNITS[match[2]])
