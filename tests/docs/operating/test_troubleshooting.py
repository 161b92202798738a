"""What the page says of errors is what the program says: its codes, its words, its commands and its addresses."""

import re

import pytest
from tests.docs.pages import DOCS, ROOT, hook, text_of
from tests.docs.test_commands import parse

from trimtab.kernel import TrimtabError

GUIDE = DOCS / "guide" / "operating"
PAGE = (GUIDE / "troubleshooting.md").read_text("utf-8")
SOURCE = "\n".join(file.read_text("utf-8") for file in (ROOT / "src" / "trimtab").rglob("*.py"))
ROWS = {row.split("`")[1]: row for row in hook.troubles() if row.startswith("| `")}
CODES = {error.code for error in hook.subclasses(TrimtabError, having="code")}


def test_every_code_has_its_row() -> None:
    assert set(ROWS) == CODES
    for code, row in ROWS.items():
        _, _, why, do, _ = re.split(r"(?<!\\)\|", row)
        assert why.strip(" ."), code
        assert do.strip(), code
        assert "{" not in row, f"{code}: a value that is not filled"


def test_the_rows_stand_on_the_page() -> None:
    assert all(row in text_of(GUIDE / "troubleshooting.md") for row in ROWS.values())


def test_only_codes_that_there_are_are_named() -> None:
    named = set(re.findall(r"`([a-z]+(?:\.[a-z]+(?:-[a-z]+)*))`", PAGE)) - {"trimtab.toml"}
    assert len(named) > 20
    assert named <= CODES


@pytest.mark.parametrize(
    "said",
    ["models are being loaded", "serving: ", "pipelines: ", "there is no setting "],
)
def test_what_it_says_is_what_the_program_says(said: str) -> None:
    assert f"`{said.strip()}" in PAGE
    assert said in SOURCE


def test_commands_and_addresses_in_the_text_are_real() -> None:
    commands = [words for words in re.findall(r"`trimtab ([a-z][^`|]*)`", PAGE) if "..." not in words]
    assert len(commands) > 8
    for words in commands:
        parse(words.split())
    paths = {path for route in hook.api_routes() for path in [f"{route.method} {route.path}"]}
    named = set(re.findall(r"`((?:GET|POST) /api[^`]*)`", PAGE))
    assert named
    assert named <= paths


def test_alerts_lead_to_headings_of_the_page() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)}
    asked = re.findall(r"troubleshooting\.md#([\w-]+)", (GUIDE / "prometheus.md").read_text("utf-8"))
    assert len(asked) > 5
    assert set(asked) <= headings


def test_each_word_of_the_glossary_has_one_line_and_leads_to_its_page() -> None:
    rows = [line for line in (GUIDE / "glossary.md").read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    words = [row.split("|")[1].strip() for row in rows]
    assert words == sorted(words, key=str.lower)
    assert len(words) == len(set(words)) > 35
    assert [row for row in rows if not re.search(r"\]\(\.\./[\w.#-]+\)\) \|$", row)] == []
