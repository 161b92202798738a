"""``trimtab predict``: ask an endpoint for a decision."""

import asyncio
import io
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import click
import msgspec
import pyarrow.parquet as pq

from trimtab.cli.output import show_one, text_of, text_option
from trimtab.cli.session import Session, pass_session
from trimtab.kernel import Invalid, NotFound, Unavailable
from trimtab.registry import get_version
from trimtab.server import Address, Rooms, running_server
from trimtab.serving import Ask, get_endpoint

TIMEOUT_S = 30.0


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: the decision's id, who gave it, and the outputs of the row."""

    decision: str
    answered_by: str
    outputs: dict[str, Any]


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
    server = running_server(session.settings)
    found = _ask_server(server, endpoint, row) if server else asyncio.run(_ask_here(session, endpoint, row))
    if form != "text":
        show_one(found, form=form)
        return
    for name, value in found.outputs.items():
        click.echo(f"{name}  {text_of(value)}")
    click.echo(f"decision {found.decision} by {found.answered_by}")
    click.echo(f"Next: trimtab why {found.decision}")


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
    routing = get_endpoint(session.store, endpoint).routing
    version = get_version(session.store, f"{routing.model}@{routing.champion}")
    if version.artifacts.sample is None:
        raise NotFound(
            f"{version.ref} has no sample",
            where=f"version {version.ref}",
            why="It was registered without one.",
            next=f"trimtab predict {endpoint} NAME=VALUE ...",
        )
    table = pq.read_table(io.BytesIO(session.store.blobs.get(version.artifacts.sample)))
    row: dict[str, Any] = table.slice(0, 1).to_pylist()[0]
    return row


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


def _ask_server(server: Address, endpoint: str, row: dict[str, Any]) -> Predicted:
    """Ask by the Open Inference Protocol, as any client would."""
    inputs = [
        {"name": name, "shape": [1], "datatype": _datatype(value), "data": [value]} for name, value in row.items()
    ]
    place = urlsplit(server.url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT_S)
    try:
        connection.request(
            "POST", f"/v2/models/{quote(endpoint, safe='')}/infer", msgspec.json.encode({"inputs": inputs}),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        answer = connection.getresponse()
        body = answer.read()
    except OSError as error:
        raise Unavailable(
            "the server does not answer",
            where=server.url,
            why=f"{error}.",
            next="trimtab logs server",
        ) from None
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise _told(server, body)
    found = msgspec.json.decode(body)
    return Predicted(
        decision=found["parameters"]["decision_ids"], answered_by=f"{endpoint}@{found['model_version']}",
        outputs={output["name"]: output["data"][0] if len(output["data"]) == 1 else output["data"]
                 for output in found["outputs"]},
    )  # fmt: skip


def _told(server: Address, body: bytes) -> Exception:
    """Return the server's error as if it had happened here."""
    try:
        parts = msgspec.json.decode(body, type=dict[str, str])
        return Invalid(parts["what"], where=parts["where"], why=parts["why"], next=parts["next"])
    except (msgspec.DecodeError, KeyError):
        return Unavailable(
            "the server answers something else", where=server.url, why="It may not be Trimtab.", next="trimtab doctor"
        )


def _datatype(value: Any) -> str:
    match value:
        case bool():
            return "BOOL"
        case int():
            return "INT64"
        case float() | None:
            return "FP64"
        case _:
            return "BYTES"
