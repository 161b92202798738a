"""``trimtab up``: serve the project until it is stopped."""

import click
import msgspec

from trimtab.cli.session import Session, pass_session
from trimtab.pipelines import walls
from trimtab.server import Address, serve


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen here (127.0.0.1). Another one than loopback needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen at this port (8400); 0: any free one.")
@pass_session
def up(session: Session, host: str | None, port: int | None) -> None:
    """Serve the pages, the API and every endpoint from one process, until Ctrl C or SIGTERM."""
    session.check_beside_store()
    settings = session.settings
    if host is not None:
        settings = msgspec.structs.replace(settings, host=host)
    if port is not None:
        settings = msgspec.structs.replace(settings, port=port)
    serve(settings, on_ready=lambda address: say_where(address, user=settings.guest_user))


def say_where(address: Address, *, user: str = "") -> None:
    """Tell where the running server is found, and which walls stand around user code, which runs as ``user``."""
    click.echo(f"Trimtab serves at {address.url}  (process {address.pid}; Ctrl C stops it)")
    click.echo(f"  pages     {address.url}/ui")
    click.echo(f"  API       {address.url}/ui/api")
    click.echo(f"  inference {address.url}/v2")
    around = walls(user=user)
    missing = ", ".join(wall.name for wall in around if not wall.stands)
    said = f"walls around {', '.join(wall.name for wall in around if wall.stands)}"
    click.echo(f"  user code {said}" + (f"; none around {missing}: trimtab doctor" if missing else ""))
