"""Pages that are written from the code, and links between pages."""

from __future__ import annotations

from pathlib import Path

import pytest

import geoclass
from tests.conftest import ROOT
from tests.docs.pages import read_links
from tests.test_scripts import load

DOCS = ROOT / "docs"


def check_page(name: str, text: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == text, f"docs/{name} is not what the code says: run scripts/make_docs.py"


def test_cli_page_is_what_the_commands_say() -> None:
    check_page("cli.md", load("make_docs").describe_commands())


def test_api_page_is_what_the_docstrings_say() -> None:
    module = load("make_docs")
    told = [name for names in module.SECTIONS.values() for name in names]
    assert sorted(told) == sorted(geoclass.__all__), "add the name to SECTIONS in make_docs.py"
    check_page("api.md", module.describe_names())


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    lost = [link for link in read_links(page) if not (page.parent / link).exists()]
    assert lost == []


def test_every_page_can_be_reached() -> None:
    reached, following = set[Path](), [ROOT / "README.md"]
    while following:
        page = following.pop()
        if page in reached:
            continue
        reached.add(page)
        links = [(page.parent / link).resolve() for link in read_links(page)]
        following += [link for link in links if link.suffix == ".md" and link.exists()]
    assert {page.resolve() for page in DOCS.glob("*.md")} <= reached
