"""Every link leads somewhere, and none leads where it should not."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from markdown.extensions.toc import slugify
from tests.docs.pages import DOCS, ROOT, name_of, pages, prose, text_of

HOSTS = {"semver.org"}
"""The hosts that the documentation may name in a link."""
STANDING_IN = {"127.0.0.1", "json-schema.org", "trimtab.example.org", "trimtab"}
"""What addresses in examples may name: this machine, names that nobody has, and nginx's word for its upstream."""
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL), re.MULTILINE)
    return {slugify(re.sub(r"[`*]", "", heading), "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_relative_links_resolve(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        assert target.is_relative_to(DOCS if page.is_relative_to(DOCS) else ROOT), f"{link} leaves the site"
        if parts.fragment and target.suffix == ".md":
            assert parts.fragment in anchors(target), link


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_only_known_hosts_are_named(page: Path) -> None:
    named = {urlsplit(link).hostname for link in links(page)} - {None}
    assert named <= HOSTS
    everywhere = re.findall(r"https?://([A-Za-z0-9.-]+)", text_of(page))
    assert {host for host in everywhere if host not in HOSTS} <= STANDING_IN


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_block_in_a_list_is_indented_as_the_site_reads_it(page: Path) -> None:
    """With fewer than four spaces the list ends before it, and its next points are shown as text.

    So are they without an empty line after what stands so far in.
    """
    assert re.findall(r"(?m)^ {1,3}```.*|^ {4}(?! ).*\n- .*", page.read_text("utf-8")) == []


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8")))
    assert listed == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def test_pictures_are_small() -> None:
    for picture in (DOCS / "images").glob("*.png"):
        assert picture.stat().st_size <= 200_000, picture.name
