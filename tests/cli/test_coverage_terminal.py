"""What `coverage` shows on a terminal of 80 columns."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.folders import Folder
from tests.cli.test_coverage import SETTINGS

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo terminals", allow_module_level=True)

from tests.cli.pty_folder import in_terminal


def test_tables_and_charts_fit_the_terminal(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("settings.py", SETTINGS)
    with folder.start():
        folder.stop()
    with in_terminal(tmp_path, "coverage", "--holes", "--count", "5") as terminal:
        assert terminal.read_to_end() == 0
    assert max(map(len, terminal.lines)) <= 80
    assert b"\x1b[31m" in terminal.written
