"""Refused attempts are counted by who, what and when, and nobody can fill the disk with them."""

from collections.abc import Callable
from datetime import timedelta

import httpx

from trimtab.kernel import Actor, Invalid, Refused, VirtualClock
from trimtab.server import issue_token, list_refusals
from trimtab.server.doors import Doors
from trimtab.server.refusals import KEPT, MOST_AN_HOUR, Refusals, count_refusal
from trimtab.store import Store

NO = Refused("no", where="test", why="A rule says so.", next="ask someone else")


def counted(store: Store) -> list[tuple[str, str, str, str, int]]:
    return [(one.code, one.actor, one.asked, one.about, one.count) for one in list_refusals(store, limit=1000)]


def test_the_same_is_counted_and_not_kept_again(store: Store, clock: VirtualClock) -> None:
    refusals = Refusals()
    for _ in range(3):
        refusals.note(NO, at=clock.now(), actor="bob", asked="POST /x", about="late")
        clock.sleep(60)
    refusals.write(store)
    refusals.write(store)
    count_refusal(store, NO, actor="bob", asked="POST /x", about="late")
    assert counted(store) == [("refused", "bob", "POST /x", "late", 4)]
    (one,) = list_refusals(store)
    assert (one.last_at, one.hour) == (clock.now(), clock.now().replace(minute=0))
    clock.sleep(3600)
    count_refusal(store, NO, actor="bob", asked="POST /x", about="late")
    assert [one[-1] for one in counted(store)] == [1, 4]


def test_a_mistake_is_no_refusal(sqlite_store: Store) -> None:
    wrong = Invalid("no", where="test", why="It is wrong.", next="correct it")
    count_refusal(sqlite_store, wrong, actor="bob", asked="POST /x")
    assert counted(sqlite_store) == []


def test_an_hour_has_a_bounded_number_of_rows(store: Store, clock: VirtualClock) -> None:
    refusals = Refusals()
    for piece in range(4):
        for attempt in range(MOST_AN_HOUR):
            refusals.note(NO, at=clock.now(), actor=f"bot{piece}-{attempt}", asked="x" * 1000, about="\0" * 9)
        refusals.write(store)
    found = counted(store)
    assert len(found) == MOST_AN_HOUR + 1
    assert sum(count for *_, count in found) == 4 * MOST_AN_HOUR
    assert {asked for code, _, asked, _, _ in found if code == "refused"} == {"x" * 200}
    assert next(count for code, *_, count in found if code == "others") == 3 * MOST_AN_HOUR


def test_what_waits_to_be_written_is_bounded_too(store: Store, clock: VirtualClock) -> None:
    refusals = Refusals()
    for attempt in range(10 * MOST_AN_HOUR):
        refusals.note(NO, at=clock.now(), actor=f"bot{attempt}", asked="x")
    refusals.write(store)
    assert len(counted(store)) <= MOST_AN_HOUR + 1
    assert sum(count for *_, count in counted(store)) == 10 * MOST_AN_HOUR


def test_old_hours_are_forgotten(store: Store, clock: VirtualClock) -> None:
    count_refusal(store, NO, actor="bob", asked="old")
    clock.sleep((KEPT + timedelta(hours=1)).total_seconds())
    count_refusal(store, NO, actor="bob", asked="new")
    assert [asked for _, _, asked, _, _ in counted(store)] == ["new"]


def test_every_door_counts_whom_it_sends_away(
    sqlite_store: Store, actor: Actor, notes_behind: Callable[[Doors], httpx.Client]
) -> None:
    doors = Doors(store=sqlite_store, clock=sqlite_store.clock, hosts=frozenset({"testserver"}), local=None)
    client = notes_behind(doors)
    with sqlite_store.change(actor, "test") as change:
        bot = {"Authorization": f"Bearer {issue_token(change, 'bot', may=['read:b', 'log']).secret}"}
    client.get("/api/v1/notes/a")  # nothing was shown, so nothing was tried
    client.get("/api/v1/notes/a", headers={"Authorization": "Bearer trimtab_wrong"})
    client.get("/api/v1/notes/a", headers={"Host": "evil.example"})
    client.get("/nowhere", headers={"Host": "evil.example"})
    client.get("/api/v1/notes/a", headers=bot)
    client.put("/api/v1/raw", content=b"x", headers=bot)
    client.post("/api/v1/notes", json={"text": "a"}, headers=bot | {"Sec-Fetch-Site": "cross-site"})
    doors.refusals.write(sqlite_store)
    bot_ = "bot (issued by tester)"
    assert set(counted(sqlite_store)) == {
        ("server.not-signed-in", "unknown", "GET /api/v1/notes/{text}", "", 1),
        ("server.foreign-host", "unknown", "GET /api/v1/notes/{text}", "evil.example", 1),
        ("server.foreign-host", "unknown", "a path that is not there", "evil.example", 1),
        ("server.not-allowed", bot_, "GET /api/v1/notes/{text}", "a", 1),
        ("server.not-allowed", bot_, "PUT /api/v1/raw", "", 1),
        ("server.foreign-origin", "unknown", "POST /api/v1/notes", "", 1),
    }
