"""Changed files of loaded modules are found, and no others."""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from pichannels.reload.code import CodeFiles, loaded_files

NAME = "a_module_of_a_project"


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    """The file of a module that is loaded while the test runs."""
    file = tmp_path / f"{NAME}.py"
    file.write_text("limit = 1\n")
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    importlib.import_module(NAME)
    yield file
    sys.path.remove(str(tmp_path))
    del sys.modules[NAME]


@pytest.fixture
def known(module: Path) -> CodeFiles:
    files = CodeFiles()
    files.remember()
    return files


def test_modules_of_a_project_count(module: Path) -> None:
    assert module in loaded_files()


def test_libraries_and_pichannels_do_not_count() -> None:
    own = {types.__file__, pytest.__file__, sys.modules["pichannels.node"].__file__}
    assert not own & {str(file) for file in loaded_files()}


def test_what_was_not_changed_is_not_told(known: CodeFiles, module: Path) -> None:
    assert module not in known.changed()


def test_changed_code_is_told(known: CodeFiles, module: Path) -> None:
    module.write_text("limit = 2\n")
    os.utime(module, ns=(1, 1))
    assert module in known.changed()


def test_a_touched_file_is_not_told(known: CodeFiles, module: Path) -> None:
    os.utime(module, ns=(1, 1))
    assert module not in known.changed()


def test_a_file_that_is_gone_is_not_told(known: CodeFiles, module: Path) -> None:
    module.unlink()
    assert module not in known.changed()
