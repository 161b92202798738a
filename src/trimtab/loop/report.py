"""What a replay came to: how good the served answers were month by month, and what that took."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from trimtab.declare import ModelSpec, describe
from trimtab.loop.records import Turn, TurnState
from trimtab.loop.turns import list_turns
from trimtab.monitoring import alerts, mature_until, performance
from trimtab.pipelines import get_pipeline_run
from trimtab.store import Store, events, ledger_root


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """The answers that were given about rows decided in one month, whoever gave them."""

    since: datetime
    until: datetime
    decisions: int
    labelled: int
    loss: float | None
    auc: float | None


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """A replay, summed up. ``loss`` and ``auc`` are means over the months; ``training_s`` is the machine's time.

    ``loss`` is log loss for a classification and RMSE for a regression. ``root`` is the ledger's: two replays of the
    same policy give the same one. ``turns`` are those that began after the first version, ``pages`` the alerts that
    would have paged somebody, ``to_full_h`` the mean hours from a trigger to all traffic.
    """

    policy: str
    model: str
    months: tuple[Month, ...]
    loss: float | None
    auc: float | None
    turns: int
    promoted: int
    rolled_back: int
    refused: int
    pages: int
    to_full_h: float | None
    decisions: int
    training_s: float
    events: int
    root: str
    mature_until: datetime | None = None
    """Losses are of decisions before this moment: outcomes of later ones are not final. None: they are once known."""


def report_of(store: Store, model: ModelSpec, *, start: datetime, end: datetime) -> ReplayReport:
    """Sum up what a replay left in its store."""
    metric = "log_loss" if model.label.task == "classification" else "rmse"
    months = tuple(_month(store, model.name, metric, since, until) for since, until in _months(start, end))
    every = list_turns(store, model.name, limit=None)
    later = [turn for turn in every if turn.opened_at > start]
    ends = Counter(turn.state for turn in later)
    final = mature_until(store, model.name, at=end)
    return ReplayReport(
        policy=describe(model.retraining.when) if model.retraining else "never",
        model=model.name, months=months, loss=_mean(month.loss for month in months),
        auc=_mean(month.auc for month in months), turns=len(later),
        promoted=sum(any(move.state is TurnState.FULL for move in turn.moves) for turn in later),
        rolled_back=ends[TurnState.ROLLED_BACK], refused=ends[TurnState.REFUSED],
        pages=sum(alert.severity == "page" for alert in alerts(store, endpoint=model.name, limit=None)),
        to_full_h=_mean(hours for turn in later if (hours := _hours_to_full(turn)) is not None),
        decisions=sum(month.decisions for month in months),
        training_s=sum(_training_s(store, turn) for turn in later), events=_events(store),
        root=ledger_root(store).hex(), mature_until=final if final < end else None,
    )  # fmt: skip


def lines_of(report: ReplayReport) -> Iterator[str]:
    """Write a report as a table of months and one line below it."""
    yield f"{'month':<9}{'decisions':>10}{'labelled':>10}{'loss':>9}{'AUC':>8}"
    for month in report.months:
        yield (
            f"{month.since:%Y-%m}  {month.decisions:>10,}{month.labelled:>10,}".replace(",", " ")
            + f"{_shown(month.loss):>9}{_shown(month.auc):>8}"
        )
    yield f"{'mean':<29}{_shown(report.loss):>9}{_shown(report.auc):>8}"
    if report.mature_until is not None:
        yield f"mature through {report.mature_until:%Y-%m-%d %H:%M}: outcomes of later decisions are not final yet"
    yield (
        f"{report.turns} turns of the loop: {report.promoted} promoted, {report.refused} refused by the gate, "
        f"{report.rolled_back} rolled back; training took {report.training_s:.0f} s"
    )
    yield (
        f"{report.pages} {'page' if report.pages == 1 else 'pages'}; from trigger to all traffic "
        + (f"{report.to_full_h:.0f} hours on average" if report.to_full_h is not None else "nothing went")
    )
    yield f"ledger: {report.events} events, root {report.root}"


def turn_line(turn: Turn) -> str:
    """Say in one line where a turn stands."""
    last = turn.moves[-1]
    about = turn.ref or turn.model
    return f"{last.at:%Y-%m-%d %H:%M}  {about:<10} {turn.state.value:<12} {last.text}"


def _month(store: Store, model: str, metric: str, since: datetime, until: datetime) -> Month:
    wanted = ("auc",) if metric == "log_loss" else ()
    found = performance(store, model, version=None, since=since, until=until, metrics=wanted)
    return Month(
        since=since, until=until, decisions=found.decisions, labelled=found.labelled, loss=found.value(metric),
        auc=found.value("auc"),
    )  # fmt: skip


def _months(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    since = start
    while since < end:
        year, month = divmod(since.year * 12 + since.month, 12)
        until = min(end, datetime(year, month + 1, 1, tzinfo=since.tzinfo))
        yield since, until
        since = until


def _hours_to_full(turn: Turn) -> float | None:
    """Return how long a turn took from its trigger until its version answered all traffic."""
    at = next((move.at for move in turn.moves if move.state is TurnState.FULL), None)
    return None if at is None else (at - turn.opened_at) / timedelta(hours=1)


def _training_s(store: Store, turn: Turn) -> float:
    """Return how long the steps of a turn's run took by the machine's clock."""
    if turn.run is None:
        return 0.0
    return sum(step.seconds or 0.0 for step in get_pipeline_run(store, turn.run).steps)


def _events(store: Store) -> int:
    newest = events(store, order="newest", limit=1)
    return newest[0].position + 1 if newest else 0


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
