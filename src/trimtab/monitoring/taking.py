"""Take what the decision log has gained: scores, hourly sums and cell counts, each decision once and all in one step.

Everything is written in one transaction together with the place in the log up to which it was read, so that a process
killed at any point has either taken a decision in full or not at all.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from trimtab.data import value_text
from trimtab.evaluation import Task
from trimtab.monitoring.keys import key_columns
from trimtab.monitoring.moments import HOUR_US
from trimtab.monitoring.sums import Sums, of_outcomes, of_scores, read, text_of, usable
from trimtab.monitoring.tables import (
    monitoring_hours,
    monitoring_outcomes,
    monitoring_scores,
    monitoring_watches,
)
from trimtab.monitoring.windows import add_cells, counted
from trimtab.serving import LoggedRows, Marks, read_unread
from trimtab.store import Change, Journal, Store

AT_ONCE = 500
"""Ids in one query: a database takes only so many parameters."""
TRIES = 5

Place = tuple[int, str, int]
"""A row of ``monitoring_hours`` of an endpoint: version, stage, hour."""


class Window(msgspec.Struct):
    """What a version gained in one stage and hour."""

    task: Task
    n: int = 0
    labelled: int = 0
    sums: Sums = Sums()


class Watched(msgspec.Struct, frozen=True):
    """How far an endpoint was watched. ``until`` is the hour up to which its windows were handed out; "" at first."""

    revision: int = 0
    until: str = ""
    marks: Marks = Marks()


def take(store: Store, endpoint: str, *, until: str = "") -> Watched:
    """Take everything new of an endpoint's log, and note ``until`` when given; return how far it was watched before.

    A long log is taken in parts, each in one step; ``until`` is noted with the last.
    """
    first, more = _take_part(store, endpoint, until)
    while more:
        _, more = _take_part(store, endpoint, until)
    return first


def _take_part(store: Store, endpoint: str, until: str) -> tuple[Watched, bool]:
    """Take what one step can hold; return how far the endpoint was watched before it, and whether there is more."""
    for left in reversed(range(TRIES)):
        with store.read() as connection:
            before = watched(connection, endpoint)
        unread = read_unread(store, endpoint, marks=before.marks, known=_known(store))
        noted = before.until if unread.more else max(until, before.until)
        if not unread.rows and unread.marks == before.marks and noted == before.until:
            return before, unread.more
        cells = counted(store, unread.rows)
        keys = {(one.model, one.version): key_columns(store, one.model, one.version) for one in unread.rows}
        try:
            with store.journal() as journal:
                if locked(journal.connection, endpoint).revision == before.revision:
                    _enter(journal, endpoint, unread.rows, keys)
                    add_cells(journal, endpoint, cells)
                    _note(journal, endpoint, before, Watched(before.revision + 1, noted, unread.marks))
                    return before, unread.more
        except IntegrityError:
            if not left:
                raise
        # Someone else took it meanwhile: look again.
    return before, True


def watched(connection: Connection, endpoint: str) -> Watched:
    """Return how far an endpoint was watched."""
    return _watched(connection, endpoint, lock=False)


def locked(connection: Connection, endpoint: str) -> Watched:
    """Return the same, and keep others from changing sums of the endpoint until the end of the transaction."""
    return _watched(connection, endpoint, lock=True)


def _watched(connection: Connection, endpoint: str, *, lock: bool) -> Watched:
    row = connection.execute(_LOCKED if lock else _WATCHED, {"endpoint": endpoint}).first()
    return Watched() if row is None else Watched(row.revision, row.until, msgspec.msgpack.decode(row.marks, type=Marks))


# The statements of a take are made once: making one costs as much as a small query.
_WATCHED = select(monitoring_watches.c.revision, monitoring_watches.c.until, monitoring_watches.c.marks).where(
    monitoring_watches.c.endpoint == bindparam("endpoint")
)
_LOCKED = _WATCHED.with_for_update()
_NOTE = (
    update(monitoring_watches)
    .where(monitoring_watches.c.endpoint == bindparam("of"))
    .values(revision=bindparam("revision"), until=bindparam("until"), marks=bindparam("marks"))
)
_BEGIN = insert(monitoring_watches)
_HOURS = select(
    monitoring_hours.c.version, monitoring_hours.c.stage, monitoring_hours.c.hour, monitoring_hours.c.n,
    monitoring_hours.c.labelled, monitoring_hours.c.sums,
).where(
    monitoring_hours.c.endpoint == bindparam("endpoint"), monitoring_hours.c.hour >= bindparam("first"),
    monitoring_hours.c.hour <= bindparam("last"),
)  # fmt: skip
_SOME_HOURS = _HOURS.where(monitoring_hours.c.hour.in_(bindparam("hours", expanding=True)))
_NEW_HOURS = insert(monitoring_hours)


def _note(journal: Journal, endpoint: str, before: Watched, now: Watched) -> None:
    values = {"revision": now.revision, "until": now.until, "marks": msgspec.msgpack.encode(now.marks)}
    if before.revision:
        journal.execute(_NOTE, {"of": endpoint, **values})
    else:
        journal.execute(_BEGIN, {"endpoint": endpoint, **values})


def _known(store: Store) -> Any:
    def known(ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        table = monitoring_scores.c
        with store.read() as connection:
            for some in chunks(ids):
                found.update(connection.execute(select(table.id).where(table.id.in_(some))).scalars())
        return found

    return known


def _enter(
    journal: Journal, endpoint: str, rows: Sequence[LoggedRows], keys: Mapping[tuple[str, int], tuple[str, ...] | None]
) -> None:
    entered: list[tuple[Any, ...]] = []
    windows: dict[Place, Window] = {}
    known: dict[Place, list[float | None]] = {}
    mirrored: list[tuple[str, Place, float]] = []
    for one in rows:
        task, scores = scores_of(one)
        columns = keys[one.model, one.version]
        for id_, us, key, mirrors, score in zip(
            one.ids, one.as_of_us, one.keys, one.mirrors, scores, strict=True
        ):  # fmt: skip
            place = (one.version, one.stage, us // HOUR_US)
            subject = mirrors or id_
            entered.append((id_, endpoint, *place, us, subject, key_text(key, columns), score))
            if subject != id_ and score is not None:
                mirrored.append((subject, place, score))
            window = windows.get(place)
            if window is None:
                window = windows[place] = Window(task)
                known[place] = []
            window.n += 1
            known[place].append(score)
    for where, window in windows.items():
        window.sums += of_scores(known[where])
    if entered:
        journal.insert_many(monitoring_scores, entered)
        _add_known(journal.connection, mirrored, windows)
        add_windows(journal, endpoint, windows)


def _add_known(
    connection: Connection, mirrored: Sequence[tuple[str, Place, float]], windows: Mapping[Place, Window]
) -> None:
    """Count the outcomes that were known before a decision was taken: of a shadow that came late."""
    table = monitoring_outcomes.c
    for some in chunks(mirrored):
        query = select(table.subject, table.value).where(table.subject.in_({subject for subject, _, _ in some}))
        outcomes = {row[0]: row[1] for row in connection.execute(query)}
        for subject, place, score in some:
            if subject in outcomes:
                window = windows[place]
                window.labelled += 1
                window.sums += of_outcomes(window.task, [outcomes[subject]], [score])[0]


def add_windows(writer: Change | Journal, endpoint: str, windows: Mapping[Place, Window]) -> None:
    """Add to the hourly sums. The endpoint's row of ``monitoring_watches`` must be locked."""
    if not windows:
        return
    hours = {hour for _, _, hour in windows}
    span = {"endpoint": endpoint, "first": min(hours), "last": max(hours)}
    if len(hours) <= AT_ONCE:
        rows = writer.connection.execute(_SOME_HOURS, {**span, "hours": sorted(hours)})
    else:
        rows = writer.connection.execute(_HOURS, span)
    found = {(row.version, row.stage, row.hour): row for row in rows}
    new, changed = [], []
    for (version, stage, hour), window in sorted(windows.items()):
        was = found.get((version, stage, hour))
        n, labelled, sums = window.n, window.labelled, window.sums
        if was is not None:
            n, labelled, sums = n + was.n, labelled + was.labelled, sums + read(was.sums)[1]
        values = {"n": n, "labelled": labelled, "sums": text_of(window.task, sums)}
        if was is None:
            new.append({"endpoint": endpoint, "version": version, "stage": stage, "hour": hour, **values})
        else:
            changed.append({"e": endpoint, "v": version, "s": stage, "h": hour, **values})
    if new:
        writer.execute(_NEW_HOURS, new)
    if changed:
        writer.execute(_UPDATE, changed)


_UPDATE = update(monitoring_hours).where(
    monitoring_hours.c.endpoint == bindparam("e"), monitoring_hours.c.version == bindparam("v"),
    monitoring_hours.c.stage == bindparam("s"), monitoring_hours.c.hour == bindparam("h"),
).values(n=bindparam("n"), labelled=bindparam("labelled"), sums=bindparam("sums"))  # fmt: skip


def scores_of(rows: LoggedRows) -> tuple[Task, list[float | None]]:
    """Return the task and one number for each decision: the probability of True, or the predicted number."""
    for name in ("probability", "prediction"):
        if name in rows.results:
            task: Task = "classification" if name == "probability" else "regression"
            return task, [usable(value) for value in rows.results[name]]
    first = next(iter(rows.results.values()), [None] * len(rows.ids))
    return "regression", [usable(value) for value in first]


def key_text(key: Mapping[str, Any] | None, columns: Sequence[str] | None) -> str | None:
    """Return what stands for a key in the table, however its columns are ordered; None when it is not whole.

    Values count by their one text: 3, 3.0 and "3" name the same. A logged key may hold more than its ``columns``: the
    moment of decision, when the request named it.
    """
    if key is None or (columns is not None and not all(name in key for name in columns)):
        return None
    values = {name: key[name] for name in (key if columns is None else columns)}
    return digest_of_key(
        {name: value if (text := value_text(value)) is None else text for name, value in values.items()}
    )


def digest_of_key(values: Mapping[str, Any]) -> str:
    """Return the digest of a key's values as they are given, which until November 2026 stood for the key."""
    return hashlib.blake2b(msgspec.json.encode(values, order="deterministic"), digest_size=16).hexdigest()


def chunks(values: Iterable[Any]) -> Iterable[list[Any]]:
    """Yield values in lists that one query can take."""
    listed = list(values)
    for start in range(0, len(listed), AT_ONCE):
        yield listed[start : start + AT_ONCE]
