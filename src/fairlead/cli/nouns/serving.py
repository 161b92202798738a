"""Endpoints and decisions."""

from typing import Any

from fairlead.cli.nouns.noun import Asked, Noun
from fairlead.cli.output import Column
from fairlead.cli.session import Session
from fairlead.kernel import is_id
from fairlead.serving import Decision, Endpoint, Routing, decisions, find_decision, get_endpoint, list_endpoints


def _endpoints(session: Session, asked: Asked) -> Any:
    return get_endpoint(session.store, asked.name) if asked.name else list_endpoints(session.store)


def _decisions(session: Session, asked: Asked) -> Any:
    store = session.store
    if is_id(asked.name):
        return find_decision(store, asked.name)
    names = (
        [get_endpoint(store, asked.name).routing.endpoint]
        if asked.name
        else [endpoint.routing.endpoint for endpoint in list_endpoints(store)]
    )
    found = [
        decision for name in names
        for decision in decisions(store, name, since=asked.since, until=asked.until, limit=asked.limit)
    ]  # fmt: skip
    return sorted(found, key=lambda decision: decision.id, reverse=True)[: asked.limit]


def traffic(routing: Routing) -> str:
    """Return who answers how much, in words."""
    left = 100.0 - sum(canary.percent for canary in routing.canary)
    parts = [f"@{routing.champion} {left:g} %"]
    parts += [f"@{canary.version} canary {canary.percent:g} %" for canary in routing.canary]
    parts += [f"@{version} shadow" for version in routing.shadow]
    return ", ".join(parts)


def _endpoint_facts(endpoint: Endpoint) -> list[tuple[str, Any]]:
    routing = endpoint.routing
    return [
        ("endpoint", routing.endpoint), ("model", routing.model), ("traffic", traffic(routing)),
        ("sticky by", routing.sticky_by), ("revision", endpoint.revision),
        ("changed", f"{endpoint.changed_at:%Y-%m-%d %H:%M:%S} by {endpoint.changed_by}"),
    ]  # fmt: skip


def _decision_facts(decision: Decision) -> list[tuple[str, Any]]:
    ages = decision.ages_s or (None,) * len(decision.values)
    rows = zip(decision.columns, decision.values, ages, strict=True)
    return [
        ("decision", decision.id), ("at", decision.at), ("answered by", f"{decision.model}@{decision.version}"),
        ("stage", decision.stage), ("reason", decision.reason), ("result", decision.result),
        ("latency", f"{decision.latency_us / 1000:.2f} ms"), ("key", decision.key or "-"),
        ("features", "\n".join(f"{n} = {v}" + (f"  ({a:,.0f} s old)" if a else "") for n, v, a in rows)),
    ]  # fmt: skip


NOUNS = {
    "endpoints": Noun(
        find=_endpoints,
        columns=[
            Column("ENDPOINT", lambda e: e.routing.endpoint), Column("MODEL", lambda e: e.routing.model),
            Column("TRAFFIC", lambda e: traffic(e.routing)), Column("REVISION", lambda e: e.revision, number=True),
            Column("CHANGED", lambda e: e.changed_at), Column("BY", lambda e: e.changed_by),
        ],
        empty="Nothing is served yet:\n  fairlead approve MODEL@1 --because '...'",
        facts=_endpoint_facts,
    ),
    "decisions": Noun(
        find=_decisions,
        columns=[
            Column("DECISION", lambda d: d.id), Column("AT", lambda d: d.at),
            Column("ANSWERED BY", lambda d: f"{d.model}@{d.version}"), Column("STAGE", lambda d: d.stage),
            Column("RESULT", lambda d: d.result), Column("MS", lambda d: d.latency_us / 1000, number=True),
        ],
        empty="No decision yet:\n  fairlead predict ENDPOINT --example",
        facts=_decision_facts,
    ),
}  # fmt: skip
