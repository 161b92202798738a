"""What templates say of time, numbers and addresses."""

import httpx
import pytest

from trimtab.kernel import Actor, Call
from trimtab.ui.render import address_of, percent, signed, span


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"host": "127.0.0.1:8411"}, "http://127.0.0.1:8411"),
        ({"host": "[::1]:8411"}, "http://[::1]:8411"),
        ({"host": "models.example", "x-forwarded-proto": "https"}, "https://models.example"),
        ({"host": "models.example", "x-forwarded-proto": "gopher"}, "http://models.example"),
        ({"host": "a;rm -rf /"}, "http://127.0.0.1"),
        ({}, "http://127.0.0.1"),
    ],
)
def test_an_address_is_the_one_that_was_asked(headers: dict[str, str], address: str) -> None:
    assert address_of(Call(actor=Actor("ann"), headers=headers)) == address


@pytest.mark.parametrize("path", ["/ui/endpoints/slow", "/ui/api"])
def test_a_line_to_copy_names_the_address_of_its_page(client: httpx.Client, path: str) -> None:
    page = client.get(path, headers={"host": "127.0.0.1:9123"}).text
    assert "http://127.0.0.1:9123/" in page
    assert ":8400" not in page


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (0.02, "+0.02"), (-0.02, "−0.02"), (0.000123, "+0.000123"), (-5e-9, "−5.00e-09")],
)
def test_a_difference_carries_its_sign(value: float | None, text: str) -> None:
    assert signed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0.0, "0 %"), (1.0, "100 %"), (0.5, "50 %"), (0.99999, "99.9 %"), (0.9996, "99.9 %"),
        (0.0000123, "0.00123 %"), (3.0, "300 %"),
    ],
)  # fmt: skip
def test_all_of_it_is_100_percent_and_nearly_all_is_not(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0.0, "0 s"), (0.00099999, "1 ms"), (0.9999, "1 s"), (59.94, "59.9 s"), (59.99, "1 min"),
        (119.9, "2 min"), (3599.9, "1 h"), (7260, "2 h 1 min"), (-61, "−1 min 1 s"),
    ],
)  # fmt: skip
def test_a_span_is_rounded_into_the_next_unit(seconds: float | None, text: str) -> None:
    assert span(seconds) == text
