"""Case is folded in one way on every database: each character by itself, as Unicode's simple folding says."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import literal, select

from trimtab.store import fold, folded


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("ZÜRICH", "zürich"),
        ("ΣΑΣ", "σας"),
        ("STRAẞE", "straße"),
        ("İ", "İ"),
        ("K", "k"),
        ("ſ", "S"),
        ("ᾈ", "ᾀ"),
        ("ЖЁ", "жё"),
    ],
)
def test_texts_that_differ_in_case_alone_are_one(text, other):
    assert fold(text) == fold(other)


@pytest.mark.parametrize(("text", "other"), [("straße", "STRASSE"), ("İ", "i"), ("ı", "i"), ("ä", "a"), ("ŉ", "n")])
def test_what_would_fold_into_several_characters_is_left_alone(text, other):
    assert fold(text) != fold(other)


def test_folding_keeps_the_length_and_folds_once():
    letters = [chr(code) for code in range(sys.maxunicode + 1)]
    assert all(len(fold(letter)) == 1 and fold(fold(letter)) == fold(letter) for letter in letters)
    # Where the full folding is one character, the simple one is the same.
    assert all(fold(letter) == letter.casefold() for letter in letters if len(letter.casefold()) == 1)


def test_the_database_folds_as_python_does(store):
    @settings(max_examples=60, deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20))
    def check(text):
        with store.read() as connection:
            found = connection.execute(select(folded(literal(text), is_sqlite=store.database.is_sqlite))).scalar()
        assert found == fold(text)

    check()
    check_all = "".join(chr(code) for code in range(1, 0x2FFF))
    with store.read() as connection:
        found = connection.execute(select(folded(literal(check_all), is_sqlite=store.database.is_sqlite))).scalar()
    assert found == fold(check_all)
