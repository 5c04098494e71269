"""The programs of docs/dataflow.md print what the page says."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pichannels.dataflow import fresh
from tests.docs.pages import DOCS, Block, blocks

SHOWN = list(blocks(DOCS / "dataflow.md"))
PROGRAMS = [
    (program, printed)
    for program, printed in pairwise(SHOWN)
    if program.language == "python"
]


@pytest.mark.parametrize(
    ("program", "printed"), PROGRAMS, ids=[f"line {p.line}" for p, _ in PROGRAMS]
)
def test_a_program_prints_what_the_page_says(
    program: Block,
    printed: Block,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printed.language == "text"
    monkeypatch.chdir(tmp_path)
    code = compile(program.code, f"dataflow.md, line {program.line}", "exec")
    with fresh():
        exec(code, {"__name__": "__main__"})
    sys.stdout.flush()
    assert capsys.readouterr().out == printed.code


def test_all_programs_are_run() -> None:
    assert len(PROGRAMS) == sum(block.language == "python" for block in SHOWN) == 8
