"""Read a query of any length in pieces, on either database."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Select

_ROWS = 2000


@contextmanager
def streamed(connection: Connection, query: Select[Any]) -> Iterator[Iterator[Any]]:
    """Yield the rows of a query, of which only a few thousand are in memory at a time."""
    result = connection.execute(query.execution_options(yield_per=_ROWS))
    try:
        yield chain.from_iterable(result.partitions())
    finally:
        result.close()
