"""Decisions that lie unsealed on another machine: have them sealed there, so that they are found from anywhere.

Decisions are files of the home that took them until a segment is full or old, and are in the database's reach from then
on. Where several homes share a database each says there that it serves. Whoever looks for a decision and does not find
it raises a number in the rows of the others; a gateway looks at its row every second, seals what it has, and answers
with that number.
"""

import platform
from datetime import datetime, timedelta

from sqlalchemy import bindparam, insert, select, update

from trimtab.kernel import SystemClock
from trimtab.serving.log import DecisionLog, decisions_folder
from trimtab.serving.segments import SUFFIX
from trimtab.serving.tables import serving_homes
from trimtab.store import Store, identity_of

ANSWERS_WITHIN_S = 10.0
"""How long a home is waited for; sealing a large segment takes some seconds."""
SLACK = timedelta(minutes=10)
"""How long before it is logged a decision may have got its id."""
LOOKS_EVERY_S = 0.1


class ServingHome:
    """What the gateway of a home tells the others: that it serves, and what it has sealed."""

    def __init__(self, store: Store, log: DecisionLog) -> None:
        self._store = store
        self._log = log
        self._home = identity_of(store.settings.home_path).id

    def open(self) -> None:
        """Say that decisions may lie unsealed here from now on."""
        host = platform.node()[:200] or "a machine without a name"
        now = self._store.clock.now().isoformat()
        with self._store.journal() as journal:
            if journal.connection.execute(_MINE, {"home": self._home}).first() is None:
                row = {"home": self._home, "host": host, "open": True, "clear_at": now, "asked": 0, "answered": 0}
                journal.execute(insert(serving_homes), row)
            else:
                journal.execute(_NOTE.values(open=True, host=host), {"of": self._home})

    def answer(self) -> None:
        """Seal what is here when somebody asks for it, and say so once nothing of it is left."""
        with self._store.read() as connection:
            row = connection.execute(_MINE, {"home": self._home}).first()
        if row is None or row.asked == row.answered:
            return
        now, before = self._store.clock.now(), self._unsealed()
        self._log.seal(also_open=None)
        if not before & self._unsealed():  # else another process of this home has them, and answers later
            self._note(asked=row.asked, at=now, is_open=True)

    def close(self) -> None:
        """Say that nothing lies unsealed here any more, if that is so."""
        if not self._unsealed():
            with self._store.read() as connection:
                row = connection.execute(_MINE, {"home": self._home}).first()
            self._note(asked=row.asked if row else 0, at=self._store.clock.now(), is_open=False)

    def _note(self, *, asked: int, at: datetime, is_open: bool) -> None:
        with self._store.journal() as journal:
            values = {"answered": asked, "clear_at": at.isoformat(), "open": is_open}
            journal.execute(_NOTE.values(**values), {"of": self._home})

    def _unsealed(self) -> set[str]:
        return {path.stem for path in decisions_folder(self._store).glob(f"*/*{SUFFIX}")}


def seal_elsewhere(store: Store, *, decided_at: datetime | None = None) -> list[str]:
    """Have the other homes of this database seal what they hold; return the machines of those that did not answer.

    With ``decided_at`` only homes are asked that may still hold a decision of that moment.
    """
    own = identity_of(store.settings.home_path).id
    asked = _asked(store, own, decided_at)
    clock = SystemClock()
    end = clock.monotonic() + ANSWERS_WITHIN_S
    while asked and clock.monotonic() < end:
        clock.sleep(LOOKS_EVERY_S)
        with store.read() as connection:
            rows = {row.home: row for row in connection.execute(_OTHERS, {"own": own})}
        asked = {home: number for home, number in asked.items() if home in rows and rows[home].answered < number}
    if not asked:
        return []
    with store.read() as connection:
        return sorted({row.host for row in connection.execute(_OTHERS, {"own": own}) if row.home in asked})


def _asked(store: Store, own: str, decided_at: datetime | None) -> dict[str, int]:
    """Ask the homes that matter; return the number that each is to answer with."""
    with store.read() as connection:
        others = [
            row.home for row in connection.execute(_OTHERS, {"own": own})
            if decided_at is None or datetime.fromisoformat(row.clear_at) - SLACK <= decided_at
        ]  # fmt: skip
    if not others:
        return {}
    with store.journal() as journal:
        for home in sorted(others):
            journal.execute(_ASK, {"of": home})
        return {row.home: row.asked for row in journal.connection.execute(_OTHERS, {"own": own}) if row.home in others}


_TABLE = serving_homes.c
_MINE = select(_TABLE.asked, _TABLE.answered).where(_TABLE.home == bindparam("home"))
_OTHERS = select(serving_homes).where(_TABLE.home != bindparam("own"), _TABLE.open)
_ASK = update(serving_homes).where(_TABLE.home == bindparam("of")).values(asked=_TABLE.asked + 1)
_NOTE = update(serving_homes).where(_TABLE.home == bindparam("of"))
