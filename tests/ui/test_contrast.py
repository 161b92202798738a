"""Colours: text stands out from every ground by 4.5 to 1, lines and controls by 3 to 1, in light and in dark."""

import re
from importlib.resources import files

import pytest

TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);",
        files("trimtab.ui").joinpath("static/tokens.css").read_text("utf-8"),
    )
}
GROUNDS = ("bg", "panel", "raised")
TEXTS = ("text", "muted", "accent", "ok", "warn", "bad")
LINES = ("edge", "series-1", "series-2", "series-3", "series-4", "series-5")


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize(("name", "least"), [*((text, 4.5) for text in TEXTS), *((line, 3.0) for line in LINES)])
def test_a_colour_stands_out(theme: int, ground: str, name: str, least: float) -> None:
    assert _contrast(TOKENS[name][theme], TOKENS[ground][theme]) >= least


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_on_the_main_action_can_be_read(theme: int) -> None:
    assert _contrast(TOKENS["on-accent"][theme], TOKENS["accent"][theme]) >= 4.5


def test_every_colour_comes_from_the_tokens() -> None:
    for name in ("base.css", "kit.css"):
        text = files("trimtab.ui").joinpath(f"static/{name}").read_text("utf-8")
        assert not re.findall(r"#[0-9a-fA-F]{3,8}\b", text)
        used = set(re.findall(r"var\(--([a-z0-9-]+)\)", text))
        defined = set(
            re.findall(r"--([a-z0-9-]+):", files("trimtab.ui").joinpath("static/tokens.css").read_text("utf-8"))
        )
        assert used <= defined
