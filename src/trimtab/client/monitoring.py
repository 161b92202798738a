"""Alerts and outcomes, and what watching a version can find, asked of a server."""

from collections.abc import Collection, Sequence

import pyarrow as pa

from trimtab.client.project import answers
from trimtab.kernel import Actor, Invalid, Remote
from trimtab.monitoring import (
    Alert,
    AlertAnswer,
    AlertPage,
    Foreseen,
    Outcome,
    Recorded,
    alerts,
    foreseen,
    get_alert,
    record_outcomes,
)
from trimtab.registry import Version, VersionRef

PAGE = 1000


@answers(get_alert)
def _alert(server: Remote, id: str) -> Alert:
    return server.get(AlertAnswer, "alerts", id).alert


@answers(alerts)
def _alerts(
    server: Remote, *, endpoint: str | None = None, states: Collection[str] = ("open", "acknowledged", "resolved"),
    limit: int | None = 100, before_id: str | None = None,
) -> list[Alert]:  # fmt: skip
    wanted = ",".join(sorted(states))
    found, _ = server.listed(
        AlertPage, "alerts", limit=limit, page=PAGE, cursor=before_id, endpoint=endpoint, state=wanted
    )
    return found


@answers(foreseen)
def _foreseen(server: Remote, ref: VersionRef | Version | str, *, endpoint: str = "") -> Foreseen:
    found = VersionRef.of(ref)
    number = found.version or found.alias
    return server.get(Foreseen, "models", found.model, "versions", number, "foreseen", endpoint=endpoint or None)


@answers(record_outcomes)
def _outcomes(
    server: Remote, endpoint: str, outcomes: Sequence[Outcome] | pa.Table, *, actor: Actor, because: str = ""
) -> Recorded:
    if isinstance(outcomes, pa.Table):
        raise Invalid(
            "a table of outcomes is not sent to a server",
            where="outcomes",
            why="Its columns name decisions or keys by the types of the store.",
            next="send a list of Outcome records",
        )
    body = {"outcomes": outcomes, "because": because}
    return server.send("POST", Recorded, "endpoints", endpoint, "outcomes", body=body, repeat=True)
