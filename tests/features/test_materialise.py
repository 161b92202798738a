"""What the metadata store and the ledger say about views and their online values, on both databases."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from tests.features.test_online import VIEW, tables
from tests.features.test_training import HOUR, LEVEL, NOON, view

from trimtab.features import FeatureViewMaterialised, get_view, list_views, materialise, open_online, register_view
from trimtab.features.api import OnlineRequest, ViewAnswer, routes
from trimtab.features.tables import features_materialisations
from trimtab.kernel import Actor, Call, Invalid, NotFound, TrimtabError, VirtualClock
from trimtab.store import Store


def register(store: Store, actor: Actor, spec: Any) -> Any:
    with store.change(actor, "test") as change:
        found = register_view(change, spec)
    return found, change.receipt


def test_a_view_has_a_version_for_each_meaning(store: Store, actor: Actor) -> None:
    first, receipt = register(store, actor, VIEW)
    assert (first.name, first.version, first.of, first.registered_by) == ("v", 1, "Order", "tester")
    assert receipt is not None

    same, receipt = register(store, actor, VIEW)
    assert same == first
    assert receipt is None
    described, receipt = register(store, actor, msgspec.structs.replace(VIEW, owner="ann", description="orders"))
    assert (described.version, described.owner, described.description) == (1, "ann", "orders")
    assert receipt is not None
    second, _ = register(store, actor, view(LEVEL))
    assert (second.version, second.columns) == (2, ("stock_level",))
    assert get_view(store, "v") == second
    assert get_view(store, "v", version=1).spec == described.spec
    with pytest.raises(NotFound, match="version 3"):
        get_view(store, "v", version=3)


def test_views_are_listed_by_name(store: Store, actor: Actor) -> None:
    for name in ("c", "a", "b", "a"):
        register(store, actor, msgspec.structs.replace(VIEW, name=name, decided_offset_s=-60.0 if name == "a" else 0.0))
    assert [v.name for v in list_views(store)] == ["a", "b", "c"]
    assert [v.name for v in list_views(store, after="a", limit=1)] == ["b"]


def test_materialising_is_recorded_once_for_each_change(store: Store, actor: Actor) -> None:
    state = tables([{}], [{}, {"at": NOON + HOUR}])
    moments = (NOON, NOON, NOON + timedelta(minutes=1), NOON + HOUR, NOON + HOUR)
    kinds = [materialise(store, VIEW, state, now=now, actor=actor).how for now in moments]
    assert kinds == ["filled", "unchanged", "unchanged", "appended", "unchanged"]
    with store.read() as connection:
        rows = connection.execute(select(features_materialisations).order_by(features_materialisations.c.id)).all()
    assert [(row.how, row.facts, row.rows) for row in rows] == [("filled", 2, 1), ("appended", 1, 0)]
    register(store, actor, VIEW)
    assert get_view(store, "v").materialised_at == NOON + HOUR


def test_a_materialisation_that_was_not_recorded_is_recorded_by_the_next(store: Store, actor: Actor) -> None:
    """The process may die between the two files; the next call makes up for it."""
    materialise(store, VIEW, tables([], [{}]), now=NOON, actor=actor)
    with store.change(actor, "as if it had never come to this") as change:
        change.execute(features_materialisations.delete())
        change.record(_event())
    assert materialise(store, VIEW, tables([], [{}]), now=NOON, actor=actor).how == "unchanged"
    with store.read() as connection:
        assert len(connection.execute(select(features_materialisations)).all()) == 1


def test_digests_of_snapshots_save_the_work_of_comparing(store: Store, actor: Actor) -> None:
    names = {"Order": "sha256:a", "Stock": "sha256:b"}
    done = materialise(store, VIEW, tables([], [{}]), now=NOON, actor=actor, digests=names)
    assert done.tables == names
    assert materialise(store, VIEW, tables([], []), now=NOON, actor=actor, digests=names).how == "unchanged"


def test_the_routes_list_show_and_read(sqlite_store: Store, actor: Actor, clock: VirtualClock) -> None:
    clock.advance_to(NOON)
    register(sqlite_store, actor, VIEW)
    register(sqlite_store, actor, msgspec.structs.replace(VIEW, name="w"))
    materialise(sqlite_store, VIEW, tables([{}], [{}]), now=NOON, actor=actor)
    online = open_online(sqlite_store)
    by_name = {(route.method, route.path): route.handler for route in routes(sqlite_store, online)}
    list_, get = by_name["GET", "/api/v1/features"], by_name["GET", "/api/v1/features/{name}"]
    read = by_name["POST", "/api/v1/features/{name}/online"]

    page = list_(Call(actor=actor, query={"limit": "1"}))
    assert ([v.name for v in page.items], page.next) == (["v"], "v")
    assert list_(Call(actor=actor, query={"cursor": "v"})).next is None
    shown: ViewAnswer = get(Call(actor=actor, path={"name": "v"}))
    assert (shown.version, shown.materialised_at, shown.columns[0].kind) == (1, NOON, "category")
    assert shown.request_fields == ["shop", "amount"]

    call = Call(actor=actor, path={"name": "v"})
    by_key = read(call, OnlineRequest(keys={"id": "o1"}))
    assert by_key.features["stock_level"] == 1.0
    assert by_key.ages_s["stock_level"] == 0.0
    assert msgspec.json.decode(msgspec.json.encode(by_key))["at"] == "2013-03-01T12:00:00Z"
    by_fields = read(call, OnlineRequest(fields={"shop": "a", "amount": 2}, at=NOON))
    assert by_fields.features["amount"] == 2.0
    for wrong in (OnlineRequest(), OnlineRequest(keys={}, fields={})):
        with pytest.raises(Invalid, match="keys or described"):
            read(call, wrong)
    for query in ({"limit": "0"}, {"limit": "x"}):
        with pytest.raises(Invalid):
            list_(Call(actor=actor, query=query))
    with pytest.raises(TrimtabError):
        get(Call(actor=actor, path={"name": "nothing"}))
    online.close()


def _event() -> Any:
    return FeatureViewMaterialised(view="v", digest="sha256:", how="filled", now="", facts=0, rows=0, tables={})
