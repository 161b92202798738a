"""Every value has one text, whatever its type and wherever it came from, and writing it never fails."""

import argparse
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import itertools
import json
import math
import pathlib
import sys
import types
import uuid
from collections.abc import Mapping

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from trimtab.kernel import canonical
from trimtab.tracking.names import VALUE_LENGTH
from trimtab.tracking.texts import json_of, name_of, text_of, texts_of


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    AUTO = "auto"


@dataclasses.dataclass
class Config:
    rate: float = 0.1
    sizes: tuple = (1, 2)


class Struct(msgspec.Struct):
    a: int = 1


class Failing:
    def __repr__(self):
        raise RuntimeError("no text")


class Callback:
    """An object with no text of its own, as XGBoost's callbacks are."""

    def __init__(self):
        self.rounds, self.inner = 3, [np.float32(0.1)]


class Unreachable:
    """Looks like a tensor on a device that cannot be reached."""

    dtype, shape = "float32", (2,)

    def __iter__(self):
        raise RuntimeError("no such device")

    def __repr__(self):
        return "tensor([1., 2.], device='gone')"


class Endless(Mapping):
    def __iter__(self):
        return itertools.count()

    def __getitem__(self, key):
        return key

    def __len__(self):
        return sys.maxsize


class Slotted:
    __slots__ = ()


SAME = [
    ("0.1", [0.1, np.float64(0.1), np.float32(0.1), np.float16(0.1), np.array(0.1), pa.scalar(0.1)]),
    ("True", [True, np.bool_(True), np.array(True), pa.scalar(True)]),
    ("3", [3, np.int8(3), np.uint64(3), Level.HIGH, np.array(3), pa.scalar(3)]),
    ("nan", [math.nan, np.float32("nan")]),
    ("18446744073709551616", [2**64]),
    ("1" + "0" * 5000, [10**5000]),
    ("auto", ["auto", np.str_("auto"), Word.AUTO, collections.UserString("auto")]),
    ("2024-01-01T00:00:00", [dt.datetime(2024, 1, 1), pd.Timestamp("2024-01-01"), np.datetime64("2024-01-01", "ns")]),
    ("2024-01-01T00:00:00Z", [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), pd.Timestamp("2024-01-01", tz="UTC")]),
    ("1970-01-01T00:00:00.000000001", [pd.Timestamp(1), np.datetime64(1, "ns")]),
    ("2024-01-01", [dt.date(2024, 1, 1), np.datetime64("2024-01-01")]),
    ("P1D", [dt.timedelta(days=1), pd.Timedelta("1D"), np.timedelta64(1, "D"), np.timedelta64(24, "h")]),
    ("NaT", [pd.NaT, np.datetime64("NaT"), np.timedelta64("NaT")]),
    ("<NA>", [pd.NA]),
    ("None", [None, pa.scalar(None), np.array(None)]),
    ("(1+2j)", [1 + 2j, np.complex64(1 + 2j)]),
    ("[1,2]", [[1, 2], (1, 2), np.array([1, 2]), np.float32([1, 2]), pd.Series([1, 2]), pd.Index([1, 2]), {2, 1}]),
    ("[1,2]", [pl.Series([1, 2]), pa.array([1, 2]), pa.chunked_array([[1], [2]]), collections.deque([1, 2])]),
    ("[[1,2]]", [[[1, 2]], np.array([[1, 2]]), np.array([(1, 2.0)], dtype="i8,f8")]),
    ("[1,null]", [[1, None], [1, pd.NA], [1, pd.NaT], pa.array([1, None]), np.ma.masked_array([1, 2], [0, 1])]),
    ('[0.5,"nan","-inf"]', [[0.5, math.nan, -math.inf], np.array([0.5, math.nan, -math.inf])]),
    ('{"0":1,"1":5}', [{0: 1.0, 1: 5}, {1: 5, 0: 1}, {"0": 1, "1": 5}, {np.int64(0): 1, np.int64(1): 5}]),
    ('{"a":1}', [{"a": 1}, Struct(), types.SimpleNamespace(a=1), argparse.Namespace(a=1), pd.Series([1], index=["a"]),
                 types.MappingProxyType({"a": 1}), collections.Counter("a")]),
    ('{"a":[1,"x"]}', [{"a": [1, "x"]}, {"a": np.array([1, "x"], dtype=object)}]),
    ('{"a":[1,2]}', [pd.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [1, 2]}), pa.table({"a": [1, 2]})]),
    ('{"a":[1],"index":["r"]}', [pd.DataFrame({"a": [1]}, index=["r"])]),
    ('{"rate":0.1,"sizes":[1,2]}', [Config()]),
    ('[[0,1],["0",2]]', [{0: 1, "0": 2}]),
    ('{"None":1,"[1,2]":2}', [{None: 1, (1, 2): 2}]),
    ('["Colour.RED"]', [[Colour.RED]]),
    ("1/3", [fractions.Fraction(1, 3)]),
    ("0.10", [decimal.Decimal("0.10")]),
    ("/a/b", [pathlib.PurePosixPath("/a/b")]),
    ("00000000-0000-0000-0000-000000000001", [uuid.UUID(int=1)]),
    ("b'ab'", [b"ab", bytearray(b"ab"), memoryview(b"ab"), np.bytes_(b"ab")]),
    ("range(0, 3)", [range(3)]),
    ("float32", [np.dtype("float32")]),
    ("numpy.float64", [np.float64]),
    ("float", [float]),
    ("numpy.log", [np.log]),
    ("list[int]", [list[int]]),
    ("loguniform(0.001, 1, loc=2)", [stats.loguniform(0.001, 1.0, loc=2)]),
    ("scipy.stats.norm", [stats.norm]),
    ("sklearn.metrics._classification.f1_score", [f1_score]),
    ('partial("len", average="micro")', [functools.partial(len, average="micro")]),
    ("Callback(inner=[0.1], rounds=3)", [Callback()]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "values"), SAME, ids=lambda one: one[:30] if isinstance(one, str) else "")
def test_one_value_has_one_text(text, values):
    for value in values:
        assert text_of(value) == (text, ""), type(value)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_whose_rows_are_matrices_comes_to_an_end():
    assert text_of(np.matrix([[1, 2], [3, 4]])) == ("[[1,2],[3,4]]", "")


def test_the_text_of_an_estimator_holds_all_its_parameters():
    weights = {0: 1.0, 1: np.float64(5)}
    text = text_of(make_pipeline(LogisticRegression(class_weight=weights))).text
    assert 'class_weight={\\"0\\":1,\\"1\\":5}' in text
    assert all(f"{name}=" in text for name in LogisticRegression().get_params())


@pytest.mark.parametrize(
    ("value", "text", "lacks"),
    [
        (Failing(), "<tests.tracking.test_texts.Failing, which raises RuntimeError>", "raises RuntimeError"),
        ([1, Failing()], '[1,"<tests.tracking.test_texts.Failing, which raises RuntimeError>"]', "raises RuntimeError"),
        (np.random.RandomState(3), "RandomState(MT19937)", "holds what has no text"),
        (Unreachable(), "tensor([1., 2.], device='gone')", "raises RuntimeError"),
        (Slotted(), "<tests.tracking.test_texts.Slotted>", "holds what has no text"),
        ("a\x00b\ud800", "a␀b?", "characters that no database can keep"),
    ],
)
def test_what_is_not_kept_whole_says_so(value, text, lacks):
    found = text_of(value)
    assert found.text == text
    assert lacks in found.lacks


def test_values_that_hold_themselves_or_lie_deep_come_to_an_end():
    itself = [1]
    itself.append(itself)
    assert text_of(itself) == ('[1,"..."]', "holds itself")
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert text_of(deep).lacks == "is nested more than 50 times"
    branching = [0]
    for _ in range(60):
        branching = [branching, branching]
    assert text_of(branching).lacks


def test_mappings_of_any_size_come_to_an_end_and_say_so():
    for large in ({str(n): n for n in range(300_000)}, Endless()):
        text, lacks = text_of(large)
        assert len(text) == VALUE_LENGTH
        assert f"of which {VALUE_LENGTH} are kept" in lacks


@pytest.mark.parametrize("value", ["x" * 9000, list(range(9000)), np.zeros((2000, 2000)), {"a": "ä" * 20_000}])
def test_a_long_value_is_cut_and_says_so(value):
    text, lacks = text_of(value)
    assert len(text) == VALUE_LENGTH
    assert "... [cut: " in text
    assert f"of which {VALUE_LENGTH} are kept" in lacks
    assert text_of(value).text == text


def test_long_values_that_begin_alike_stay_different():
    assert text_of("x" * 9000 + "a").text != text_of("x" * 9000 + "b").text
    assert text_of(list(range(9000))).text != text_of([*range(8999), 1]).text


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(plain, max_size=3))
def test_where_canonical_json_has_words_the_text_is_canonical(value):
    assert text_of(value).text == canonical(value).decode().replace("\x00", "␀")
    # 1e17 is written without its exponent, which JSON's readers take for a whole number.
    assert json.loads(json_of(value).text, parse_int=float) == value


scalars = [
    st.none(), st.integers(), st.floats(), st.complex_numbers(), st.decimals(), st.text(max_size=3), st.just(len),
    st.binary(max_size=3), st.dates(), st.datetimes(), st.timedeltas(), st.uuids(), st.just(pd.NA), st.just(pd.NaT),
    st.builds(Failing),
]  # fmt: skip
anything = st.recursive(
    st.one_of(scalars),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.integers() | st.text(max_size=2), inner, max_size=3),
        st.lists(inner, max_size=3).map(lambda items: np.array([*items, None], dtype=object)),
    ),
    max_leaves=8,
)


@given(anything)
def test_whatever_is_given_becomes_a_text_that_every_database_holds(value):
    for text in (text_of(value).text, json_of([value]).text):
        assert isinstance(text, str)
        assert "\x00" not in text
        text.encode()
    assert isinstance(json.loads(json_of([value]).text), list)
    assert text_of(value) == text_of(value)


def test_names_are_kept_or_changed_with_a_warning(caplog):
    assert name_of("trees", of="parameter") == "trees"
    assert name_of(0, of="parameter") == "0"
    assert caplog.messages == []
    assert name_of("a\nb", of="tag") == "a␊b"
    assert name_of("", of="tag") == "(empty)"
    long = name_of("x" * 300, of="tag")
    assert len(long) == 250
    assert long != name_of("x" * 301, of="tag")
    assert "a tag cannot have the name 'a\\nb': it is kept as 'a␊b'" in caplog.messages


def test_two_names_with_one_text_are_both_kept():
    assert texts_of({0: "a", "0": "b"}, of="parameter") == {"0": "a", "0 (str)": "b"}
    assert texts_of({0: "a", "0": "a"}, of="parameter") == {"0": "a"}


def test_what_has_names_is_taken_for_a_mapping():
    assert texts_of(Config(), of="parameter") == {"rate": "0.1", "sizes": "[1,2]"}
    assert texts_of(argparse.Namespace(b=1, a=None), of="parameter") == {"a": "None", "b": "1"}
    assert texts_of(pd.Series({"a": 1}), of="parameter") == {"a": "1"}
