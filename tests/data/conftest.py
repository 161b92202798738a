"""The contracts that the tests of this room share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec

START = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def weather() -> ContractSpec:
    return ContractSpec(
        name="Weather",
        where="flights.py:10",
        fields=(
            FieldSpec(name="origin", kind=FieldKind.KEY, where="flights.py:11"),
            FieldSpec(name="at", kind=FieldKind.EVENT_TIME, where="flights.py:12"),
            FieldSpec(name="temp", kind=FieldKind.FLOAT, low=-20, high=120, missing=0.25, where="flights.py:13"),
            FieldSpec(name="sky", kind=FieldKind.CATEGORY, values=("clear", "cloudy"), missing=None),
        ),
    )


@pytest.fixture
def observations() -> Callable[..., dict[str, list[Any]]]:
    """Columns of ``rows`` good rows, one an hour; keywords replace whole columns."""

    def make(rows: int = 8, **columns: list[Any]) -> dict[str, list[Any]]:
        return {
            "origin": ["EWR", "JFK"] * (rows // 2) + ["EWR"] * (rows % 2),
            "at": [START + timedelta(hours=hour) for hour in range(rows)],
            "temp": [30.0 + hour for hour in range(rows)],
            "sky": ["clear"] * rows,
            **columns,
        }

    return make


@pytest.fixture
def table(observations: Callable[..., dict[str, list[Any]]]) -> Callable[..., pa.Table]:
    """The same as an Arrow table."""
    return lambda rows=8, **columns: pa.table(observations(rows, **columns))


@pytest.fixture
def source(weather: ContractSpec) -> SourceSpec:
    return SourceSpec(name="weather", contract=weather, function="weather", set_aside_limit=0.5, where="flights.py:20")
