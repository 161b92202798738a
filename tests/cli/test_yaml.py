"""``-o yaml``: what is written is read back equal, by a reader of YAML 1.1 and by one of 1.2."""

import math
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from trimtab.cli.yaml import to_yaml


class Reader12(yaml.SafeLoader):
    """Resolves plain words by the core schema of YAML 1.2 (chapter 10.3.2)."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  PyYAML's own name


for _tag, _pattern in (
    ("null", r"|null|Null|NULL|~"), ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"),
):  # fmt: skip
    Reader12.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), None)
Reader12.add_constructor(
    "tag:yaml.org,2002:int", lambda loader, node: int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)
)
Reader12.add_constructor(
    "tag:yaml.org,2002:float", lambda loader, node: float(node.value.replace(".inf", "inf").replace(".nan", "nan"))
)

TRICKY = (
    "no", "NO", "y", "off", "null", "~", "", " ", "2013-03-01", "2013-03-01T12:00:00Z", "1:30", "0777", "08", "1e3",
    "1.", ".5", "0x1f", "0o17", ".nan", "-.inf", "+1", "1_000", "=", "<<", "- a", "a: b", "a #b", "#", "'", '"', "&a",
    "*a", "!a", "%a", "@a", "`a", "?", "|", ">", "{", "[", "two\nlines", "two\n  lines\n", "\n", " lead\nand more",
    "trail \nx", "tab\there", "\ttab", "cr\rlf\r\n", "a\x85b\n", "\ufeff", "é\nü", "\U0001f600", "---", "...",
    "x" * 500,
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(TRICKY), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-(10**40), 10**40), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Say whether two values are equal to the type, NaN to NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return (math.isnan(a) and math.isnan(b)) if isinstance(a, float) and math.isnan(a) else bool(a == b)


@pytest.mark.parametrize("reader", [yaml.SafeLoader, Reader12])
@given(value=VALUES)
@example(value={"country": "no", "since": "2013-03-01", "big": 10**30, "loss": math.nan, "why": "a\nb\n"})
@example(value=[1e20, 1e-7, -0.0, math.inf, -math.inf])
def test_what_is_written_is_read_back_equal(reader: Any, value: Any) -> None:
    assert same(yaml.load(to_yaml(value), reader), value), to_yaml(value)


@pytest.mark.parametrize("text", TRICKY)
@pytest.mark.parametrize("reader", [yaml.SafeLoader, Reader12])
def test_each_text_that_looks_like_something_else_stays_a_text(reader: Any, text: str) -> None:
    written = to_yaml({text: [text]})
    assert yaml.load(written, reader) == {text: [text]}, written


def test_equal_parts_are_written_out() -> None:
    part = ["a", {"b": 1}]
    assert "&" not in to_yaml([part, part])


def test_the_lines_of_a_text_stay_lines() -> None:
    assert to_yaml({"error": "first\nsecond\n"}) == "error: |\n  first\n  second\n"
