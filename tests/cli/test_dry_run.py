"""`pichannels start --dry-run`: sinks show what they would get, nothing is kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.folders import Folder, MakePlant, stop_twice

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="sends POSIX signals to the process"
)

FILE = """\
from nodes import publish
CHANNELS = [Counted("values").add(publish.File(here / "out.jsonl", name="keep"))]
"""


@pytest.fixture
def files(plant: Folder) -> Folder:
    """A project that writes what comes to a file."""
    text = (plant.path / "settings.py").read_text()
    plant.write("settings.py", text + FILE)
    return plant


def test_sinks_show_what_they_would_get(files: Folder) -> None:
    before = set(files.path.iterdir())
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", "pichannels", "start", "--dry-run"],
        cwd=files.path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while "values.keep <- value 2" not in lines:
            lines.append(process.stdout.readline().rstrip())
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0
    shown = [line for line in lines if line.startswith("values.keep")]
    assert shown == [f"values.keep <- value {number}" for number in range(3)]
    assert {path.name for path in set(files.path.iterdir()) - before} <= {"__pycache__"}


def test_it_runs_beside_an_instance(files: Folder) -> None:
    with files.start():
        files.wait_for_settled(3)
        with files.start("--dry-run") as process:
            process.terminate()
            process.communicate(timeout=20)
    assert process.returncode == 0
    assert len((files.path / "out.jsonl").read_text().splitlines()) == 3


def test_a_second_signal_stops_it_at_once(make_plant: MakePlant) -> None:
    folder = make_plant("Stuck")
    with folder.start("--dry-run") as process:
        while not (folder.path / "reached").exists():
            assert process.poll() is None
        stop_twice(process)
        process.communicate(timeout=20)
    assert process.returncode == 1


def test_it_does_not_reload(plant: Folder) -> None:
    result = plant.run("start", "--dry-run", "--reload")
    assert (result.code, "do not go together" in result.err) == (2, True)
