"""Count refused attempts: who was refused what, how often, in which hour. Nobody can fill a disk with it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from trimtab.kernel import Refused, TrimtabError, parse_time
from trimtab.server.errors import NotSignedIn, TooManyFailures
from trimtab.server.records import Refusal
from trimtab.server.tables import server_refusals
from trimtab.store import Journal, Store

MOST_AN_HOUR = 200
"""How many different refusals an hour has a row for; what comes beyond is counted in one more, as ``others``."""
KEPT = timedelta(days=92)
UNKNOWN = "unknown"
"""The actor of an attempt by somebody who did not say who they are."""
OTHERS = "others"
_LONGEST = 200


class _Key(NamedTuple):
    hour: str
    code: str
    actor: str
    asked: str
    about: str


class Refusals:
    """Refusals that were noted and not yet written: requests note them in memory, and a background task writes them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[_Key] = Counter()
        self._last: dict[_Key, str] = {}

    def note(self, error: TrimtabError, *, at: datetime, actor: str = UNKNOWN, asked: str, about: str = "") -> None:
        """Count an error, if it is one that refuses: ``asked`` says what was asked for, ``about`` of what."""
        if not _is_refusal(error):
            return
        key = _Key(_hour(at), error.code, _short(actor), _short(asked), _short(about))
        with self._lock:
            if key not in self._counts and len(self._counts) >= MOST_AN_HOUR:
                key = _others(key.hour)
            self._counts[key] += 1
            self._last[key] = at.isoformat()

    def write(self, store: Store) -> None:
        """Write down what was noted since the last time. What cannot be written now is kept for the next time."""
        with self._lock:
            counts, last = self._counts, self._last
            self._counts, self._last = Counter(), {}
        if not counts:
            return
        try:
            with store.journal() as journal:
                _write(journal, counts, last)
        except TrimtabError:
            with self._lock:
                self._counts.update(counts)
                self._last = {**last, **self._last}
            raise


def count_refusal(store: Store, error: TrimtabError, *, actor: str, asked: str, about: str = "") -> None:
    """Count an error at once, if it is one that refuses: for whoever works on the store without a server."""
    refusals = Refusals()
    refusals.note(error, at=store.clock.now(), actor=actor, asked=asked, about=about)
    refusals.write(store)


def list_refusals(store: Store, *, limit: int = 100, offset: int = 0) -> tuple[Refusal, ...]:
    """Return refused attempts, the newest hour first, without the first ``offset`` of them."""
    table = server_refusals
    query = select(table).order_by(table.c.hour.desc(), *table.primary_key.columns).limit(limit).offset(offset)
    with store.read() as connection:
        return tuple(_refusal(row) for row in connection.execute(query).mappings())


def _is_refusal(error: TrimtabError) -> bool:
    if isinstance(error, NotSignedIn):
        return bool(error.data.get("tried"))  # a browser that has shown nothing yet is only sent to sign in
    return isinstance(error, Refused | TooManyFailures)


def _write(journal: Journal, counts: Counter[_Key], last: dict[_Key, str]) -> None:
    """Add counts to their rows. An hour that has its number of rows takes others as one."""
    for hour in sorted({key.hour for key in counts}):
        known = _known(journal, hour)
        if not known:
            kept_from = datetime.fromisoformat(hour) - KEPT
            journal.execute(delete(server_refusals).where(server_refusals.c.hour < _hour(kept_from)))
        for key in sorted(key for key in counts if key.hour == hour):
            place = key if key in known or len(known) < MOST_AN_HOUR else _others(hour)
            known.add(place)
            journal.execute(
                _adding(journal.connection.dialect.name),
                {**place._asdict(), "count": counts[key], "last_at": last[key]},
            )


def _known(journal: Journal, hour: str) -> set[_Key]:
    table = server_refusals
    query = select(table.c.hour, table.c.code, table.c.actor, table.c.asked, table.c.about)
    return {_Key(*row) for row in journal.connection.execute(query.where(table.c.hour == hour))}


def _adding(dialect: str) -> Any:
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(server_refusals)
    new, old = statement.excluded, server_refusals.c
    latest = (func.greatest if dialect == "postgresql" else func.max)(old.last_at, new.last_at)
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in server_refusals.primary_key.columns],
        set_={"count": old.count + new.count, "last_at": latest},
    )


def _refusal(row: Any) -> Refusal:
    where = "table server_refusals"
    return Refusal(
        hour=parse_time(row["hour"], where=where), code=row["code"], actor=row["actor"], asked=row["asked"],
        about=row["about"], count=row["count"], last_at=parse_time(row["last_at"], where=where),
    )  # fmt: skip


def _hour(at: datetime) -> str:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0).isoformat()


def _others(hour: str) -> _Key:
    return _Key(hour, OTHERS, OTHERS, OTHERS, "")


def _short(text: str) -> str:
    return text.replace("\0", "").strip()[:_LONGEST]
