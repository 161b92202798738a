"""The trial of a version before it is approved or routed."""

import threading
from typing import Any

import pytest
from tests.serving.late import ALLOWED, FakeReleases, gateway_of, route
from tests.waiting import PATIENCE_S

from trimtab.kernel import Refused
from trimtab.serving import Loader, NotServable, Routing, check_servable, trial
from trimtab.serving.sklearn_runtime import SklearnRuntime
from trimtab.store import Store


def test_a_version_is_servable_when_it_answers_its_sample(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    releases.release(sqlite_store, 1, models[1])
    check_servable(Loader(sqlite_store, releases, allowed=ALLOWED), "late", 1)
    releases.release(sqlite_store, 2, None, digest=sqlite_store.blobs.put(b"no model"))
    with pytest.raises(Refused, match="cannot be read as skops"):
        check_servable(Loader(sqlite_store, releases, allowed=ALLOWED), "late", 2)


def test_one_that_raises_or_does_not_come_back_is_refused_with_the_reason(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.release(sqlite_store, 1, models[1])
    loader = Loader(sqlite_store, releases, allowed=ALLOWED)
    loaded, let_go = loader.load("late", 1), threading.Event()
    monkeypatch.setattr(loader, "load", lambda *_: loaded)

    def raises(_self: SklearnRuntime, _rows: Any) -> Any:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(SklearnRuntime, "predict", raises)
    with pytest.raises(NotServable) as caught:
        check_servable(loader, "late", 1)
    assert "ZeroDivisionError: by nothing" in caught.value.why

    monkeypatch.setattr(SklearnRuntime, "predict", lambda _self, _rows: let_go.wait(PATIENCE_S))
    monkeypatch.setattr(trial, "TRY_S", 0.1)
    with pytest.raises(NotServable) as caught:
        check_servable(loader, "late", 1)
    assert "within 0.1 s" in caught.value.why
    let_go.set()


def test_a_routing_is_refused_when_one_of_its_versions_cannot_be_loaded_here(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    releases.release(sqlite_store, 1, models[1])
    releases.release(sqlite_store, 2, None, digest=sqlite_store.blobs.put(b"no model"))
    route(sqlite_store, releases)
    gateway = gateway_of(sqlite_store, releases)
    gateway.check_servable(Routing(endpoint="late", model="late", champion=1))
    with pytest.raises(Refused, match="late@2"):
        gateway.check_servable(Routing(endpoint="late", model="late", champion=1, shadow=(2,)))
