"""What gateways count outlives them: minute by minute, from several writers, and whatever is flushed when."""

from datetime import timedelta

import pytest

from trimtab.kernel import VirtualClock
from trimtab.serving.counting import Counting, counts_between
from trimtab.serving.statistics import MIRROR, Tallies, Tally
from trimtab.store import Store

NAME = ("late", 1, "")
MINUTE = timedelta(minutes=1)


def test_flushes_add_up_over_minutes_and_writers(store: Store, clock: VirtualClock) -> None:
    start = clock.now()
    for _ in range(2):
        tally = Tally()
        counting = Counting(store, {NAME: tally})
        for seconds in (0.001, 0.002, 0.004):
            tally.answered(2, seconds)
            counting.flush()  # several times in a minute
            counting.flush()  # nothing new
        tally.errors += 1
        clock.sleep(60)
        tally.answered(1, 0.5)
        counting.flush()

    whole = counts_between(store, "late", version=1, since=start, until=start + 5 * MINUTE)
    assert (whole.requests, whole.rows, whole.errors, whole.dropped) == (8, 14, 2, 0)
    assert whole.latency.n == 8
    assert whole.latency.sum_s == pytest.approx(2 * 0.507)
    assert whole.latency.max_s == 0.5
    assert whole.latency.quantile(0.5) == pytest.approx(0.002, rel=0.06)
    first = counts_between(store, "late", version=1, since=start, until=start + MINUTE)
    assert (first.requests, first.errors) == (3, 0)
    other = counts_between(store, "late", version=2, since=start, until=start + 5 * MINUTE)
    assert (other.requests, other.latency.quantile(0.5)) == (0, None)


def test_what_a_version_did_is_kept_under_the_stage_that_it_did_it_in(store: Store, clock: VirtualClock) -> None:
    tally, mirror = Tally("canary"), Tally("shadow")
    tallies: Tallies = {NAME: tally, (*NAME[:2], MIRROR): mirror}
    counting = Counting(store, tallies)
    tally.answered(1, 0.001)
    mirror.answered(5, 0.001)
    mirror.dropped = 3
    counting.flush()
    tally.stage = "full"
    tally.answered(1, 0.001)
    counting.flush()

    def rows(*stages: str) -> int:
        until = clock.now() + MINUTE
        return counts_between(store, "late", version=1, since=clock.now(), until=until, stages=stages).rows  # type: ignore[arg-type]

    assert (rows("canary"), rows("full"), rows("shadow"), rows("full", "canary", "shadow")) == (1, 1, 5, 7)


def test_a_flush_that_fails_loses_nothing(
    sqlite_store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally()
    counting = Counting(sqlite_store, {NAME: tally})
    tally.answered(1, 0.001)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_store, "journal", _away)
        with pytest.raises(OSError, match="away"):
            counting.flush()
    counting.flush()
    found = counts_between(sqlite_store, "late", version=1, since=clock.now(), until=clock.now() + MINUTE)
    assert found.requests == 1


def _away() -> None:
    raise OSError("the database is away")
