"""Whoever guesses at tokens is slowed down, and nobody else is."""

from collections.abc import Callable

import httpx
import pytest

from trimtab.kernel import Actor, VirtualClock
from trimtab.server import issue_token
from trimtab.server.doors import Doors
from trimtab.server.errors import NotSignedIn, TooManyFailures
from trimtab.server.throttle import CROWD, FREE, LONGEST_S, REMEMBERED, Throttle
from trimtab.store import Store

READ = "/api/v1/notes/a"
HERE = "192.0.2.1"


def tried(throttle: Throttle, address: str, mark: int, now_s: float) -> bool:
    """Try a wrong secret; say whether it was looked at."""
    try:
        throttle.check(address, mark, now_s=now_s)
    except TooManyFailures:
        return False
    throttle.failed(address, mark, now_s=now_s)
    return True


def test_guesses_come_ever_more_slowly_and_never_stop() -> None:
    throttle = Throttle()
    looked_at = [
        second
        for second in range(3600)
        for guess in range(10)
        if tried(throttle, HERE, second * 10 + guess, float(second))
    ]
    assert looked_at[: FREE + 1] == [0] * (FREE + 1)
    waits = [later - sooner for sooner, later in zip(looked_at[FREE:], looked_at[FREE + 1 :], strict=False)]
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert set(waits[5:]) == {int(LONGEST_S)}


def test_nobody_else_is_held_up() -> None:
    throttle = Throttle()
    for guess in range(CROWD * 3):
        tried(throttle, f"198.51.100.{guess % 200}", guess, 0.0)
    throttle.check(HERE, 1, now_s=0.0)
    assert tried(throttle, HERE, 1, 0.0)
    assert not tried(throttle, HERE, 2, 0.0)  # among so many that guess, one free attempt is enough


def test_the_same_wrong_secret_is_no_guess() -> None:
    """A program with an expired token must not keep its neighbours behind one address from signing in."""
    throttle = Throttle()
    assert all(tried(throttle, HERE, 7, second / 10) for second in range(1000))
    assert tried(throttle, HERE, 8, 100.0)


def test_ipv6_is_counted_by_network_and_memory_is_bounded() -> None:
    throttle = Throttle()
    for guess in range(FREE + 1):
        tried(throttle, f"2001:db8::{guess:x}", guess, 0.0)
    assert not tried(throttle, "2001:db8::ffff", 100, 0.0)
    assert tried(throttle, "2001:db8:0:1::1", 100, 0.0)
    for guess in range(REMEMBERED * 2):
        throttle.failed(f"10.{guess >> 8}.{guess & 255}.1", guess, now_s=0.0)
    assert len(throttle._failed) == REMEMBERED


def test_guessing_over_http_is_slowed_for_every_door(
    sqlite_store: Store, actor: Actor, clock: VirtualClock, notes_behind: Callable[[Doors], httpx.Client]
) -> None:
    doors = Doors(store=sqlite_store, clock=clock, hosts=frozenset({"testserver"}), local=None)
    client = notes_behind(doors)
    with sqlite_store.change(actor, "test") as change:
        old, new = (issue_token(change, name, may=["read"]).secret for name in ("old", "new"))

    def asked(secret: str) -> httpx.Response:
        return client.get(READ, headers={"Authorization": f"Bearer {secret}"})

    assert asked(old).status_code == 200
    found = [asked(f"trimtab_guess{guess}").status_code for guess in range(FREE + 20)]
    assert found == [401] * (FREE + 1) + [429] * 19
    slowed = asked("trimtab_another")
    assert (slowed.headers["retry-after"], slowed.json()["code"]) == ("1", "server.too-many-failures")
    with pytest.raises(TooManyFailures):
        doors.sign_in("trimtab_another", address="testclient", because="test")
    with pytest.raises(NotSignedIn):
        doors.sign_in("trimtab_another", address=HERE, because="test")
    assert asked(new).status_code == 429
    clock.sleep(6)
    assert asked(old).status_code == 200  # which was taken before, and is asked about again
    assert asked(new).status_code == 200
