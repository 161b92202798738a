"""The names of a view's output columns. They are part of the language: models, logs and drift use them."""

from trimtab.declare.durations import duration_text
from trimtab.declare.records import Column, Derived, Field, Latest, Rolling, TimePart

RESERVED = ("decided_at", "label", "label_known_at", "label_final_at", "label_weight")


def column_names(column: Column) -> tuple[str, ...]:
    """Return the names of what a declared column gives: several for ``latest``, one for everything else.

    ``Flight.dest`` gives ``dest``, ``Flight.scheduled.hour`` ``scheduled_hour``, ``Weather.latest("temp", ...)``
    ``weather_temp``, ``Flight.dep_delay.mean(over="24h", by="carrier")`` ``carrier_dep_delay_mean_24h``.
    """
    match column:
        case Field():
            return (column.field,)
        case TimePart():
            return (f"{column.of.field}_{column.part}",)
        case Latest():
            return tuple(f"{column.contract.lower()}_{field}" for field in column.fields)
        case Rolling():
            over = duration_text(column.over_s, days_from=2)
            return ("_".join([*column.by, column.field, column.function, over]),)
        case Derived():
            return (column.name,)
