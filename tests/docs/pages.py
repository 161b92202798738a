"""The documentation as the tests read it: its pages, their code blocks, links and headings."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OUTSIDE = (ROOT / "README.md", ROOT / "CHANGELOG.md")
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def _hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hook = _hook()
"""docs/generated.py, which mkdocs runs."""


def pages() -> list[Path]:
    """Every page of the site, and what stands outside of it."""
    return [*sorted(DOCS.rglob("*.md")), *OUTSIDE]


@cache
def text_of(page: Path) -> str:
    """A page as mkdocs sees it, its marks filled."""
    text = page.read_text("utf-8")
    return hook.on_page_markdown(text) if page.is_relative_to(DOCS) else text


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, each with the line at which it begins."""
    text = text_of(page)
    found = [match for match in _BLOCK.finditer(text) if match[2] == language]
    return [(text[: match.start()].count("\n") + 1, match[3]) for match in found]


def prose(page: Path) -> str:
    """A page without its blocks and code."""
    return re.sub(r"`[^`\n]+`", "", _BLOCK.sub("", text_of(page)))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))
