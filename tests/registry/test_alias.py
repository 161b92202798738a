"""Aliases: the champion is approved, every move is an event with what was before and after."""

import pytest
from tests.registry.cases import BOB, approved, registered

from trimtab.registry import (
    ModelMissing,
    NameNotUsable,
    NotApproved,
    aliases,
    approve,
    drop_alias,
    get_model,
    get_version,
    set_alias,
)
from trimtab.store import ReasonMissing, Store, events


def test_moving_an_alias_says_from_where_to_where(store: Store) -> None:
    first, _ = approved(store)
    second = registered(store, model=b"second")
    with store.change(BOB, "go") as change:
        set_alias(change, first, "champion")
        set_alias(change, second, "challenger")
    with store.change(BOB, "better") as change:
        approve(change, second)
        set_alias(change, "late@challenger", "champion")
    assert get_version(store, "late").number == 2
    assert aliases(store, "late") == get_model(store, "late").aliases == {"champion": 2}, "it is no challenger any more"
    moved = [event for event in events(store, type="registry.alias-moved") if event.data["alias"] == "champion"]
    assert [(event.data["was"], event.data["now"]) for event in moved] == [(None, 1), (1, 2)]
    assert (moved[1].before, moved[1].after) == (first.covered, second.covered)


def test_naming_the_same_again_records_nothing(store: Store) -> None:
    version, _ = approved(store)
    with store.change(BOB, "go") as change:
        set_alias(change, version, "champion")
    before = len(events(store))
    with store.change(BOB, "go") as change:
        assert set_alias(change, version, "champion").ref == "late@1"
    assert len(events(store)) == before


def test_the_champion_is_approved(store: Store) -> None:
    version = registered(store)
    with pytest.raises(NotApproved, match="It is candidate, and only an approved version"), store.change(BOB, "x") as c:
        set_alias(c, version, "champion")
    with store.change(BOB, "x") as change:
        set_alias(change, version, "challenger")
        set_alias(change, version, "nightly")
    assert aliases(store, "late") == {"challenger": 1, "nightly": 1}


def test_the_champion_can_go_back(store: Store) -> None:
    first, _ = approved(store)
    second, _ = approved(store, model=b"second")
    for version in (first, second, first):
        with store.change(BOB, "move") as change:
            set_alias(change, version, "champion")
    assert get_version(store, "late@champion").number == 1


def test_an_alias_can_be_dropped(store: Store) -> None:
    version = registered(store)
    with store.change(BOB, "x") as change:
        set_alias(change, version, "nightly")
    with store.change(BOB, "x") as change:
        drop_alias(change, "late", "nightly")
    assert aliases(store, "late") == {}
    before = len(events(store))
    with store.change(BOB, "x") as change:
        drop_alias(change, "late", "nightly")
    assert len(events(store)) == before
    with pytest.raises(ReasonMissing), store.change(BOB) as change:
        drop_alias(change, "late", "nightly")
    with pytest.raises(ModelMissing), store.change(BOB, "x") as change:
        drop_alias(change, "early", "nightly")


@pytest.mark.parametrize("alias", ["", "Champion", "3", "latest", "a b", "a" * 64, "é"])
def test_names_of_aliases(sqlite_store: Store, alias: str) -> None:
    version = registered(sqlite_store)
    with pytest.raises(NameNotUsable), sqlite_store.change(BOB, "x") as change:
        set_alias(change, version, alias)
