"""Ids sort by the time they were made, and never repeat."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel import Ids, SystemClock, VirtualClock, is_id, time_of
from trimtab.kernel.ids import encode

START = datetime(2013, 3, 1, tzinfo=UTC)


@given(st.lists(st.sampled_from([0.0, 0.0001, 0.001, 5.0, 1e6]), min_size=1, max_size=50), st.integers() | st.none())
def test_later_ids_are_greater(steps: list[float], seed: int | None) -> None:
    clock = VirtualClock(START)
    ids = Ids(clock, seed=seed)
    made = []
    for step in steps:
        clock.sleep(step)
        made.append(ids.new())
    assert made == sorted(set(made))
    assert all(is_id(id_) for id_ in made)


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_text_sorts_like_the_number(one: int, other: int) -> None:
    assert (encode(one) < encode(other)) == (one < other)
    assert len(encode(one)) == 26


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_an_id_tells_its_millisecond(at: datetime) -> None:
    told = time_of(Ids(VirtualClock(at)).new())
    assert timedelta(0) <= at - told < timedelta(milliseconds=1)


def test_with_a_seed_they_repeat() -> None:
    one, other = Ids(VirtualClock(START), seed=7), Ids(VirtualClock(START), seed=7)
    assert [one.new() for _ in range(5)] == [other.new() for _ in range(5)]
    assert Ids(VirtualClock(START), seed=8).new() != Ids(VirtualClock(START), seed=7).new()


def test_threads_never_get_the_same() -> None:
    ids = Ids(SystemClock())
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: [ids.new() for _ in range(500)], range(4)))
    assert len({id_ for part in made for id_ in part}) == 2000
    assert all(part == sorted(part) for part in made)


def test_forked_processes_never_get_the_same() -> None:
    ids = Ids(VirtualClock(START))
    ids.new()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, "".join(ids.new() for _ in range(100)).encode())
        os._exit(0)
    mine = {ids.new() for _ in range(100)}
    os.waitpid(child, 0)
    text = os.read(reading, 100_000).decode()
    theirs = {text[at : at + 26] for at in range(0, len(text), 26)}
    assert (len(mine), len(theirs), mine & theirs) == (100, 100, set())


def test_what_is_no_id() -> None:
    good = Ids(SystemClock()).new()
    for text in ("", good[:-1], good + "0", good.lower(), "8" + good[1:], good[:-1] + "U"):
        assert not is_id(text)
