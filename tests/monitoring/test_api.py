"""Monitoring's routes, called as the server calls them."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.monitoring.served import ACTOR, HOUR, START, Served, move
from tests.monitoring.test_alerts import settled, sign
from tests.monitoring.test_drift import kept
from tests.registry.cases import registered
from tests.serving.late import FakeReleases, route

from trimtab.kernel import Call, NotFound, Permission, TrimtabError, digest_of_bytes
from trimtab.monitoring import Outcome, routes, watch
from trimtab.monitoring.api import ENDPOINT, AcknowledgeRequest, OutcomesRequest, SilenceRequest
from trimtab.store import Store


class World:
    """A store with an endpoint, some hours of its decisions, and the routes over both."""

    def __init__(self, store: Store) -> None:
        self.store = store
        releases = FakeReleases()
        releases.release(store, 1, None, digest=digest_of_bytes(b"model"))
        releases.release(store, 2, None, digest=digest_of_bytes(b"model"))
        registered(store)
        kept(store)
        route(store, releases, shadow=(2,))
        served = Served(store)
        self.ids: list[str] = []
        for hour in range(3):
            move(store, START + hour * HOUR)
            ids, scores, _ = served.hour(START + hour * HOUR, n=40)
            mirrored = [float(score) for score in scores]
            served.decide(mirrored, at=START + hour * HOUR, version=2, stage="shadow", mirrors=ids)
            self.ids += ids
        move(store, START + 3 * HOUR)
        watch(store, "late", until=START + 3 * HOUR)

    def ask(
        self, method: str, path: str, request: Any = None, *, query: Mapping[str, str] | None = None, **parts: str
    ) -> Any:
        """Call a route's handler with a query that it declares; check that its answer is as promised."""
        one = next(one for one in routes(self.store) if (one.method, one.path) == (method, path))
        assert set(query or {}) <= {parameter.name for parameter in one.query}
        call = Call(actor=ACTOR, because="by hand", path=parts, query=query or {})
        answer = one.handler(call) if request is None else one.handler(call, request)
        assert isinstance(answer, one.response)
        assert msgspec.json.decode(msgspec.json.encode(answer), type=one.response) == answer
        return answer


@pytest.fixture
def world(store: Store) -> World:
    return World(store)


def test_outcomes_come_in_and_performance_goes_out(world: World) -> None:
    said = [Outcome(decision=id_, value=i % 2) for i, id_ in enumerate(world.ids[:60])]
    recorded = world.ask("POST", f"{ENDPOINT}/outcomes", OutcomesRequest(outcomes=said), endpoint="late")
    assert (recorded.new, recorded.unchanged) == (60, 0)
    text = b'{"outcomes": [{"decision": "%s", "value": 1, "known_at": "2013-03-01T03:00:00Z"}]}' % world.ids[0].encode()
    request = msgspec.json.decode(text, type=OutcomesRequest)
    assert world.ask("POST", f"{ENDPOINT}/outcomes", request, endpoint="late").corrected == 1

    answer = world.ask("GET", f"{ENDPOINT}/performance", query={"metrics": "auc, recall"}, endpoint="late")
    assert (answer.performance.version, answer.performance.decisions, answer.performance.labelled) == (1, 120, 60)
    assert {"log_loss", "auc", "recall"} <= set(answer.performance.metrics)
    span = {"since": "2013-03-01T00:00:00Z", "until": "2013-03-01T01:00:00Z", "version": "2"}
    shadow = world.ask("GET", f"{ENDPOINT}/performance", query=span | {"slices": "origin"}, endpoint="late")
    assert (shadow.performance.version, shadow.performance.decisions) == (2, 40)
    assert sum(one.n for one in shadow.performance.slices["origin"]) == 40

    compared = world.ask("GET", f"{ENDPOINT}/paired", query={"challenger": "2"}, endpoint="late")
    assert (compared.rows, compared.n, compared.difference.value) == (120, 60, 0.0)


def test_windows_drift_and_failures(world: World) -> None:
    page = world.ask("GET", f"{ENDPOINT}/windows", endpoint="late")
    assert [(row.version, row.n) for row in page.items] == [(1, 40), (2, 40)] * 3
    drifted = world.ask("GET", f"{ENDPOINT}/drift", endpoint="late")
    assert drifted.drift.n == 120
    assert [one.name for one in drifted.findings] == ["prediction", "distance", "origin"]
    assert world.ask("GET", f"{ENDPOINT}/drift", query={"version": "2"}, endpoint="late").drift is None
    assert world.ask("GET", f"{ENDPOINT}/failures", endpoint="late").requests == 0


def test_what_is_known_before_outcomes(world: World) -> None:
    estimated = world.ask("GET", f"{ENDPOINT}/expected", endpoint="late").expected
    assert (estimated.n, estimated.metrics["log_loss"].n) == (120, 120)
    assert "cannot see" in estimated.blindness
    answer = world.ask("GET", f"{ENDPOINT}/dry-run", endpoint="late")
    assert answer.dry_run.windows > 10
    assert answer.dry_run.text
    assert answer.level.why, "version 1 was never evaluated"
    with pytest.raises(NotFound, match="there is no version late@9"):
        world.ask("GET", f"{ENDPOINT}/dry-run", query={"version": "9"}, endpoint="late")


def test_alerts_are_listed_acknowledged_and_silenced(world: World) -> None:
    (alert, other) = settled(world.store, sign(), sign("skew")).raised
    page = world.ask("GET", "/api/v1/alerts", query={"limit": "1", "endpoint": "late"})
    rest = world.ask("GET", "/api/v1/alerts", query={"cursor": page.next})
    assert [one.id for one in [*page.items, *rest.items]] == sorted([alert.id, other.id], reverse=True)
    taken = world.ask("POST", "/api/v1/alerts/{id}/acknowledge", AcknowledgeRequest(because="mine"), id=alert.id)
    assert (taken.state, taken.because) == ("acknowledged", "mine")
    assert [one.id for one in world.ask("GET", "/api/v1/alerts", query={"state": "open"}).items] == [other.id]
    shown = world.ask("GET", "/api/v1/alerts/{id}", id=alert.id)
    assert (shown.alert, shown.deliveries) == (taken, [])
    quiet = SilenceRequest(until=START + 5 * HOUR, groups="sk*")
    assert world.ask("POST", f"{ENDPOINT}/silence", quiet, endpoint="late").by == "tester"


@pytest.mark.parametrize(
    ("path", "query", "endpoint"),
    [
        ("windows", {}, "nobody"),
        ("performance", {}, "nobody"),
        ("performance", {"since": "yesterday"}, "late"),
        ("performance", {"since": "2014-01-01"}, "late"),
        ("performance", {"version": "one"}, "late"),
        ("performance", {"version": "99999999999"}, "late"),
        ("performance", {"metrics": "speed"}, "late"),
        ("windows", {"since": "2012-01-01"}, "late"),
        ("paired", {"challenger": "0"}, "late"),
    ],
)
def test_a_bad_question_gets_four_parts(world: World, path: str, query: dict[str, str], endpoint: str) -> None:
    with pytest.raises(TrimtabError) as caught:
        world.ask("GET", f"{ENDPOINT}/{path}", query=query, endpoint=endpoint)
    assert all(caught.value.parts().values())


@pytest.mark.parametrize("query", [{"state": "broken"}, {"cursor": "x"}, {"limit": "0"}])
def test_a_bad_listing_gets_four_parts(world: World, query: dict[str, str]) -> None:
    with pytest.raises(TrimtabError) as caught:
        world.ask("GET", "/api/v1/alerts", query=query)
    assert all(caught.value.parts().values())


def test_every_route_has_its_permission(sqlite_store: Store) -> None:
    found = {one.path: one.permission for one in routes(sqlite_store)}
    assert {path: permission for path, permission in found.items() if permission is not Permission.READ} == {
        f"{ENDPOINT}/outcomes": Permission.LOG,
        f"{ENDPOINT}/silence": Permission.REGISTER,
        "/api/v1/alerts/{id}/acknowledge": Permission.REGISTER,
    }
