"""The programs of docs/how-to/windows.md print what the page says."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pichannels.dataflow import fresh
from tests.docs.pages import DOCS, blocks

PAGE = DOCS / "how-to" / "windows.md"


def test_the_programs_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown, names = list(blocks(PAGE)), dict[str, Any](__name__="__main__")
    checked = 0
    for program, printed in pairwise(shown):
        if program.language != "python":
            continue
        with fresh():
            exec(
                compile(program.code, f"windows.md, line {program.line}", "exec"), names
            )
        sys.stdout.flush()
        said = printed.code if printed.language == "text" else ""
        assert capsys.readouterr().out == said
        checked += bool(said)
    assert checked == 4
