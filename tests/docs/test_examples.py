"""The examples in the docs do what they say: Python runs, commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, run_by, title_of
from tests.docs.processes import in_process

WITH_PYTHON = [p for p in PAGES if any(b.language == "python" for b in blocks(p))]


@pytest.mark.parametrize(
    "page",
    [page for page in WITH_PYTHON if not run_by(page)],
    ids=title_of,
)
def test_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    done = in_process(tmp_path, "-W", "error", "-m", "tests.docs.run_page", str(page))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", WITH_PYTHON, ids=title_of)
def test_every_block_is_known(page: Path) -> None:
    fences = re.findall(r"^\s*```python$", page.read_text("utf-8"), re.M)
    shown = [b for b in blocks(page) if b.language == "python"]
    hidden = re.findall(r"^<!-- example: code$", page.read_text("utf-8"), re.M)
    assert len(shown) == len(fences) + len(hidden)


@pytest.mark.parametrize("page", [p for p in PAGES if run_by(p)], ids=title_of)
def test_pages_with_a_test_of_their_own_name_it(page: Path) -> None:
    assert page.name in (ROOT / run_by(page)).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=title_of)
def test_what_is_not_run_has_a_reason(page: Path) -> None:
    notes = [block.note for block in blocks(page) if block.note]
    known = r"fragment, .{15,}|for [\d.]+ s|run by \S+"
    assert [note for note in notes if not re.fullmatch(known, note, re.S)] == []
