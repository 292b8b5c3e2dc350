"""What pages of Markdown tell a reader to type."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ROOT

PAGES = ("README.md", "docs/tutorial.md", "docs/scenes.md", "docs/monitor.md", "docs/plots.md")
"""Whose commands are run."""

PROGRAMS = ("geoclass", "python", "mkdir", "git", "./scripts/demo", "./scripts/test")

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def read_blocks(page: str) -> list[str]:
    """The indented and fenced blocks of a page, without their indentation."""
    blocks: list[list[str]] = [[]]
    fenced = False
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
            blocks.append([])
        elif fenced or line.startswith("    "):
            blocks[-1].append(line if fenced else line[4:])
        elif line:
            blocks.append([])
        else:  # an indented block goes on behind an empty line
            blocks[-1].append("")
    texts = ("\n".join(block).strip("\n") for block in blocks)
    return [text for text in texts if text]


def read_commands(page: str) -> list[str]:
    """The commands on a page in their order, each on one line, without remarks."""
    commands = []
    for block in read_blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            command = " ".join(line.split("  #")[0].split())
            if command.split(" ")[0] in PROGRAMS:
                commands.append(command)
    return commands


def read_python(page: str) -> list[str]:
    """The blocks of Python on a page."""
    return [block for block in read_blocks(page) if block.startswith("import geoclass")]


def read_links(path: Path) -> list[str]:
    """The files that a page points to, as it names them."""
    return [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
