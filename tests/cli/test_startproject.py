"""`pichannels startproject` makes what runs, and is tested, as it is."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.folders import Folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A new project."""
    parent = Folder(tmp_path_factory.mktemp("made"))
    assert parent.run("startproject", "boilers").code == 0
    return Folder(parent.path / "boilers")


def tool(folder: Folder, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *args],
        cwd=folder.path,
        capture_output=True,
        text=True,
        timeout=150,
    )


def test_the_folder_has_our_shape(made: Folder) -> None:
    assert {path.name for path in made.path.iterdir()} == {
        *("settings.py", "nodes", "tests", "README.md", "setup.cfg", ".gitignore")
    }
    assert not (made.path / "nodes" / "__init__.py").exists()


def test_its_settings_are_well(made: Folder) -> None:
    assert made.run("check").code == 0


@pytest.mark.timeout(180)
def test_its_tests_pass(made: Folder) -> None:
    done = tool(made, "pytest", "-q")
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.timeout(180)
def test_its_types_are_right(made: Folder) -> None:
    done = tool(made, "mypy")
    assert done.returncode == 0, done.stdout


def test_it_runs(made: Folder) -> None:
    settings = made.path / "settings.py"
    # A port of its own: others may run the plant beside this test.
    text = settings.read_text().replace("8500", str(free_port()))
    settings.write_text(text.replace('"tags": 100', '"tags": 50, "poll": 0.1'))
    with made.start():
        made.wait_for_settled(3)
        assert made.stop() == 0
    assert (made.path / "output" / "boilers.jsonl").read_text().count("\n") > 3


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_folder_with_something_in_it_stays(empty: Folder) -> None:
    empty.write("mine/notes.txt", "mine")
    result = empty.run("startproject", "mine")
    assert (result.code, "is not empty" in result.err) == (2, True)
    assert [path.name for path in Path(empty.path / "mine").iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_taken(empty: Folder) -> None:
    (empty.path / "new").mkdir()
    assert empty.run("startproject", "new").code == 0


def test_a_file_is_no_folder(empty: Folder) -> None:
    empty.write("notes.txt", "mine")
    result = empty.run("startproject", "notes.txt/new")
    assert (result.code, "Traceback" in result.err) == (2, False)
