"""References read and write the same, and what names nothing is refused in four parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel import Invalid
from trimtab.registry import NameNotUsable, VersionRef

models = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,99}", fullmatch=True)
numbers = st.integers(1, 999_999_999)
aliases = st.from_regex(r"[a-z][a-z0-9_-]{0,62}", fullmatch=True)


@given(models, numbers | aliases)
def test_a_reference_is_read_as_it_is_written(model: str, rest: int | str) -> None:
    ref = VersionRef.parse(f"{model}@{rest}")
    assert (ref.model, ref.version or ref.alias) == (model, rest)
    assert str(ref) == f"{model}@{rest}"
    assert VersionRef.parse(str(ref)) == ref


def test_a_bare_name_means_the_champion() -> None:
    assert VersionRef.parse("late") == VersionRef("late", None, "champion")
    assert str(VersionRef.parse(" late ")) == "late@champion"


@pytest.mark.parametrize(
    "text", ["", "@3", "late@", "late@0", "late@03", "late@-1", "late@1.5", "late@Champion", "la te", "9late",
             "late@3@4", "late@²", "late@1234567890", "x" * 101, "late@" + "a" * 64, "../etc@1"],
)  # fmt: skip
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(NameNotUsable) as raised:
        VersionRef.parse(text)
    assert isinstance(raised.value, Invalid)
    assert all(raised.value.parts().values())
