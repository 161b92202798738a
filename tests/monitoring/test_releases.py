"""Whoever writes rows past Trimtab is paged for, at every endpoint that goes by them."""

import pytest
from tests.forging import by_sql
from tests.monitoring.test_drift import kept
from tests.registry.cases import approved
from tests.serving.late import FakeReleases, route

from trimtab.kernel import digest_of_bytes
from trimtab.monitoring import Alert, alerts, mind
from trimtab.store import Store


@pytest.fixture
def routed(store: Store) -> Store:
    """A store with an approved version that answers at its endpoint."""
    approved(store)
    releases = FakeReleases()
    releases.release(store, 1, None, digest=digest_of_bytes(b"model"))
    route(store, releases)
    kept(store)
    return store


def forged(store: Store) -> list[Alert]:
    return [alert for alert in alerts(store) if alert.group == "release:forged"]


@pytest.mark.parametrize(
    ("statement", "back", "what"),
    [
        (
            "UPDATE serving_routes SET revision = revision + 1",
            "UPDATE serving_routes SET revision = revision - 1",
            "a row of serving_routes is not what the ledger says: row late of serving_routes",
        ),
        (
            "UPDATE registry_versions SET status = 'draft'",
            "UPDATE registry_versions SET status = 'approved'",
            "a row of registry_versions is not what the ledger says: row late/1 of registry_versions",
        ),
        (
            "UPDATE registry_approvals SET by = 'mallory'",
            "UPDATE registry_approvals SET by = 'bob'",
            "registry_approvals",
        ),
    ],
)
def test_a_forged_row_is_a_page_until_it_is_right_again(routed: Store, statement: str, back: str, what: str) -> None:
    mind(routed)
    assert forged(routed) == []
    by_sql(routed, statement)
    mind(routed)
    mind(routed)
    (alert,) = forged(routed)
    assert (alert.endpoint, alert.severity, alert.state) == ("late", "page", "open")
    assert what in alert.title
    by_sql(routed, back)
    mind(routed)
    assert [alert.state for alert in forged(routed)] == ["resolved"]


def test_a_route_that_was_taken_out_is_missed(routed: Store) -> None:
    by_sql(routed, "DELETE FROM serving_routes")
    mind(routed)
    (alert,) = forged(routed)
    assert alert.title == "a row of serving_routes was taken out: row late of serving_routes"


def test_each_of_several_is_found(routed: Store) -> None:
    releases = FakeReleases()
    releases.release(routed, 1, None, digest=digest_of_bytes(b"model"))
    for endpoint in ("first", "other"):
        route(routed, releases, endpoint=endpoint)
    by_sql(routed, "DELETE FROM serving_routes WHERE endpoint <> 'first'")
    by_sql(routed, "UPDATE serving_routes SET revision = 7")
    mind(routed)
    assert {alert.endpoint for alert in forged(routed)} == {"first", "late", "other"}


@pytest.mark.parametrize("value", ["routing = '{}'", "routing = 'x'", "changed_at = 'never'"])
def test_a_route_that_cannot_be_read_keeps_no_other_endpoint_from_being_minded(routed: Store, value: str) -> None:
    releases = FakeReleases()
    releases.release(routed, 1, None, digest=digest_of_bytes(b"model"))
    route(routed, releases, endpoint="another")
    by_sql(routed, f"UPDATE serving_routes SET {value} WHERE endpoint = 'another'")
    by_sql(routed, "UPDATE registry_approvals SET by = 'mallory'")
    mind(routed)
    assert {alert.endpoint for alert in forged(routed)} == {"another", "late"}


def test_a_page_stands_when_the_ledger_itself_is_written_next(routed: Store, caplog: pytest.LogCaptureFixture) -> None:
    by_sql(routed, "UPDATE serving_routes SET revision = revision + 1")
    mind(routed)
    by_sql(routed, "UPDATE ledger_events SET code = NULL WHERE position = (SELECT max(position) FROM ledger_events)")
    mind(routed)
    assert [alert.state for alert in forged(routed)] == ["open"]
    assert "endpoint late cannot be checked" in caplog.text
