"""Record what came of decisions: late, single or in bulk, once or corrected; each outcome counts once."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from sqlalchemy import BindParameter, Connection, bindparam, insert, select, update

from trimtab.declare import number_text
from trimtab.evaluation import Task
from trimtab.kernel import Actor, digest_of_bytes, is_id, time_of
from trimtab.monitoring.errors import OutcomeRefused, OutcomeUnknown
from trimtab.monitoring.events import OutcomesRecorded
from trimtab.monitoring.moments import moment_of
from trimtab.monitoring.records import Outcome, Recorded
from trimtab.monitoring.said import Said, outcomes_in, read_outcomes
from trimtab.monitoring.sums import of_outcomes, read
from trimtab.monitoring.tables import monitoring_hours, monitoring_outcomes, monitoring_scores
from trimtab.monitoring.taking import Place, Window, add_windows, chunks, locked, take
from trimtab.serving import elsewhere, seal_elsewhere
from trimtab.store import Change, Store

_SHOWN = 3
_log = logging.getLogger(__name__)


class _Scored(msgspec.Struct):
    """A decision's score, in its place, with the outcome that was known of it."""

    place: Place
    score: float | None
    task: Task


class _Known(msgspec.Struct):
    value: float
    known_us: int


def record_outcomes(
    store: Store, endpoint: str, outcomes: Sequence[Outcome] | pa.Table, *, actor: Actor, because: str = ""
) -> Recorded:
    """Record what came of an endpoint's decisions, all of it or, when one outcome is wrong, nothing.

    A table has the columns ``value`` and ``decision``, or else one for each key column (and ``at``, if you like), and
    perhaps ``known_at``. Of several outcomes of one decision the one with the latest ``known_at`` counts, a later call
    winning a tie; sending the same again changes nothing. Two values of one decision with the same ``known_at`` in one
    call contradict each other, and are refused. An outcome counts for the answered decision and for every shadow that
    mirrored it, whenever these come to be watched. Raises ``OutcomeRefused``, ``OutcomeUnknown``,
    ``DecisionElsewhere``, ``TooManyOutcomes``.
    """
    said = read_outcomes(outcomes_in(outcomes), now=store.clock.now())
    found, missing = _found_anywhere(store, endpoint, said)
    if missing:
        raise _unknown(endpoint, missing)
    against = _contradictions(said, found)
    if against:
        raise _contradicted(list(against.values()))
    return _kept(store, endpoint, said, found, actor=actor, because=because)


def bring_outcomes(
    store: Store, endpoint: str, outcomes: Sequence[Outcome] | pa.Table, *, actor: Actor, because: str = ""
) -> Recorded:
    """Record what a source tells about an endpoint's decisions, and pass over what nobody was asked about.

    Like ``record_outcomes`` otherwise. The decisions that are meant must have been watched. A decision of which the
    source tells two values at one moment is left without an outcome, until it tells one, and the log says so.
    """
    said = read_outcomes(outcomes_in(outcomes), now=store.clock.now())
    found, _ = _found(store, endpoint, said)
    against = _contradictions(said, found)
    if against:
        _log.warning("%s: %s; no outcome is recorded of it", endpoint, _contradicted(list(against.values())).what)
        found = [[subject for subject in subjects if subject not in against] for subjects in found]
    return _kept(store, endpoint, said, found, actor=actor, because=because)


def _kept(
    store: Store, endpoint: str, said: Sequence[Said], found: Sequence[Sequence[str]], *, actor: Actor, because: str
) -> Recorded:
    subjects = _latest(said, found)
    if not subjects:
        return Recorded(new=0, corrected=0, unchanged=0)
    with store.change(actor, because, durable=False) as change:
        locked(change.connection, endpoint)
        return _record(change, endpoint, subjects)


def _found(store: Store, endpoint: str, said: Sequence[Said]) -> tuple[list[list[str]], list[Said]]:
    """Return the decisions that each outcome is of, and the outcomes that are of none, in the newest of the log too."""
    with store.read() as connection:
        found, missing = _resolved(connection, endpoint, said)
    if missing:
        take(store, endpoint)
        with store.read() as connection:
            found, missing = _resolved(connection, endpoint, said)
    return found, missing


def _found_anywhere(store: Store, endpoint: str, said: Sequence[Said]) -> tuple[list[list[str]], list[Said]]:
    """Return the same after all other homes have sealed what they hold. Raises ``DecisionElsewhere``."""
    found, missing = _found(store, endpoint, said)
    at = [None if one.decision is None else time_of(one.decision) for one in missing if _may_be_elsewhere(one)]
    if not at:
        return found, missing
    silent = seal_elsewhere(store, decided_at=None if None in at else min(moment for moment in at if moment))
    found, missing = _found(store, endpoint, said)
    if missing and silent:
        raise elsewhere(f"what {missing[0].name} is an outcome of", silent)
    return found, missing


def _may_be_elsewhere(one: Said) -> bool:
    return one.decision is None or is_id(one.decision)


def _unknown(endpoint: str, missing: Sequence[Said]) -> OutcomeUnknown:
    shown = ", ".join(one.name for one in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return OutcomeUnknown(
        f"{endpoint[:100]} has made no decision {shown}{more}", where=f"outcomes, row {missing[0].row}",
        endpoint=endpoint[:100], rows=[one.row for one in missing[:100]],
    )  # fmt: skip


def _contradictions(said: Sequence[Said], found: Sequence[Sequence[str]]) -> dict[str, tuple[Said, Said]]:
    """Return the decisions of which two values were said at one moment, with the two; the same value twice is one."""
    first: dict[tuple[str, int], Said] = {}
    against: dict[str, tuple[Said, Said]] = {}
    for one, subjects in zip(said, found, strict=True):
        for subject in subjects:
            other = first.setdefault((subject, one.known_us), one)
            if other.value != one.value:
                against.setdefault(subject, (other, one))
    return against


def _contradicted(pairs: Sequence[tuple[Said, Said]]) -> OutcomeRefused:
    shown = ", ".join(
        f"rows {a.row} and {b.row} ({a.name}: {number_text(a.value)} and {number_text(b.value)})"
        for a, b in pairs[:_SHOWN]
    )
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return OutcomeRefused(
        f"outcomes contradict each other: {shown}{more}", where=f"outcomes, row {pairs[0][1].row}",
        why="A decision turns out one way, and both became known at one moment, so nothing of this call was kept.",
        next="send one value for each decision, or known_at with both when the later one corrects the earlier",
        rows=[one.row for pair in pairs[:100] for one in pair],
    )  # fmt: skip


def _latest(said: Sequence[Said], found: Sequence[Sequence[str]]) -> dict[str, _Known]:
    """Return the latest outcome of each decision that is meant."""
    latest: dict[str, _Known] = {}
    for one, subjects in zip(said, found, strict=True):
        for subject in subjects:
            was = latest.get(subject)
            if was is None or was.known_us <= one.known_us:
                latest[subject] = _Known(one.value, one.known_us)
    return latest


def _resolved(connection: Connection, endpoint: str, said: Sequence[Said]) -> tuple[list[list[str]], list[Said]]:
    """Return the answered decisions that each outcome is of, and the outcomes that are of none."""
    by_id: dict[str, str] = {}
    for some in chunks(dict.fromkeys(one.decision for one in said if one.decision is not None)):
        rows = connection.execute(_BY_ID, {"endpoint": endpoint, "some": some})
        by_id.update({row.id: row.subject for row in rows})
    by_key: dict[str, list[tuple[str, int]]] = {}
    for some in chunks(dict.fromkeys(key for one in said for key in one.keys)):
        for row in connection.execute(_BY_KEY, {"endpoint": endpoint, "some": some}):
            by_key.setdefault(row.key, []).append((row.subject, row.as_of_us))
    found, missing = [], []
    for one in said:
        if one.decision is not None:
            subjects = [by_id[one.decision]] if one.decision in by_id else []
        else:
            about = [found for key in one.keys for found in by_key.get(key, ())]
            subjects = [subject for subject, us in about if one.at_us in (None, us)]
        found.append(subjects)
        if not subjects:
            missing.append(one)
    return found, missing


# Made once: making a statement costs as much as a small query.
_TABLE = monitoring_scores.c
_SOME: BindParameter[Any] = bindparam("some", expanding=True)
_BY_ID = select(_TABLE.id, _TABLE.subject).where(_TABLE.endpoint == bindparam("endpoint"), _TABLE.id.in_(_SOME))
_BY_KEY = (
    select(_TABLE.key, _TABLE.subject, _TABLE.as_of_us)
    .where(_TABLE.endpoint == bindparam("endpoint"), _TABLE.key.in_(_SOME), _TABLE.subject == _TABLE.id)
    .order_by(_TABLE.id)
)
_ABOUT = select(_TABLE.subject, _TABLE.version, _TABLE.stage, _TABLE.hour, _TABLE.score).where(
    _TABLE.subject.in_(_SOME)
)
_OUTCOMES = select(monitoring_outcomes.c.subject, monitoring_outcomes.c.value, monitoring_outcomes.c.known_us).where(
    monitoring_outcomes.c.subject.in_(_SOME)
)
_TASK = (
    select(monitoring_hours.c.sums)
    .where(monitoring_hours.c.endpoint == bindparam("endpoint"), monitoring_hours.c.version == bindparam("version"))
    .limit(1)
)
_NEW = insert(monitoring_outcomes)


def _record(change: Change, endpoint: str, said: Mapping[str, _Known]) -> Recorded:
    known = _known(change.connection, said)
    news = {subject: now for subject, now in said.items() if _is_news(known.get(subject), now)}
    if not news:
        return Recorded(new=0, corrected=0, unchanged=len(said))
    new = [
        {"subject": subject, "endpoint": endpoint, "value": now.value, "known_us": now.known_us, "corrections": 0}
        for subject, now in sorted(news.items())
        if subject not in known
    ]
    corrected = [
        {"of": subject, "value": now.value, "known_us": now.known_us}
        for subject, now in sorted(news.items())
        if subject in known
    ]
    if new:
        change.execute(_NEW, new)
    if corrected:
        change.execute(_CORRECT, corrected)
    add_windows(change, endpoint, _gained(change.connection, endpoint, news, known))
    event = change.record(_event(endpoint, news, len(new), len(corrected)))
    return Recorded(new=len(new), corrected=len(corrected), unchanged=len(said) - len(news), event=event)


_CORRECT = (
    update(monitoring_outcomes)
    .where(monitoring_outcomes.c.subject == bindparam("of"))
    .values(value=bindparam("value"), known_us=bindparam("known_us"), corrections=monitoring_outcomes.c.corrections + 1)
)


def _known(connection: Connection, subjects: Mapping[str, _Known]) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for some in chunks(subjects):
        rows = connection.execute(_OUTCOMES, {"some": some})
        found.update((row.subject, _Known(row.value, row.known_us)) for row in rows)
    return found


def _is_news(was: _Known | None, now: _Known) -> bool:
    return was is None or (now.known_us >= was.known_us and now != was)


def _gained(
    connection: Connection, endpoint: str, news: Mapping[str, _Known], known: Mapping[str, _Known]
) -> dict[Place, Window]:
    """Return what the hours' sums gain: what is known now, less what was known before."""
    scored = _scored(connection, endpoint, news)
    gained: dict[Place, Window] = {}
    for sign, values in ((1, news), (-1, {subject: known[subject] for subject in news if subject in known})):
        rows = [(one, values[subject].value) for subject, one in scored if subject in values and one.score is not None]
        for task in ("classification", "regression"):
            mine = [(one, value) for one, value in rows if one.task == task]
            if not mine:
                continue
            sums = of_outcomes(task, [value for _, value in mine], [one.score or 0.0 for one, _ in mine])
            for (one, _), more in zip(mine, sums, strict=True):
                window = gained.setdefault(one.place, Window(one.task))
                window.labelled += sign
                window.sums = window.sums + more if sign > 0 else window.sums - more
    return gained


def _scored(connection: Connection, endpoint: str, subjects: Mapping[str, Any]) -> list[tuple[str, _Scored]]:
    """Return every decision about some subjects, shadows too. Raises ``OutcomeRefused`` for an impossible outcome."""
    tasks: dict[int, Task] = {}
    rows: list[Any] = []
    for some in chunks(subjects):
        rows += connection.execute(_ABOUT, {"some": some}).all()
    for version in sorted({row.version for row in rows}):
        text = connection.execute(_TASK, {"endpoint": endpoint, "version": version}).scalar_one()
        tasks[version] = read(text)[0]
    found = []
    for row in rows:
        task = tasks[row.version]
        if task == "classification" and subjects[row.subject].value not in (0.0, 1.0):
            raise not_a_class(row.subject, subjects[row.subject].value)
        found.append((row.subject, _Scored((row.version, row.stage, row.hour), row.score, task)))
    return found


def not_a_class(subject: str, value: float) -> OutcomeRefused:
    return OutcomeRefused(
        f"the outcome of decision {subject} is {number_text(value)}", where="outcomes",
        why="A classifier's decision turns out 1 (its positive class) or 0, and nothing of this call was kept.",
    )  # fmt: skip


def _event(endpoint: str, news: Mapping[str, _Known], new: int, corrected: int) -> OutcomesRecorded:
    lines = "".join(f"{subject} {now.value!r} {now.known_us}\n" for subject, now in sorted(news.items()))
    known = [now.known_us for now in news.values()]
    return OutcomesRecorded(
        endpoint=endpoint, new=new, corrected=corrected, digest=digest_of_bytes(lines.encode()),
        first_known_at=moment_of(min(known)).isoformat(), last_known_at=moment_of(max(known)).isoformat(),
    )  # fmt: skip
