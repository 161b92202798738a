"""The choice of who answers: without chance, in the shares that were asked for, and steady as a canary grows."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.serving.records import Canary, Routing
from trimtab.serving.router import SLOTS, Route, Target, share_of, slots_of

IDS = [f"01J{i:023d}" for i in range(20_000)]


class Stand:
    """A target that only has a version, a name and a share."""

    def __init__(self, version: int, name: str, percent: float) -> None:
        self.version = version
        self.name = name
        self.percent = percent

    def __str__(self) -> str:
        return self.name


def route(*percents: float, sticky_by: str | None = None) -> Route:
    canaries = tuple(Canary(version=i + 2, percent=percent) for i, percent in enumerate(percents))
    routing = Routing(endpoint="late", model="late", champion=1, canary=canaries, sticky_by=sticky_by)
    stands: Any = [Stand(i + 2, f"canary{i + 1}", percent) for i, percent in enumerate(percents)]
    champion = cast(Target, Stand(1, "champion", 100 - sum(percents)))
    return Route.of(routing, champion=champion, canaries=tuple(stands), shadows=())


def name_of(where: Route, id_: str, sticky: object = None) -> str:
    return str(where.choose(id_, sticky).target)


def shares(where: Route) -> dict[str, float]:
    found: dict[str, int] = {}
    for id_ in IDS:
        name = name_of(where, id_)
        found[name] = found.get(name, 0) + 1
    return {name: count / len(IDS) * 100 for name, count in found.items()}


@pytest.mark.parametrize("percents", [(5.0,), (25.0,), (50.0,), (10.0, 30.0), (0.5,), (60.0, 40.0)])
def test_shares_are_what_was_asked_for(percents: tuple[float, ...]) -> None:
    found = shares(route(*percents))
    wanted = {f"canary{i + 1}": percent for i, percent in enumerate(percents)} | {"champion": 100 - sum(percents)}
    for name, percent in wanted.items():
        spread = (percent * (100 - percent) / len(IDS)) ** 0.5
        assert abs(found.get(name, 0) - percent) <= 4 * spread, name


def test_a_canary_that_grows_keeps_its_decisions() -> None:
    small, large = route(5.0), route(25.0)
    kept = [id_ for id_ in IDS if name_of(small, id_) == "canary1"]
    assert kept
    assert all(name_of(large, id_) == "canary1" for id_ in kept)


@pytest.mark.parametrize(
    ("before", "after", "least"),
    [
        ({2: 5.0, 3: 10.0}, {2: 50.0, 3: 10.0}, 0.97),  # the first grows
        ({2: 10.0, 3: 10.0}, {2: 90.0, 3: 10.0}, 1.0),
        ({2: 5.0, 3: 10.0}, {3: 10.0}, 0.95),  # the first leaves
        ({3: 10.0}, {2: 5.0, 3: 10.0}, 0.95),  # another comes
        ({2: 5.0, 3: 10.0, 4: 20.0}, {2: 25.0, 3: 10.0, 4: 20.0}, 0.95),
    ],
)
def test_a_canary_keeps_its_callers_while_another_grows(
    before: dict[int, float], after: dict[int, float], least: float
) -> None:
    was, now = slots_of("late", before), slots_of("late", after)
    had = {slot for slot in range(SLOTS) if was[slot] == 3}
    assert len(had) == SLOTS // 10 == now.count(3)
    assert sum(now[slot] == 3 for slot in had) >= least * len(had)
    grown = {slot for slot in range(SLOTS) if was[slot] == 2}
    assert not after.get(2) or all(now[slot] == 2 for slot in grown), "what grows loses nothing"


def test_all_or_nothing() -> None:
    assert set(shares(route(100.0))) == {"canary1"}
    assert set(shares(route())) == {"champion"}


def test_the_same_value_meets_the_same_version_whatever_the_id() -> None:
    where = route(30.0, sticky_by="carrier")
    for carrier in ("UA", "DL", 7, True):
        assert len({name_of(where, id_, carrier) for id_ in IDS[:200]}) == 1
    assert {name_of(where, "x", f"flight {i}") for i in range(200)} == {"champion", "canary1"}
    assert [name_of(where, "x", i) for i in range(99)] == [name_of(where, "x", float(i)) for i in range(99)]


def test_the_reason_says_who_and_by_what() -> None:
    assert route().choose("x").reason == "champion"
    reasons = {route(30.0, sticky_by="carrier").choose("x", str(i)).reason for i in range(100)}
    assert reasons == {"champion 70% by carrier", "canary 30% by carrier"}
    assert {route(30.0).choose(str(i)).reason for i in range(100)} == {"champion 70% by id", "canary 30% by id"}


def test_endpoints_draw_apart() -> None:
    together = sum((share_of("a", id_) < 0.5) == (share_of("b", id_) < 0.5) for id_ in IDS) / len(IDS)
    assert abs(together - 0.5) < 0.02


@given(st.text(), st.text())
def test_a_share_lies_between_nothing_and_all_and_never_changes(endpoint: str, token: str) -> None:
    assert 0 <= share_of(endpoint, token) < 1
    assert share_of(endpoint, token) == share_of(endpoint, token)


def test_the_hash_is_written_down() -> None:
    # Other gateways, and later releases, must choose the same: a change here moves everyone's canaries.
    assert [round(share_of("late", f"F{i}"), 6) for i in range(3)] == [0.04642, 0.977306, 0.526252]
    assert [slot for slot, version in enumerate(slots_of("late", {2: 0.05})) if version] == [
        297,
        3949,
        5173,
        6890,
        7959,
    ]
