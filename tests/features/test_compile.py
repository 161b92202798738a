"""Names, kinds and refusals of compiled views, and the proof that none sees its label."""

from typing import Any

import msgspec
import pytest
from tests.features import flights as fx

from trimtab.declare import (
    Arithmetic,
    Comparison,
    Constant,
    ContractSpec,
    Derived,
    Field,
    FieldKind,
    FieldSpec,
    Label,
    Latest,
    Rolling,
    TimePart,
)
from trimtab.features import LabelVisible, NotKnownYet, compile_view, digest_of_view, prove_blind_to, training_frame
from trimtab.kernel import Invalid, TrimtabError

DEPARTED_HOUR = TimePart(of=fx.own("departed"), part="hour")
ONE = Constant(value=1)


def less(name: str, field: str, than: float) -> Derived:
    return Derived(name=name, expression=Comparison(op="<", left=fx.own(field), right=Constant(value=than)))


def total(seconds: float, *by: str, field: str = "dep_delay") -> Rolling:
    return Rolling(contract="Flight", field=field, function="sum", over_s=seconds, by=by)


def view(*columns: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(fx.DELAY, columns=columns or fx.COLUMNS, **changes)


def test_the_example_has_twelve_columns_with_readable_names() -> None:
    compiled = compile_view(fx.DELAY)

    assert compiled.kinds == {
        "origin": "category", "carrier": "category", "dest": "category", "distance": "float",
        "scheduled_hour": "int", "scheduled_weekday": "int", "weather_temp": "float", "weather_wind_speed": "float",
        "weather_precip": "float", "weather_visib": "float", "carrier_dep_delay_mean_24h": "float",
        "origin_dep_delay_mean_3h": "float",
    }  # fmt: skip
    assert compiled.request_fields == ("origin", "carrier", "dest", "distance", "scheduled")
    assert len(compiled.lookups) == 1
    assert len(compiled.tails) == 2
    assert compile_view(compiled) is compiled


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(86400, "24h"), (172800, "2d"), (604800, "7d"), (5400, "90m"), (45, "45s"), (0.5, "500ms")],
)
def test_a_window_is_named_as_people_say_it(seconds: float, text: str) -> None:
    column = Rolling(contract="Flight", field="dep_delay", function="max", over_s=seconds, by=("origin", "dest"))

    assert compile_view(view(column)).names == (f"origin_dest_dep_delay_max_{text}",)


def test_the_digest_is_of_the_meaning() -> None:
    said = view(owner="ann", description="x", where="a.py:3")

    assert digest_of_view(said) == digest_of_view(fx.DELAY)
    assert digest_of_view(view(decided_offset_s=0.0)) != digest_of_view(fx.DELAY)
    assert digest_of_view(view(*fx.COLUMNS[::-1])) != digest_of_view(fx.DELAY)
    promised = tuple(msgspec.structs.replace(field, missing=0.5) for field in fx.FLIGHT.fields)
    more = FieldSpec(name="gate", kind=FieldKind.CATEGORY)
    flight = msgspec.structs.replace(fx.FLIGHT, fields=(*promised, more))
    assert digest_of_view(view(of=flight, contracts=(flight, fx.WEATHER))) == digest_of_view(fx.DELAY)
    known = tuple(msgspec.structs.replace(f, known_at="arrived") if f.known_at else f for f in fx.FLIGHT.fields)
    late = msgspec.structs.replace(fx.FLIGHT, fields=known)
    assert digest_of_view(view(of=late, contracts=(late, fx.WEATHER))) != digest_of_view(fx.DELAY)
    infinite = view(less("far", "distance", float("inf")))
    assert digest_of_view(infinite) != digest_of_view(view(less("far", "distance", 1)))


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (fx.own("dep_delay"), "departed"),
        (fx.own("arr_delay"), "arrived"),
        (DEPARTED_HOUR, "departed"),
        (
            Derived(name="x", expression=Arithmetic(op="+", left=fx.own("arr_delay"), right=ONE)),
            "arrived",
        ),
    ],
)
def test_a_field_that_comes_after_the_decision_is_refused(column: Any, says: str) -> None:
    with pytest.raises(NotKnownYet, match=f"known at Flight.{says}, after the decision"):
        compile_view(view(column))


def test_a_field_that_is_known_when_it_is_decided_is_a_column() -> None:
    decided_late = view(fx.own("dep_delay"), DEPARTED_HOUR, decided="departed", decided_offset_s=0.0)

    assert compile_view(decided_late).names == ("dep_delay", "departed_hour")
    with pytest.raises(NotKnownYet):
        compile_view(msgspec.structs.replace(decided_late, decided_offset_s=-1.0))


def test_a_key_that_is_known_late_must_not_group() -> None:
    gate = FieldSpec(name="gate", kind=FieldKind.CATEGORY, known_at="departed")
    flight = msgspec.structs.replace(fx.FLIGHT, fields=(*fx.FLIGHT.fields, gate))
    by_gate = Rolling(contract="Flight", field="arr_delay", function="mean", over_s=3600, by=("gate",))

    with pytest.raises(NotKnownYet, match="gate"):
        compile_view(view(by_gate, of=flight, contracts=(flight, fx.WEATHER)))
    late = view(by_gate, of=flight, contracts=(flight, fx.WEATHER), decided="departed", decided_offset_s=0.0)
    with pytest.raises(NotKnownYet, match="not with the value that it groups"):
        compile_view(late)


@pytest.mark.parametrize(
    ("changes", "columns", "says"),
    [
        ({}, [fx.own("nothing")], "no field 'nothing'"),
        ({}, [fx.own("origin"), fx.own("origin")], "two columns are called 'origin'"),
        ({}, [less("label", "distance", 1)], "cannot be called 'label'"),
        ({}, [Field(contract="Weather", field="temp")], "not a field of Flight"),
        ({}, [fx.own("scheduled")], "is a time"),
        ({}, [TimePart(of=fx.own("distance"), part="hour")], "which has no hour"),
        ({}, [Latest(contract="Weather", fields=("at",), by=("origin",))], "is a time"),
        ({}, [Latest(contract="Storm", fields=("at",), by=("origin",))], "does not know the contract 'Storm'"),
        ({}, [Latest(contract="Weather", fields=("temp",), by=("dest",))], "no field 'dest'"),
        ({}, [Latest(contract="Weather", fields=("temp",), by=("origin",), within_s=-1)], "within is -1"),
        ({}, [Rolling(contract="Weather", field="temp", function="mean", over_s=9, by=("temp",))], "no field 'temp'"),
        ({}, [total(9, "distance")], "cannot be matched"),
        ({}, [total(0)], "over is 0"),
        ({}, [total(float("nan"))], "over is nan"),
        ({}, [total(9, field="carrier")], "not a number"),
        ({}, [Derived(name="x", expression=Arithmetic(op="+", left=fx.own("origin"), right=ONE))], "no meaning"),
        ({}, [less("x", "origin", 1)], "no meaning"),
        ({}, [less("x", "distance", 2**63)], "constant"),
        ({"decided": "distance"}, [fx.own("origin")], "not a time"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(changes: Any, columns: Any, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        compile_view(view(*columns, **changes))
    assert all(caught.value.parts().values())


def test_a_view_without_columns_is_refused() -> None:
    with pytest.raises(Invalid, match="no columns"):
        compile_view(msgspec.structs.replace(fx.DELAY, columns=()))


def test_the_proof_has_a_line_for_each_column() -> None:
    proof = prove_blind_to(fx.DELAY, fx.LATE)

    assert proof.summary == "no column can see the label (Flight.arr_delay)"
    assert proof.because == "known_at arrived > decided (2 h before scheduled)"
    assert len(proof.lines) == 12
    assert "weather_temp: newest Weather with at <= decided" in proof.lines
    assert any("only Flight.dep_delay with departed <= decided" in line for line in proof.lines)


def test_a_label_that_comes_with_the_row_is_refused() -> None:
    label = Label(expression=Comparison(op=">", left=fx.own("distance"), right=Constant(value=1)), name="far")

    with pytest.raises(LabelVisible, match=r"Flight\.distance is known as soon as the row is"):
        prove_blind_to(fx.DELAY, label)


def test_a_label_that_is_known_when_it_is_decided_is_refused() -> None:
    too_late = view(decided="arrived", decided_offset_s=3600.0)

    with pytest.raises(LabelVisible, match="1 h after arrived"):
        prove_blind_to(too_late, fx.LATE)
    with pytest.raises(LabelVisible):
        training_frame(too_late, fx.tables(), label=fx.LATE)


def test_a_decision_is_not_counted_back_from_a_moment_that_nobody_knows() -> None:
    # A clock in another contract, read two hours before take-off, would tell when that was, and so the delay.
    before_take_off = view(fx.own("carrier"), decided="departed", decided_offset_s=-7200.0)
    late_start = Label(expression=Comparison(op=">", left=fx.own("dep_delay"), right=Constant(value=15)), name="late")

    with pytest.raises(NotKnownYet, match=r"counted from Flight\.departed, which is known only when it has come"):
        prove_blind_to(before_take_off, late_start)

    due = FieldSpec(name="due", kind=FieldKind.TIME, known_at="departed")
    announced = msgspec.structs.replace(fx.FLIGHT, fields=(*fx.FLIGHT.fields, due))
    with pytest.raises(NotKnownYet, match=r"counted from Flight\.due, which becomes known at Flight\.departed"):
        compile_view(view(fx.own("carrier"), of=announced, decided="due", decided_offset_s=3600.0))


def test_an_event_time_that_says_when_the_label_is_known_is_no_column() -> None:
    arrival = ContractSpec(
        name="Arrival",
        fields=(
            FieldSpec(name="id", kind=FieldKind.KEY),
            FieldSpec(name="arrived", kind=FieldKind.EVENT_TIME),
            FieldSpec(name="scheduled", kind=FieldKind.TIME),
            FieldSpec(name="delay", kind=FieldKind.FLOAT, known_at="arrived"),
        ),
    )
    hour = TimePart(of=Field(contract="Arrival", field="arrived"), part="hour")
    label = Label(expression=Field(contract="Arrival", field="delay"), name="delay")
    leaking = view(hour, of=arrival, contracts=(arrival,), decided="scheduled", decided_offset_s=-7200.0)

    with pytest.raises(NotKnownYet, match=r"Arrival\.arrived becomes known at Arrival\.arrived, after the decision"):
        prove_blind_to(leaking, label)
    # Who decides a day before the hour that is forecast knows which hour that is.
    forecast = msgspec.structs.replace(leaking, decided="arrived", decided_offset_s=-86_400.0)
    assert prove_blind_to(forecast, label).lines == ("arrived_hour: given with the row",)


def test_a_label_must_be_of_the_row_itself_and_a_number() -> None:
    with pytest.raises(Invalid, match="must be a number"):
        prove_blind_to(fx.DELAY, Label(expression=fx.own("carrier"), name="x"))
    with pytest.raises(TrimtabError):
        prove_blind_to(fx.DELAY, Label(expression=Field(contract="Weather", field="temp"), name="x"))
