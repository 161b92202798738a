"""Two contracts as a user would write them, which the tests of this room share."""

import trimtab as tt
from trimtab.declare import FeatureView


class Weather(tt.Contract):
    """Hourly weather."""

    origin: tt.Key[str]
    at: tt.EventTime
    temp: tt.Float = tt.between(-20, 120, missing=0.01)
    visib: tt.Float = tt.between(0, 10)
    calm: tt.Bool


class Flight(tt.Contract):
    flight_id: tt.Key[str]
    number: tt.Key[int]
    scheduled: tt.EventTime
    origin: tt.Category = tt.one_of("EWR", "JFK", "LGA")
    carrier: tt.Category
    note: tt.Text = tt.missing(0.5)
    distance: tt.Float = tt.between(0, 6000)
    stops: tt.Int
    cargo: tt.Bool
    departed: tt.Time
    arrived: tt.Time
    dep_delay: tt.Float = tt.known_at("departed", missing=0.08)
    arr_delay: tt.Float = tt.between(-200, 2000, missing=0.08, known_at="arrived")
    cancelled: tt.Bool = tt.known_at("arrived")


NAMES = {"tt": tt, "Flight": Flight, "Weather": Weather}
"""What a text must know to be evaluated again."""


def view(name: str = "delay", **parts: object) -> FeatureView:
    """A view of flights; parts replace its own."""
    own = {
        "of": Flight,
        "decided": Flight.scheduled - tt.hours(2),
        "columns": [Flight.carrier, Flight.scheduled.hour, Weather.latest("temp", by="origin", within="3h")],
    }
    return tt.features(name, **{**own, **parts})
