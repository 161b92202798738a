"""Canonical JSON: the same bytes as the reference encoder of RFC 8785, for everything that JSON can say."""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel import Invalid, canonical, digest_of

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5), max_leaves=30
)


class Colour(StrEnum):
    RED = "red"


class Point(msgspec.Struct, frozen=True):
    x: float
    name: str
    at: datetime | None = None
    colour: Colour = Colour.RED


@given(values)
def test_the_bytes_are_those_of_the_reference(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


class Mixed(msgspec.Struct):
    text: str
    number: int
    maybe: str | None
    many: tuple[Any, ...]
    named: dict[str, Any]
    colour: Colour = Colour.RED


mixed = st.builds(
    Mixed, st.text(), st.integers(-(2**53) + 1, 2**53 - 1), st.none() | st.text(), st.tuples(values, values),
    st.dictionaries(st.text(), values, max_size=3), st.just(Colour.RED),
)  # fmt: skip


@given(mixed)
def test_structs_have_the_bytes_of_the_reference(value: Mixed) -> None:
    assert canonical(value) == rfc8785.dumps(msgspec.to_builtins(value))


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan")])
def test_a_field_that_json_cannot_say_is_refused(value: object) -> None:
    for given_ in (
        Mixed("a", value, None, (), {}),
        Mixed("a", 1, None, (value,), {}),
        Mixed("a", 1, None, (), {"x": value}),
    ):  # type: ignore[arg-type]
        with pytest.raises(Invalid):
            canonical(given_)


around_surrogates = st.characters(min_codepoint=0xD7F0, max_codepoint=0x1F610, exclude_categories=["Cs"])


@given(st.dictionaries(st.text(around_surrogates, max_size=2), st.integers(0, 9)))
def test_names_are_ordered_by_utf_16_units(value: dict[str, int]) -> None:
    # Characters beyond U+FFFF sort before U+E000 there, unlike Python's order.
    assert canonical(value) == rfc8785.dumps(value)


def test_structs_times_and_enums() -> None:
    at = datetime(2013, 3, 1, 12, tzinfo=UTC)
    assert canonical(Point(1.0, "a", at)) == b'{"at":"2013-03-01T12:00:00Z","colour":"red","name":"a","x":1}'


def test_the_order_of_writing_does_not_matter() -> None:
    assert digest_of({"b": [1, 2], "a": None}) == digest_of({"a": None, "b": (1, 2)})


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**53, -(2**53), {1: 2}, object(), "\ud800", {"\ud800": 1}, [[[float("-inf")]]]],
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(Invalid) as caught:
        canonical(value)
    assert "canonical JSON" in caught.value.what


def test_a_structure_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Invalid):
        canonical(endless)


def test_a_time_in_another_zone_keeps_its_offset() -> None:
    at = datetime(2013, 3, 1, tzinfo=timezone(timedelta(hours=-5)))
    assert canonical(at) == b'"2013-03-01T00:00:00-05:00"'


def test_single_values_of_numpy_are_those_of_python() -> None:
    given = {"a": np.float64(1.5), "b": [np.int64(3), np.bool_(True), np.str_("x")], "c": np.float32(0.25)}
    assert canonical(given) == b'{"a":1.5,"b":[3,true,"x"],"c":0.25}'
    for wrong in (np.float64("nan"), np.array([1.0]), np.complex128(1j)):
        with pytest.raises(Invalid):
            canonical({"a": wrong})


@pytest.mark.parametrize("width", [0, 1, 10_000])
def test_what_lies_within_itself_is_refused(width: int) -> None:
    value: list[object] = [1] * width
    value.append(value)
    with pytest.raises(Invalid, match="cannot be written"):
        canonical(value)


def test_many_parts_are_written_like_few() -> None:
    assert canonical(list(range(200_000))) == f"[{','.join(map(str, range(200_000)))}]".encode()
