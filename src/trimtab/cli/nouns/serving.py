"""Endpoints and decisions."""

from collections.abc import Sequence
from typing import Any

from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked, Noun
from trimtab.cli.output import Column, columns_of, took
from trimtab.cli.session import Session
from trimtab.kernel import is_id
from trimtab.serving import Decision, Endpoint, Routing, decisions, find_decision, get_endpoint, list_endpoints


def _endpoints(session: Session, asked: Asked) -> Any:
    return session.ask(get_endpoint, asked.name) if asked.name else session.ask(list_endpoints)


def _decisions(session: Session, asked: Asked) -> Any:
    if is_id(asked.name):
        return session.ask(find_decision, asked.name)
    return _given(session, asked, _endpoints(session, asked))


def _given(session: Session, asked: Asked, at: Endpoint | list[Endpoint]) -> list[Decision]:
    """Return the decisions of one endpoint or of several, newest first."""
    found = [
        decision
        for endpoint in (at if isinstance(at, list) else [at])
        for decision in session.ask(
            decisions, endpoint.routing.endpoint, since=asked.since, until=asked.until, limit=asked.limit
        )
    ]
    return sorted(found, key=lambda decision: decision.id, reverse=True)[: asked.limit]


def _decisions_then(session: Session, asked: Asked) -> Any:
    """Decisions never change: those that had been given."""
    assert asked.at is not None
    if is_id(asked.name):
        return past.then(session.ask(find_decision, asked.name), lambda d: d.at, noun="decisions", asked=asked)
    return _given(session, past.until_then(asked), past.endpoints(session, asked))


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
        ("sticky by", routing.sticky_by), ("broken rows", routing.broken_rows or "refuse"),
        ("revision", endpoint.revision),
        ("changed", f"{endpoint.changed_at:%Y-%m-%d %H:%M:%S} by {endpoint.changed_by}"),
    ]  # fmt: skip


def _decision_facts(decision: Decision) -> list[tuple[str, Any]]:
    ages = decision.ages_s or (None,) * len(decision.values)
    rows = zip(decision.columns, decision.values, ages, strict=True)
    return [
        ("decision", decision.id), ("at", decision.at), ("answered by", f"{decision.model}@{decision.version}"),
        ("stage", decision.stage), ("reason", decision.reason), ("result", decision.result),
        ("latency", took(decision.took_s)), ("key", decision.key or "-"),
        ("breaks", "\n".join(decision.broken) or "-"),
        ("features", "\n".join(f"{n} = {v}" + (f"  ({a:,.0f} s old)" if a else "") for n, v, a in rows)),
    ]  # fmt: skip


def _decision_columns(found: Sequence[Decision]) -> list[Column]:
    """Return the columns of the CSV: one for each part of a result, and one for each column of a key."""
    return [
        Column("DECISION", lambda d: d.id), Column("AT", lambda d: d.at), Column("ENDPOINT", lambda d: d.endpoint),
        Column("MODEL", lambda d: d.model), Column("VERSION", lambda d: d.version), Column("STAGE", lambda d: d.stage),
        *columns_of(found, lambda d: d.result, "result"), *columns_of(found, lambda d: d.key or {}, "key"),
        Column("LATENCY_US", lambda d: d.latency_us or None),
    ]  # fmt: skip


NOUNS = {
    "endpoints": Noun(
        find=_endpoints,
        columns=[
            Column("ENDPOINT", lambda e: e.routing.endpoint), Column("MODEL", lambda e: e.routing.model),
            Column("TRAFFIC", lambda e: traffic(e.routing)), Column("REVISION", lambda e: e.revision, number=True),
            Column("CHANGED", lambda e: e.changed_at), Column("BY", lambda e: e.changed_by),
        ],
        empty="Nothing is served yet:\n  trimtab approve MODEL@1 --because '...'",
        facts=_endpoint_facts,
        past=past.endpoints,
    ),
    "decisions": Noun(
        find=_decisions,
        takes=frozenset({"since", "until"}),
        csv_columns=_decision_columns,
        columns=[
            Column("DECISION", lambda d: d.id), Column("AT", lambda d: d.at),
            Column("ANSWERED BY", lambda d: f"{d.model}@{d.version}"), Column("STAGE", lambda d: d.stage),
            Column("RESULT", lambda d: d.result), Column("MS", lambda d: d.took_s and d.took_s * 1000, number=True),
        ],
        empty="No decision yet:\n  trimtab predict ENDPOINT --example",
        facts=_decision_facts,
        past=_decisions_then,
    ),
}  # fmt: skip
