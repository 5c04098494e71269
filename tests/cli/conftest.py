"""Projects for the tests of the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.folders import Folder, MakePlant, settings


@pytest.fixture
def empty(tmp_path: Path) -> Folder:
    """A folder without anything."""
    return Folder(tmp_path)


@pytest.fixture
def plant(empty: Folder) -> Folder:
    """A project whose one channel makes three values; the sink refuses one."""
    empty.write("settings.py", settings())
    return empty


@pytest.fixture
def make_plant(empty: Folder) -> MakePlant:
    """A project like `plant` with another node, count or more settings."""

    def make(node: str = "Sink", count: int = 3, more: str = "") -> Folder:
        empty.write("settings.py", settings(node, count, more))
        return empty

    return make
