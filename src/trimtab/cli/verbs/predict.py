"""``trimtab predict``: ask an endpoint for a decision."""

import asyncio
from contextlib import closing
from typing import Any

import click
import msgspec

from trimtab.cli.output import show_one, text_of, text_option
from trimtab.cli.session import Session, pass_session
from trimtab.client import Predicted, infer
from trimtab.kernel import Invalid, Remote
from trimtab.registry import sample_rows
from trimtab.server import Rooms, running_server
from trimtab.serving import Ask, get_endpoint
from trimtab.store import server_at


@click.command()
@click.argument("endpoint")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--example", is_flag=True, help="Ask with the first row of the sample that is stored with the model.")
@text_option
@pass_session
def predict(session: Session, endpoint: str, values: tuple[str, ...], example: bool, form: str) -> None:
    """Ask ENDPOINT about one row: the key of a known one, the fields of a request, or every feature.

    \b
    trimtab predict late flight_id=2013-03-01T13:00:00ZUA303JFK
    trimtab predict late --example

    A running server answers; without one, this command loads the model and answers itself.
    """
    if bool(values) == example:
        raise Invalid(
            "it is not clear which row is meant",
            where="trimtab predict",
            why="A row is given by its values, or taken from the stored sample; not both, not neither.",
            next=f"trimtab predict {endpoint} --example",
        )
    row = _example(session, endpoint) if example else dict(_value(text) for text in values)
    server = _server(session)
    if server is None:
        found = asyncio.run(_ask_here(session, endpoint, row))
    else:
        with closing(server):
            found = infer(server, endpoint, row)
    if form != "text":
        show_one(found, form=form)
        return
    for name, value in found.outputs.items():
        click.echo(f"{name}  {text_of(value)}")
    click.echo(f"decision {found.decision} by {found.answered_by}")
    click.echo(f"Next: trimtab why {found.decision}")


def _server(session: Session) -> Remote | None:
    """Return the server that answers: the one that the settings name, or the one that serves this home."""
    settings = session.settings
    url = settings.server or (running.url if (running := running_server(settings)) else "")
    return server_at(url, token=settings.token) if url else None


def _value(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise Invalid(
            f"{text[:80]!r} gives no value",
            where="trimtab predict",
            why="Each value has a name, then =, then the value.",
            next="write for example distance=733 origin=JFK",
        )
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def _example(session: Session, endpoint: str) -> dict[str, Any]:
    """Return the first row of the sample that the champion was registered with."""
    routing = session.ask(get_endpoint, endpoint).routing
    return session.ask(sample_rows, f"{routing.model}@{routing.champion}")[0]


async def _ask_here(session: Session, endpoint: str, row: dict[str, Any]) -> Predicted:
    rooms = Rooms(session.store)
    await rooms.gateway.start()
    try:
        answer = await rooms.gateway.infer(endpoint, Ask(columns={name: [value] for name, value in row.items()}))
        outputs = {output.name: answer.outputs[output.name][0] for output in answer.form}
    finally:
        await rooms.gateway.stop()
    return Predicted(
        decision=answer.decision_ids[0], answered_by=f"{answer.model}@{answer.version}",
        outputs={name: msgspec.to_builtins(value) for name, value in outputs.items()},
    )  # fmt: skip
