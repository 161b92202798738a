"""A contract's class becomes a frozen spec, and its fields columns."""

from typing import Any

import pytest

import trimtab as tt
from trimtab.declare import FieldKind, FieldSpec, UnknownField, contract_of

from .declared import Flight, Weather


def spec(name: str) -> FieldSpec:
    field = contract_of(Flight).field(name)
    assert field is not None
    return field


def test_fields_keep_their_order_kinds_and_lines() -> None:
    fields = contract_of(Weather).fields
    assert [field.name for field in fields] == ["origin", "at", "temp", "visib", "calm"]
    kinds = [FieldKind.KEY, FieldKind.EVENT_TIME, FieldKind.FLOAT, FieldKind.FLOAT, FieldKind.BOOL]
    assert [field.kind for field in fields] == kinds
    lines = [int(field.where.removeprefix("declared.py:")) for field in fields]
    assert lines == list(range(lines[0], lines[0] + 5))
    assert contract_of(Weather).where == f"declared.py:{lines[0] - 3}"
    assert contract_of(Weather).description == "Hourly weather."


def test_what_may_be_missing() -> None:
    assert spec("flight_id").missing == spec("scheduled").missing == spec("carrier").missing == 0.0
    assert spec("departed").missing is None, "a time that has not come yet is no fault"
    assert spec("dep_delay").missing == 0.08
    assert spec("distance").missing == 0.0
    assert spec("note").missing == 0.5


def test_promises_combine() -> None:
    delay = spec("arr_delay")
    assert (delay.low, delay.high, delay.missing, delay.known_at) == (-200, 2000, 0.08, "arrived")
    assert spec("origin").values == ("EWR", "JFK", "LGA")
    assert spec("number").value_type == "int"


def test_a_promise_shows_as_it_was_written() -> None:
    assert (
        repr(tt.between(0, 5, missing=0.1, known_at="arrived")) == 'tt.between(0, 5, missing=0.1, known_at="arrived")'
    )
    assert repr(tt.one_of("a", 'b"c')) == """tt.one_of("a", 'b"c')"""
    assert repr(tt.known_at("arrived", missing=0.08)) == 'tt.known_at("arrived", missing=0.08)'
    assert repr(tt.missing(0.2)) == "tt.missing(0.2)"
    assert repr(tt.between(-0.5, 1234567, missing=0.0123456789)) == "tt.between(-0.5, 1234567, missing=0.0123456789)"


def test_annotations_may_be_texts() -> None:
    # As ``from __future__ import annotations`` leaves them, in a module or inside a function.
    types = tt

    class Late(tt.Contract):
        id: "types.Key[str]"
        at: "tt.EventTime"
        value: "tt.Float" = tt.between(0, 1)

    assert [field.kind.value for field in contract_of(Late).fields] == ["key", "event_time", "float"]


def test_a_contract_may_extend_another() -> None:
    class Charter(Flight):
        client: tt.Category
        carrier: tt.Category = tt.one_of("AA")

    names = [field.name for field in contract_of(Charter).fields]
    assert names == [field.name for field in contract_of(Flight).fields] + ["client"]
    assert repr(Charter.distance) == "Charter.distance"
    assert contract_of(Charter).field("carrier") != contract_of(Flight).field("carrier")


def test_it_is_a_good_python_citizen() -> None:
    assert not hasattr(Flight, "nonsense")
    assert getattr(Flight, "nonsense", None) is None
    assert repr(Weather) == "<contract Weather: origin, at, temp, visib, calm>"
    with pytest.raises(UnknownField, match=r"write Flight\.dep_delay"):
        _ = Flight.dep_dealy
    with pytest.raises(tt.TrimtabError, match="cannot be set"):
        Flight.dep_delay = 3
    with pytest.raises(tt.TrimtabError, match="makes no row"):
        Flight()


def test_a_contract_can_be_made_by_a_program() -> None:
    def make(fields: dict[str, Any], **promises: Any) -> type[tt.Contract]:
        return type(tt.Contract)("Made", (tt.Contract,), {"__annotations__": fields, **promises})

    made = make({"id": tt.Key[int], "at": tt.EventTime, "x": tt.Float}, x=tt.between(0, 1))
    assert contract_of(made).field("x").high == 1.0
