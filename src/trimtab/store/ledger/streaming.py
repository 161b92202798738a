"""Read a query of any length in pieces, on either database."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Select

from trimtab.store.database import driver_of

_ROWS = 2000


@contextmanager
def as_it_is(connection: Connection) -> Iterator[None]:
    """Let SQLite give out text that is no UTF-8, each wrong byte as a lone surrogate; elsewhere there is none."""
    driver = driver_of(connection)
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    usual = driver.text_factory
    driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = usual


@contextmanager
def streamed(connection: Connection, query: Select[Any]) -> Iterator[Iterator[Any]]:
    """Yield the rows of a query, of which only a few thousand are in memory at a time."""
    result = connection.execute(query.execution_options(yield_per=_ROWS))
    try:
        yield chain.from_iterable(result.partitions())
    finally:
        result.close()
