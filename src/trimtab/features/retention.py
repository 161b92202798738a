"""What features need of the data: the states that the online store was filled from last."""

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, func, select

from trimtab.features.tables import features_materialisations as table


def needed_by_features(connection: Connection) -> Iterator[str]:
    """Yield the contents that each view was filled from last."""
    newest = select(func.max(table.c.id)).group_by(table.c.view)
    for text in connection.execute(select(table.c.tables).where(table.c.id.in_(newest))).scalars():
        yield from (f"content:{digest}" for digest in msgspec.json.decode(text, type=dict[str, str]).values())
