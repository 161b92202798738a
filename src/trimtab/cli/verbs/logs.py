"""``trimtab logs``: what the server or a pipeline run had to say."""

import sys

import click

from trimtab.cli.following import follow_run, follow_server
from trimtab.cli.output import say_left_out
from trimtab.cli.session import Session, pass_session
from trimtab.kernel import Invalid
from trimtab.pipelines import get_pipeline_run, read_log
from trimtab.server import server_log


@click.command()
@click.argument("what", default="server")
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, until the run is over or Ctrl C.")
@click.option("-n", "--lines", type=click.IntRange(1), default=200, show_default=True, help="At most the last N lines.")
@pass_session
def logs(session: Session, what: str, step: str | None, follow: bool, lines: int) -> None:
    """Print the log of WHAT: 'server', or the id of a pipeline run, of all its steps or of one STEP."""
    if what == "server" and step is not None:
        raise Invalid(
            f"the server's log has no step {step[:80]!r}",
            where="trimtab logs, argument STEP",
            why="Only pipeline runs have steps.",
            next=f"trimtab logs RUN {step[:80]}",
        )
    if follow:
        try:
            for piece in follow_server(session, lines) if what == "server" else follow_run(session, what, step):
                click.echo(piece, nl=False)
                sys.stdout.flush()
        except KeyboardInterrupt:
            pass
        return
    text = session.ask(server_log).text if what == "server" else _run(session, what, step)
    every = text.splitlines()
    for line in every[-lines:]:
        click.echo(line)
    if len(every) > lines:
        say_left_out(f"the last {lines} of {len(every)} lines", "more with --lines")


def _run(session: Session, run_id: str, step: str | None) -> str:
    run = session.ask(get_pipeline_run, run_id)
    if step is not None:
        return _step(session, run_id, step)
    parts = []
    for each in run.steps:
        if each.attempts:
            parts.append(f"== {each.name}, attempt {each.attempts}: {each.status.value}")
            parts.append(_step(session, run_id, each.name))
    return "\n".join(part.rstrip("\n") for part in parts if part)


def _step(session: Session, run_id: str, step: str) -> str:
    pieces, offset = [], 0
    while True:
        piece = session.ask(read_log, run_id, step, offset=offset, limit=1 << 20)
        pieces.append(piece.text)
        if not piece.text or piece.next_offset == offset:
            return "".join(pieces)
        offset = piece.next_offset
