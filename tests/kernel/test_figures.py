"""Numbers as people read them: short, and never one that says more or less than there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel import figure, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.99996, "0.9999"),
        (-0.99996, "-0.9999"),
        (0.12345, "0.1235"),
        (2e5, "2e+05"),
    ],
)
def test_a_figure_has_four_digits(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"), (-0.0, "0 %"), (1.0, "100 %"), (0.99999, "99.9 %"), (0.0004, "0.04 %"), (1e-7, "under 0.001 %"),
        (-1e-7, "above -0.001 %"), (1.5, "150 %"), (15.0, "1500 %"), (float("nan"), "nan %"),
    ],
)  # fmt: skip
def test_a_share_reads_as_nothing_or_all_only_where_it_is(share: float, text: str) -> None:
    assert percent(share) == text


@given(st.floats(0, 1))
def test_no_share_is_written_as_another(share: float) -> None:
    text = percent(share).removesuffix(" %")
    assert (text == "0", text == "100") == (share == 0, share == 1)
    if not text.startswith("under"):
        assert float(text) == pytest.approx(share * 100, rel=6e-3)
