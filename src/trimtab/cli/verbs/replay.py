"""``trimtab replay``: a stretch of the past in minutes, through the code that runs in production."""

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from trimtab import declare
from trimtab.cli.output import show_one, text_option
from trimtab.cli.progress import Progress
from trimtab.cli.session import Session, pass_session
from trimtab.declare import Project, RetrainingSpec, load_project, retraining_policy
from trimtab.kernel import Invalid, SystemClock, TrimtabError, VirtualClock, parse_time
from trimtab.loop import (
    Replay,
    ReplayHome,
    ReplayReport,
    Told,
    frontier_picture,
    frontier_policies,
    frontier_table,
    replayed_model,
    report_lines,
    report_of,
    turn_line,
    with_policy,
)
from trimtab.store import open_store


@click.command()
@click.argument("file", required=False)
@click.option("--from", "start", required=True, metavar="TIME", help="Where it begins: 2013-03-01.")
@click.option("--to", "end", required=True, metavar="TIME", help="The last day, or the moment, at which it ends.")
@click.option("--policy", metavar="EXPRESSION", help="Another policy than the declared one: \"tt.every('30d')\".")
@click.option("--compare", is_flag=True, help="Replay the usual policies too, and draw loss against turns.")
@click.option("--picture", type=click.Path(path_type=Path), help="Where the drawing of --compare goes (frontier.svg).")
@click.option("--again", is_flag=True, help="Begin anew, even where a replay was left unfinished or is done.")
@text_option
@pass_session
def replay(session: Session, /, form: str, **asked: Any) -> None:
    """Replay the first model of FILE through a past period, with a virtual clock and simulated approvals.

    Each replay lives in a folder of its own under the home; killed, the same command goes on with it. Its pages:
    trimtab --home FOLDER up.
    """
    session.check_beside_store()
    project = load_project(session.project_file(asked["file"]))
    start, end = _span(asked["start"], asked["end"])
    policy = None if asked["policy"] is None else _policy(project, asked["policy"])
    if not asked["compare"]:
        project = project if policy is None else with_policy(project, policy)
        found = _replayed(session, project, start, end, again=asked["again"], show=form == "text")
        if form == "text":
            click.echo("\n".join(report_lines(found)))
        else:
            show_one(msgspec.to_builtins(found), form=form)
        return
    picture = _drawable(asked["picture"] or Path("frontier.svg"))
    reports = []
    for name, one in frontier_policies(replayed_model(project), asked=policy):
        click.echo(f"\n{name}", err=True)
        changed = with_policy(project, one)
        reports.append((name, _replayed(session, changed, start, end, again=asked["again"], show=form == "text")))
    picture.write_text(frontier_picture(reports), "utf-8")
    if form == "text":
        click.echo("\n".join(["", *frontier_table(reports), f"Drawn in {picture}"]))
    else:
        show_one({name: msgspec.to_builtins(one) for name, one in reports}, form=form)


def _replayed(
    session: Session, project: Project, start: datetime, end: datetime, *, again: bool, show: bool
) -> ReplayReport:
    """Replay one policy in its own home, or go on with it, and sum it up."""
    home = ReplayHome(session.settings.home_path, project, start=start, end=end)
    if again:
        home.discard()
    settings = msgspec.structs.replace(session.settings, home=str(home.path), database="", blobs="", workers=1)
    with home.started() as attempt, closing(open_store(settings, clock=VirtualClock(start), seed=home.seed)) as store:
        driver = Replay(store, project, start=start, end=end, attempt=attempt)
        with Progress(SystemClock()) as bars:
            hours = round((end - start) / timedelta(hours=1))

            def tell(told: Told) -> None:
                if told.at.hour == 0:
                    done = round((told.at - start) / timedelta(hours=1))
                    bars.update("replay", done, hours, f"hours, {told.at:%Y-%m-%d}")
                for turn in told.turns if show else ():
                    bars.say("replay", turn_line(turn))

            driver.run(tell)
            bars.finish("replay", f"{driver.decisions} decisions in {home.path}")
        return report_of(store, driver.model, start=start, end=end)


def _span(start: str, end: str) -> tuple[datetime, datetime]:
    first, last = parse_time(start, where="option --from"), parse_time(end, where="option --to")
    if "T" not in end and " " not in end:
        last += timedelta(days=1)  # a day is meant whole
    if last <= first:
        raise Invalid(
            f"the replay would end at {end}, before it begins",
            where="option --to",
            why="It goes forward through time, hour by hour.",
            next="trimtab replay --from 2013-03-01 --to 2013-12-31",
        )
    return first, last


def _drawable(picture: Path) -> Path:
    """Return where the drawing goes. Raises ``Invalid`` before hours of work when it could not be written there."""
    if picture.is_dir() or not picture.absolute().parent.is_dir():
        raise Invalid(
            f"{picture} cannot be written",
            where="option --picture",
            why="The drawing is a file in a folder that is there.",
            next="name a file: --picture frontier.svg",
        )
    return picture


def _policy(project: Project, text: str) -> RetrainingSpec:
    """Read a policy as it would stand in the file; the declared limits on how often it may act stay."""
    model = replayed_model(project)
    try:
        said = eval(text.strip(), {"__builtins__": {}, "tt": declare})  # noqa: S307  typed by the user, for themselves
        when = retraining_policy(said, view=model.view, label=model.label)
    except TrimtabError as error:
        # It stands in no file: the line that the error names is one of ours.
        raise Invalid(error.what, where="option --policy", why=error.why, next=error.next) from None
    except Exception as error:  # noqa: BLE001  the edge to what the user typed
        raise Invalid(
            f"{text!r} is no policy: {error}",
            where="option --policy",
            why="It is an expression as retrain_when takes it, written with tt.",
            next="write for example tt.log_loss.over('7d') > tt.at_approval * 1.10, in quotes",
        ) from None
    return msgspec.structs.replace(model.retraining or RetrainingSpec(when=when), when=when)
