"""``trimtab up``: serve the project until it is stopped."""

import click
import msgspec

from trimtab.cli.session import Session, pass_session
from trimtab.server import Address, serve


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen here (127.0.0.1). Another one than loopback needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen at this port (8400); 0: any free one.")
@pass_session
def up(session: Session, host: str | None, port: int | None) -> None:
    """Serve the pages, the API and every endpoint from one process, until Ctrl C or SIGTERM."""
    settings = session.settings
    if host is not None:
        settings = msgspec.structs.replace(settings, host=host)
    if port is not None:
        settings = msgspec.structs.replace(settings, port=port)
    serve(settings, on_ready=say_where)


def say_where(address: Address) -> None:
    """Tell where the running server is found."""
    click.echo(f"Trimtab serves at {address.url}  (process {address.pid}; Ctrl C stops it)")
    click.echo(f"  pages     {address.url}/ui")
    click.echo(f"  API       {address.url}/ui/api")
    click.echo(f"  inference {address.url}/v2")
