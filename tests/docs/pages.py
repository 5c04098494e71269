"""The pages of the docs, taken apart: code blocks, and notes for those who run them.

A note is a comment before a block, which no reader sees:

- `<!-- example: fragment, REASON -->`: the next block is not run;
- `<!-- example: for 1 s -->`: the next block goes on without end, and is stopped;
- `<!-- example: run by FILE -->`: a test of its own runs the whole page;
- `<!-- example: code` and lines of code: run in its place, in front of the next block.

A block below a line with a path, such as `settings.py`, is a file of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["DOCS", "PAGES", "ROOT", "Block", "blocks", "run_by", "title_of"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

_ITEM = re.compile(
    r"^<!-- example: (?P<note>.*?)-->$"
    r"|(?:^`(?P<file>[\w/]+\.\w+)`\n\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.M | re.S,
)


class Block(NamedTuple):
    """One block of code, or a hidden one.

    Attributes:
        file: what it is the content of, or "".
        note: what was said about it, or "".
    """

    language: str
    code: str
    line: int
    file: str = ""
    note: str = ""

    @property
    def is_settings(self) -> bool:
        """Whether it is a whole settings file."""
        is_named = self.file in ("", "settings.py")
        return is_named and re.search(r"^CHANNELS = ", self.code, re.M) is not None


def blocks(page: Path) -> Iterator[Block]:
    """All blocks of a page, in order."""
    text = page.read_text("utf-8")
    note = ""
    for found in _ITEM.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found["note"] is not None and found["note"].startswith("code\n"):
            yield Block("python", found["note"].removeprefix("code\n"), line)
        elif found["note"] is not None:
            note = found["note"].strip()
        else:
            yield Block(found["language"], found["code"], line, found["file"], note)
            note = ""


def run_by(page: Path) -> str:
    """The test that runs the whole page, or ""."""
    found = re.search(
        r"^<!-- example: run by (\S+) -->$", page.read_text("utf-8"), re.M
    )
    return found[1] if found else ""


def title_of(page: Path) -> str:
    """What tests call a page."""
    return page.relative_to(ROOT).as_posix()
