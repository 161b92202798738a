"""``trimtab get``: list and show everything."""

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from trimtab.cli.looking import at_option, look, moment_of, watch_option
from trimtab.cli.nouns.noun import Asked, Noun
from trimtab.cli.output import output_option, say_left_out, show_list, show_one
from trimtab.cli.session import Session, pass_session
from trimtab.kernel import Invalid, parse_time

NOUNS: dict[str, tuple[str, str]] = {
    "sources": ("data", "where facts come from, each with its newest snapshot"),
    "snapshots": ("data", "states of a source, as they were found"),
    "views": ("features", "what models may know, and when"),
    "runs": ("runs", "what was tried: params, metrics, artifacts"),
    "experiments": ("runs", "runs that belong together"),
    "pipelines": ("pipelines", "durable runs of the training path, step by step"),
    "models": ("models", "names under which versions are numbered"),
    "versions": ("models", "trained models, bound to what they were made from"),
    "evaluations": ("models", "how good a version was, on which rows"),
    "turns": ("loop", "turns of the loop, from trigger to verdict"),
    "endpoints": ("serving", "who answers, and how much of the traffic"),
    "decisions": ("serving", "what was answered, to whom, with which features"),
    "alerts": ("monitoring", "what was found wrong at endpoints, and who takes care of it"),
    "lineage": ("lineage", "what something was made from, and what depends on it"),
    "events": ("ledger", "every change of state: who, when, why"),
    "tokens": ("ledger", "who may call from elsewhere"),
    "holds": ("ledger", "what must not be removed, and why"),
    "refusals": ("ledger", "who was refused what, counted by the hour"),
}
OTHER_WORDS = {"features": "views", "pipeline-runs": "pipelines"}


MOST = 5000
NARROWING = {
    "limit": "--limit", "filter": "--filter", "order_by": "--order-by", "type": "--type", "actor": "--actor",
    "subject": "--subject", "since": "--since", "until": "--until",
}  # fmt: skip


def _completed(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    return [noun for noun in NOUNS if noun.startswith(typed)]


@click.command()
@click.argument("noun", required=False, shell_complete=_completed)
@click.argument("name", required=False, default="")
@click.option("-n", "--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="At most this many.")
@click.option("--filter", default="", metavar="TEXT", help="Runs: \"metrics.auc > 0.7 and params.trees = '120'\".")
@click.option("--order-by", default="", metavar="TEXT", help='Runs: "metrics.auc desc".')
@click.option(
    "--type",
    default="",
    metavar="TYPE",
    help="Events: registry.version-approved, or registry. for all of a room.",
)
@click.option("--actor", default="", metavar="NAME", help="Events: of this author.")
@click.option("--subject", default="", metavar="KIND:ID", help="Events: about this thing, as in version:late@1.")
@click.option("--since", default="", metavar="TIME", help="Events, decisions: from this time on.")
@click.option("--until", default="", metavar="TIME", help="Events, decisions: before this time.")
@at_option
@click.option("--at-position", type=click.IntRange(min=0), help="Lineage: as of this position of the ledger.")
@watch_option
@output_option
@pass_session
def get(
    session: Session,
    /,
    noun: str | None,
    since: str,
    until: str,
    at: str,
    watch: bool,
    every: float,
    form: str,
    **narrowed: Any,
) -> None:
    """List NOUN, or show one by its NAME. Without a noun: which nouns there are.

    --at tells how things stood then, from what never changes and from the ledger.
    """
    given = _given()
    if noun is None:
        _check_alone(given)
        for word, (_, help_) in NOUNS.items():
            click.echo(f"{word:<12} {help_}")
        return
    known = noun_named(noun)
    _check_options(known, noun, given)
    moment = moment_of(session, at)
    asked = Asked(since=_time(since, "since"), until=_time(until, "until"), at=moment, **narrowed)
    find = known.find if moment is None else _past_of(known, noun)
    if asked.at_position is not None:
        _check_position(known, noun, asked)
    more = False

    def show() -> None:
        nonlocal more
        # One more than is shown tells whether there are others.
        found = find(session, msgspec.structs.replace(asked, limit=asked.limit + 1))
        if not isinstance(found, list | tuple):
            _check_one(noun, given)
            show_one(found, form=form, lines=known.facts(found) if known.facts else ())
            return
        shown = found[: asked.limit]
        show_list(
            shown, known.columns, form=form, empty=known.empty if moment is None else "Nothing was there yet.",
            csv_columns=known.csv_columns(shown) if known.csv_columns else (),
        )  # fmt: skip
        if len(found) > asked.limit and not more:
            more = True
            others = f"-n {MOST} shows up to {MOST}" if asked.limit < MOST else "the HTTP API gives them page by page"
            say_left_out(f"the first {asked.limit}, and there are more", others)

    if watch and (moment is not None or asked.at_position is not None):
        raise Invalid(
            "the past cannot be watched",
            where="options --watch and --at, or --at-position",
            why="What has been does not change any more.",
            next="leave one of them out",
        )
    look(show, watch=watch, every=every)


def _given() -> list[str]:
    """Return the options that narrow a list and were typed."""
    context = click.get_current_context()
    return [
        name for name in NARROWING
        if context.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)
    ]  # fmt: skip


def _check_alone(given: list[str]) -> None:
    """Raise ``Invalid`` for options without a noun that they could narrow."""
    if given:
        raise Invalid(
            f"{NARROWING[given[0]]} narrows a list, and no noun says which",
            where=f"trimtab get, option {NARROWING[given[0]]}",
            why="Each noun has its own list.",
            next=f"name one of them: {', '.join(NOUNS)}",
        )


def _check_options(known: Noun, word: str, given: list[str]) -> None:
    """Raise ``Invalid`` for an option that this noun does not know: ignoring it would answer another question."""
    strange = [NARROWING[name] for name in given if name not in known.takes and name != "limit"]
    if strange:
        takes = [NARROWING[name] for name in NARROWING if name in known.takes]
        raise Invalid(
            f"{word[:80]} cannot be narrowed by {', '.join(strange)}",
            where=f"trimtab get {word[:80]}, option {strange[0]}",
            why=f"A list of {word[:80]} takes {', '.join([*takes, '--limit'])}.",
            next=f"leave {' and '.join(strange)} out",
        )


def _check_one(word: str, given: list[str]) -> None:
    """Raise ``Invalid`` for options that narrow a list where one thing is shown."""
    if given:
        strange = [NARROWING[name] for name in given]
        raise Invalid(
            f"one of {word[:80]} cannot be narrowed by {', '.join(strange)}",
            where=f"trimtab get {word[:80]}, option {strange[0]}",
            why="These narrow a list, and NAME names a single thing.",
            next=f"leave {' and '.join(strange)} out",
        )


def _check_position(known: Noun, word: str, asked: Asked) -> None:
    """Raise ``Invalid`` when a noun is not told by positions, or a time is given as well."""
    if known.by_position and asked.at is None:
        return
    raise Invalid(
        f"{word[:80]} cannot be told as of position {asked.at_position}",
        where=f"trimtab get {word[:80]}, option --at-position",
        why="A time is given as well." if known.by_position else "Only lineage is told by positions of the ledger.",
        next="leave one of --at and --at-position out" if known.by_position else "give a time instead: --at TIME",
    )


def noun_named(word: str) -> Noun:
    """Return a noun; a single thing's word (``model``) stands for its listing. Raises ``Invalid``."""
    for candidate in (word, f"{word}s", OTHER_WORDS.get(word, ""), OTHER_WORDS.get(f"{word}s", "")):
        if candidate in NOUNS:
            nouns: dict[str, Noun] = import_module(f"trimtab.cli.nouns.{NOUNS[candidate][0]}").NOUNS
            return nouns[candidate]
    raise Invalid(
        f"there is nothing called {word[:80]!r} to get",
        where="trimtab get",
        why="Each kind of thing has one name.",
        next=f"use one of: {', '.join(NOUNS)}",
    )


def _past_of(known: Noun, word: str) -> Callable[[Session, Asked], Any]:
    """Return how a noun tells of the past. Raises ``Invalid`` for one that cannot."""
    if known.past is not None:
        return known.past
    raise Invalid(
        f"how {word[:80]} stood at another time cannot be told",
        where=f"trimtab get {word[:80]}, option --at",
        why="They are written on in place, and what they held before is not kept.",
        next="leave --at out; what happened up to a time is told by: trimtab get events --at TIME",
    )


def _time(text: str, option: str) -> datetime | None:
    return parse_time(text, where=f"option --{option}") if text else None
