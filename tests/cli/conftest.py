"""Projects for the tests of the commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an instance that has ended: three messages, the last rejected."""
    folder = Folder(tmp_path_factory.mktemp("settled") / "plant")
    folder.write("settings.py", settings())
    with folder.start():
        folder.wait_for_settled(3)
        assert folder.stop() == 0
    # When it runs again, it has no more to say.
    folder.write("settings.py", settings(count=0))
    return folder.path


@contextmanager
def _copy_of(settled: Path, path: Path, state: str) -> Iterator[Folder]:
    folder = Folder(Path(shutil.copytree(settled, path, dirs_exist_ok=True)))
    if state == "stopped":
        yield folder
        return
    with folder.start():
        yield folder


@pytest.fixture(params=["running", "stopped"], scope="module")
def kept(
    request: pytest.FixtureRequest,
    settled: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Folder]:
    """These messages, with and without an instance, for tests that only read."""
    path = tmp_path_factory.mktemp("kept")
    with _copy_of(settled, path, request.param) as folder:
        yield folder


@pytest.fixture(params=["running", "stopped"])
def own(
    request: pytest.FixtureRequest, settled: Path, tmp_path: Path
) -> Iterator[Folder]:
    """These messages, with and without an instance, for one test that changes them."""
    with _copy_of(settled, tmp_path, request.param) as folder:
        yield folder
