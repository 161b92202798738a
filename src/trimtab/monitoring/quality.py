"""Signs of bad data: broken contracts, sources that stand still, missing columns, too few or too many decisions."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from sqlalchemy import func, select

from trimtab.data import Snapshot, get_snapshot, latest_snapshot, list_snapshots
from trimtab.declare import duration_text
from trimtab.kernel import NotFound, percent
from trimtab.monitoring.drift import Drift
from trimtab.monitoring.maturity import maturity_of
from trimtab.monitoring.moments import hour_of
from trimtab.monitoring.records import Severity, Sign
from trimtab.monitoring.tables import monitoring_hours
from trimtab.registry import VersionRef, get_version
from trimtab.serving import broken_decisions
from trimtab.store import Store

PAGE_SHARE = 0.01
"""Share of a source's rows that newly break the contract, from which on somebody is told."""
STALE = 3.0
"""How many times the usual time between two states of a source may pass without a new one."""
STATES = 10
LEAST_ROWS = 50
MISSING_BEFORE = 0.5
"""A column that was missing more often than this in the reference is not missed."""
DAYS = 14
LEAST_DAYS = 7
FEWEST, MOST = 0.3, 3.3
"""A day with less than this share of the median day's decisions, or with so many times as many, is unusual."""
DAY = timedelta(days=1)


def source_signs(store: Store, model: str, version: int, *, at: datetime) -> list[Sign]:
    """Return what is wrong with the sources that a version was made from, as they were found last."""
    try:
        ids = get_version(store, VersionRef(model, version, "")).lineage.snapshots
        sources = sorted({get_snapshot(store, id_).source for id_ in ids})
    except NotFound:
        return []
    signs = []
    for source in sources:
        latest = latest_snapshot(store, source)
        if latest is None:
            continue
        before = [one for one in list_snapshots(store, source, limit=STATES).items if one.id != latest.id]
        signs += _broken(latest, before[0] if before else None)
        signs += _stale(latest, before, at)
    return signs


def _broken(latest: Snapshot, before: Snapshot | None) -> list[Sign]:
    """Return one sign for the promises that are broken more often than the time before."""
    was = {(one.field, one.reason): one.rows for one in before.breaks} if before else {}
    more = [(one, one.rows - was.get((one.field, one.reason), 0)) for one in latest.breaks]
    more = [(one, rows) for one, rows in more if rows > 0]
    if not more:
        return []
    rows = latest.set_aside_rows - (before.set_aside_rows if before else 0)
    share = max(rows, 0) / max(latest.rows + latest.set_aside_rows, 1)
    severity: Severity = "page" if share > PAGE_SHARE else "note"
    worst = sum(rows for _, rows in more)
    return [
        Sign(
            kind="quality", group=f"quality:contract:{latest.source}", severity=severity,
            title=f"{latest.source} breaks its contract {worst:,} {'time' if worst == 1 else 'times'}"
            + (" more than before" if before else ""),
            lines=tuple(one.sentence for one, _ in more[:20]),
        )
    ]  # fmt: skip


def _stale(latest: Snapshot, before: list[Snapshot], at: datetime) -> list[Sign]:
    taken = sorted((one.taken_at for one in [latest, *before]), reverse=True)
    steps = [(newer - older).total_seconds() for newer, older in pairwise(taken)]
    if len(steps) < 2:
        return []
    usual, since = median(steps), (at - latest.taken_at).total_seconds()
    if since <= STALE * usual:
        return []
    return [
        Sign(
            kind="quality", group=f"quality:freshness:{latest.source}", severity="page",
            title=f"{latest.source} has not changed for {_long(since)}, usually it does every {_long(usual)}",
            lines=(f"last state {latest.taken_at.isoformat()}, newest row of {latest.event_time_to.isoformat()}",),
        )
    ]  # fmt: skip


def column_signs(window: Drift) -> list[Sign]:
    """Return columns that no decision of a window has a value for, though those of the reference had."""
    if window.n < LEAST_ROWS:
        return []
    signs = []
    for one in window.columns:
        gone = one.n == 0 or one.null_share == 1.0
        if gone and (one.null_before or 0.0) < MISSING_BEFORE:
            signs.append(
                Sign(
                    kind="quality", group=f"quality:missing:{one.name}", severity="page",
                    title=f"{one.name} is missing in all {window.n:,} decisions of the day",
                    lines=(f"it was missing in {percent(one.null_before or 0.0)} of the reference",),
                )
            )  # fmt: skip
    return signs


def request_signs(store: Store, endpoint: str, *, day: datetime) -> list[Sign]:
    """Return whether rows that break their contract were answered on the day that begins then."""
    found = broken_decisions(store, endpoint, since=day, until=day + DAY)
    if not found:
        return []
    table = monitoring_hours.c
    first = hour_of(day)
    query = select(func.sum(table.n)).where(
        table.endpoint == endpoint, table.stage.in_(("full", "canary")), table.hour >= first, table.hour < first + 24
    )
    with store.read() as connection:
        rows = max(connection.execute(query).scalar() or 0, len(found))
    columns = Counter(text.split(" ", 1)[0] for _, texts in found for text in texts)
    examples = {text.split(" ", 1)[0]: f"{text} (decision {id_})" for id_, texts in found for text in texts}
    return [
        Sign(
            kind="quality", group="quality:requests", severity="page" if len(found) > PAGE_SHARE * rows else "note",
            title=f"{len(found):,} of {rows:,} rows that were answered on {day:%Y-%m-%d} break their contract",
            lines=tuple(f"{name}: {n:,} rows, such as {examples[name]}" for name, n in sorted(columns.items())),
        )
    ]  # fmt: skip


def volume_signs(store: Store, endpoint: str, *, day: datetime) -> list[Sign]:
    """Return whether the day that begins then had unusually few or many answered decisions."""
    past, now = _volumes(store, endpoint, day)
    usual = _usual(past)
    if usual < LEAST_ROWS or FEWEST * usual <= now <= MOST * usual:
        return []
    return [
        Sign(
            kind="quality", group="quality:volume", severity="page" if now < usual else "note",
            title=f"{now:,} decisions on {day:%Y-%m-%d}, usually it is {usual:,.0f}",
            lines=tuple(f"{day - (len(past) - i) * DAY:%Y-%m-%d} {n:,}" for i, n in enumerate(past)),
        )
    ]  # fmt: skip


def usual_volume(store: Store, endpoint: str, *, day: datetime) -> int:
    """Return how many decisions an endpoint answered on a usual day before the one that begins then: the median.

    0 while too few days are known.
    """
    return round(_usual(_volumes(store, endpoint, day)[0]))


def _volumes(store: Store, endpoint: str, day: datetime) -> tuple[list[int], int]:
    """Return the answered decisions of each of the days before, from the first with any on, and of the day itself."""
    table = monitoring_hours.c
    first, last = hour_of(day - DAYS * DAY), hour_of(day)
    query = select(table.hour, table.n).where(
        table.endpoint == endpoint, table.stage.in_(("full", "canary")), table.hour >= first, table.hour < last + 24
    )
    days = [0] * (DAYS + 1)
    with store.read() as connection:
        for hour, n in connection.execute(query):
            days[(hour - first) // 24] += n
    *past, now = days
    while past and past[0] == 0:
        past.pop(0)  # before the endpoint answered at all
    return past, now


def _usual(past: list[int]) -> float:
    return median(past) if len(past) >= LEAST_DAYS else 0


def label_signs(store: Store, endpoint: str, model: str, *, at: datetime) -> list[Sign]:
    """Return whether outcomes become known at different ages, and nobody declared that, or a shorter age."""
    found = maturity_of(store, endpoint, at=at, model=model)
    undeclared = found.by == "measured" and found.after_s > 0
    if not undeclared and not found.is_too_soon:
        return []
    age = duration_text(round(found.after_s))
    words = "their age was measured" if undeclared else "that is later than was declared"
    return [
        Sign(
            kind="quality", group="quality:labels", severity="note",
            title=f"Outcomes of {endpoint} become known at different ages, and {words}: figures take those of {age}",
            lines=(
                *(
                    f"{one.outcome} after {_long(one.median_s)}, 99 % after {_long(one.p99_s)} ({one.n:,} outcomes)"
                    for one in found.outcomes
                ),
                f'write matures="{duration_text(found.slowest_s)}" beside the label',
            ),
        )
    ]  # fmt: skip


def _long(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
