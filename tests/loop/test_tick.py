"""How often the loop looks: once an hour, a day, a week, whether or not a kill lies in between."""

from datetime import UTC, datetime, timedelta

from trimtab.loop import Loop
from trimtab.store import Store

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEEK = 7 * DAY
START = datetime(2013, 2, 1, tzinfo=UTC)


def looks(loop: Loop, every: timedelta, hours: range) -> list[int]:
    return [hour for hour in hours if loop._is_new("slow", every, START + hour * HOUR)]


def test_a_loop_that_goes_on_after_a_kill_looks_when_the_undisturbed_one_would(sqlite_store: Store) -> None:
    for every in (HOUR, DAY, WEEK):
        calm = looks(Loop(sqlite_store, check_every=DAY), every, range(1, 200))
        assert calm[0] == 1
        for killed in (2, 23, 24, 25, 100, 144, 168):
            first = looks(Loop(sqlite_store, check_every=DAY), every, range(1, killed))
            after = Loop(sqlite_store, check_every=DAY, looked_at=START + (killed - 1) * HOUR)
            assert [*first, *looks(after, every, range(killed, 200))] == calm
