"""Endpoints and decisions, asked of a server."""

from datetime import datetime

from trimtab.client.project import answers
from trimtab.kernel import Remote
from trimtab.serving import (
    Decision,
    DecisionPage,
    Endpoint,
    EndpointAnswer,
    EndpointPage,
    decisions,
    find_decision,
    get_endpoint,
    list_endpoints,
)

PAGE = 500


@answers(get_endpoint)
def _endpoint(server: Remote, endpoint: str) -> Endpoint:
    return server.get(EndpointAnswer, "endpoints", endpoint).endpoint


@answers(list_endpoints)
def _endpoints(server: Remote) -> list[Endpoint]:
    return [found.endpoint for found in server.get(EndpointPage, "endpoints").items]


@answers(find_decision)
def _decision(server: Remote, id: str) -> Decision:
    return server.get(Decision, "decisions", id)


@answers(decisions)
def _decisions(
    server: Remote, endpoint: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 100,
    before_id: str | None = None,
) -> list[Decision]:  # fmt: skip
    found, _ = server.listed(
        DecisionPage, "endpoints", endpoint, "decisions", limit=limit, page=PAGE, cursor=before_id, since=since,
        until=until,
    )  # fmt: skip
    return found
