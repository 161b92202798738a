"""Let shadows see what was answered in an hour that was killed before they did, as they would have undisturbed."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from trimtab.serving import Ask, Gateway, Mirrored, decision_tables, get_endpoint
from trimtab.store import Store

_RESULT = "result_"


Asks = Callable[[Sequence[str]], dict[str, list[Any]]]
"""Gives the columns that rows were asked with, for their keys as the decision log writes them."""


async def mirror_what_is_left(gateway: Gateway, store: Store, endpoint: str, *, at: datetime, asked: Asks) -> None:
    """Show each shadow the rows that were answered at this moment and that it has not recorded; wait until it has.

    ``gateway`` must have taken up the present routing.
    """
    if get_endpoint(store, endpoint).changed_at >= at:
        return  # routed anew at the end of the hour, when its shadows of then had seen all of it
    answered: list[dict[str, Any]] = []
    seen: set[tuple[str, int]] = set()
    for table in decision_tables(store, endpoint, since=at, until=at + timedelta(microseconds=1)):
        for row in table.to_pylist():
            if row["stage"] == "shadow":
                seen.add((row["mirrors"], row["version"]))
            else:
                answered.append(row)
    for version in gateway.shadows(endpoint):
        left = [row for row in answered if row["version"] != version and (row["id"], version) not in seen]
        for by in sorted({row["version"] for row in left}):
            rows = [row for row in left if row["version"] == by]
            gateway.mirror(endpoint, _mirrored(rows, by, at, asked), version=version)
            await gateway.settled()


def _mirrored(rows: Sequence[dict[str, Any]], version: int, at: datetime, asked: Asks) -> Mirrored:
    """Return rows that one version answered as the request that they were."""
    outputs = [name for name, value in rows[0].items() if name.startswith(_RESULT) and value is not None]
    return Mirrored(
        Ask(columns=asked([row["key"] for row in rows])),
        at,
        [row["id"] for row in rows],
        {name.removeprefix(_RESULT): [row[name] for row in rows] for name in outputs},
        [version] * len(rows),
    )
