"""Two contracts as a user would write them, which the tests of this room share."""

import fairlead as fl
from fairlead.declare import FeatureView


class Weather(fl.Contract):
    """Hourly weather."""

    origin: fl.Key[str]
    at: fl.EventTime
    temp: fl.Float = fl.between(-20, 120, missing=0.01)
    visib: fl.Float = fl.between(0, 10)
    calm: fl.Bool


class Flight(fl.Contract):
    flight_id: fl.Key[str]
    number: fl.Key[int]
    scheduled: fl.EventTime
    origin: fl.Category = fl.one_of("EWR", "JFK", "LGA")
    carrier: fl.Category
    note: fl.Text = fl.missing(0.5)
    distance: fl.Float = fl.between(0, 6000)
    stops: fl.Int
    cargo: fl.Bool
    departed: fl.Time
    arrived: fl.Time
    dep_delay: fl.Float = fl.known_at("departed", missing=0.08)
    arr_delay: fl.Float = fl.between(-200, 2000, missing=0.08, known_at="arrived")
    cancelled: fl.Bool = fl.known_at("arrived")


NAMES = {"fl": fl, "Flight": Flight, "Weather": Weather}
"""What a text must know to be evaluated again."""


def view(name: str = "delay", **parts: object) -> FeatureView:
    """A view of flights; parts replace its own."""
    own = {
        "of": Flight,
        "decided": Flight.scheduled - fl.hours(2),
        "columns": [Flight.carrier, Flight.scheduled.hour, Weather.latest("temp", by="origin", within="3h")],
    }
    return fl.features(name, **{**own, **parts})
