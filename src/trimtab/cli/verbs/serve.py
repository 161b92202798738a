"""``trimtab serve``: put a version behind its endpoint and answer."""

from typing import Any

import click

from trimtab.cli.nouns.serving import traffic
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.cli.verbs.up import say_where
from trimtab.kernel import NotFound
from trimtab.loop import StageName, serve_version
from trimtab.registry import CHAMPION, VersionRef, get_version
from trimtab.server import running_server
from trimtab.server import serve as serve_project
from trimtab.serving import Endpoint, get_endpoint


@click.command()
@click.argument("version")
@click.option(
    "--stage", type=click.Choice(["full", "canary", "shadow"]), default="full", show_default=True, help="Its place."
)
@click.option(
    "--percent", type=click.FloatRange(0, 100, min_open=True), default=5.0, show_default=True, help="A canary's share."
)
@because_option
@click.option("--dry-run", is_flag=True, help="Only say who answers now.")
@click.option("--route-only", is_flag=True, help="Do not start a server.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@pass_session
def serve(session: Session, /, dry_run: bool, route_only: bool, yes: bool, **place: Any) -> None:
    """Serve VERSION: late (its champion, as routed), or late@3 with a place of its own.

    The endpoint has the model's name and answers the Open Inference Protocol v2. A server that runs already takes it
    up within a second; without one, this one serves until Ctrl C.
    """
    del yes
    endpoint = _routed(session, dry_run=dry_run, **place)
    click.echo(f"{endpoint.routing.endpoint}: {traffic(endpoint.routing)}")
    if session.settings.server:
        return
    running = running_server(session.settings)
    if running is not None:
        say_where(running, user=session.settings.guest_user)
    elif not (route_only or dry_run):
        session.close()
        serve_project(session.settings, on_ready=lambda address: say_where(address, user=session.settings.guest_user))


def _routed(
    session: Session, version: str, stage: StageName, percent: float, because: str, *, dry_run: bool
) -> Endpoint:
    """Return the endpoint as it is, or changed when a version or a stage was asked for."""
    ref = VersionRef.parse(version)
    as_it_is = dry_run or (ref.version is None and ref.alias == CHAMPION and stage == "full")
    if as_it_is:
        try:
            return session.ask(get_endpoint, ref.model)
        except NotFound:
            if dry_run:
                raise
    found = session.ask(get_version, ref)
    share = percent if stage == "canary" else 0.0 if stage == "shadow" else 100.0
    return session.ask(serve_version, found.ref, stage=stage, percent=share, actor=session.actor, because=because)
