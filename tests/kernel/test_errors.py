"""Every error has four parts, and crosses a process with them."""

import pickle

import pytest

from trimtab.kernel import Conflict, Invalid, MissingExtra, NotFound, Refused, TrimtabError, Unavailable

PARTS = {"where": "flights.py:31", "why": "It says so.", "next": "trimtab doctor"}


class NotApproved(Refused):
    code = "test.not-approved"
    default_why = "Nobody has approved {version}."
    default_next = "trimtab approve {version}"


def test_an_error_reads_as_one_sentence_after_the_other() -> None:
    error = Invalid("a row is wrong", **PARTS)
    assert str(error) == "flights.py:31: a row is wrong. It says so. Next: trimtab doctor"
    assert error.parts() == {"code": "invalid", "what": "a row is wrong", **PARTS}


def test_a_subclass_speaks_for_itself_with_its_data() -> None:
    error = NotApproved("late@1 is not approved", where="endpoint late", version="late@1")
    assert error.why == "Nobody has approved late@1."
    assert error.next == "trimtab approve late@1"
    assert error.data == {"version": "late@1"}


@pytest.mark.parametrize("missing", ["what", "where", "why", "next"])
def test_none_of_the_four_may_be_missing(missing: str) -> None:
    parts = {"what": "a row is wrong", **PARTS, missing: ""}
    with pytest.raises(TypeError, match="needs what, where, why and next"):
        Invalid(parts.pop("what"), **parts)


@pytest.mark.parametrize(
    "error",
    [
        Invalid("a row is wrong", **PARTS),
        NotApproved("late@1 is not approved", where="endpoint late", version="late@1"),
        MissingExtra("polars is missing", where="source", package="polars", extra="polars"),
    ],
)
def test_an_error_survives_a_pickle(error: TrimtabError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.parts() == error.parts()
    assert again.data == error.data


def test_the_tree() -> None:
    for kind in (NotFound, Conflict, Invalid, Refused, Unavailable):
        assert kind.__bases__ == (TrimtabError,)
        assert kind("x", **PARTS).code == kind.code != TrimtabError.code
    assert issubclass(MissingExtra, Unavailable)
