"""Messages to PostgreSQL on the way of every change: statements that a connection knows by name, several in a message.

A cursor of the driver costs more than a small insert itself, and each message a round trip. So what every change says
is prepared once on each connection, and then called by name with its values written into the text.
"""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from trimtab.store.patience import Patient


class Prepared(msgspec.Struct, frozen=True):
    """A statement with parameters ($1, ...), the name that it has on each connection, and the parameters' types.

    Without ``types`` they are what the statement's columns say.
    """

    name: str
    text: str
    types: str = ""

    def __call__(self, *values: object) -> "Call":
        return Call(self, values)


class Call(msgspec.Struct, frozen=True):
    """A prepared statement with the values of its parameters: texts, numbers, bytes, None."""

    statement: Prepared
    values: tuple[object, ...]


def send(driver: "Patient", *parts: str | Call) -> "list[PGresult]":
    """Send statements in one message and return what each answers; raise the driver's error for the first that fails.

    They are one transaction, as far as they do not begin and end one themselves.
    """
    with driver.lock:
        for part in parts:
            if isinstance(part, Call) and part.statement.name not in driver.prepared:
                statement = part.statement
                types = f" ({statement.types})" if statement.types else ""
                _prepare(driver, f'PREPARE "{statement.name}"{types} AS {statement.text}')
                driver.prepared.add(statement.name)
        return _answers(driver, "; ".join([part if isinstance(part, str) else _called(driver, part) for part in parts]))


def cells(result: "PGresult") -> list[tuple[bytes | None, ...]]:
    """Return the rows of an answer, each value as the server writes it."""
    columns = range(result.nfields)
    return [tuple([result.get_value(row, column) for column in columns]) for row in range(result.ntuples)]


def _prepare(driver: "Patient", message: str) -> None:
    import psycopg

    try:
        _answers(driver, message)
    except psycopg.Error:
        raise
    except BaseException:
        driver.close()  # nobody knows whether the server has it, and it can be prepared only once
        raise


def _answers(driver: "Patient", message: str) -> "list[PGresult]":
    from psycopg.errors import error_from_result
    from psycopg.generators import execute
    from psycopg.pq import ExecStatus

    driver.pgconn.send_query(message.encode(driver.info.encoding))
    results = driver.wait(execute(driver.pgconn))
    if results[-1].status == ExecStatus.FATAL_ERROR:  # what comes after a statement that fails is not tried
        raise error_from_result(results[-1], encoding=driver.info.encoding)
    return results  # type: ignore[no-any-return]


def _called(driver: "Patient", call: Call) -> str:
    values = ", ".join([_literal(driver, value) for value in call.values])
    return f'EXECUTE "{call.statement.name}"' + (f" ({values})" if values else "")


def _literal(driver: "Patient", value: object) -> str:
    """Write a value as SQL writes it; of which type it is, the prepared statement knows."""
    if isinstance(value, str):
        from psycopg import DataError
        from psycopg.pq import Escaping

        if "\0" in value:
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        codec = driver.info.encoding
        return Escaping(driver.pgconn).escape_literal(value.encode(codec)).decode(codec)
    if isinstance(value, bytes):
        return f"E'\\\\x{value.hex()}'"
    if value is None:
        return "NULL"
    if not isinstance(value, int | float):
        raise TypeError(f"a {type(value).__name__} is no plain value")
    return f"'{value}'"
