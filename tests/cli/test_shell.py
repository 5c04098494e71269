"""`pichannels shell`: what is at hand, and that it ends clean."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.folders import Folder, Result, settings


@pytest.fixture
def idle(empty: Folder) -> Folder:
    """A project with a sink and without messages of its own."""
    empty.write("settings.py", settings(more="LOGGING = 'WARNING'"))
    return empty


def typed(folder: Folder, *lines: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "pichannels", "shell"],
        cwd=folder.path,
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_messages_come_from_the_user(idle: Folder) -> None:
    msg = "Message(payload='mine', meta={'lane': 'live'})"
    result = typed(idle, f"print(run(channel('values').run({msg})).state)")
    assert (result.code, "processed" in result.out) == (0, True)
    assert idle.lines() == ["mine live"]


def test_project_engine_and_journal_are_there(idle: Folder) -> None:
    result = typed(
        idle,
        "print(project.name, engine.status().state, run(journal.total('values')))",
    )
    assert "plant running 0" in result.out


@pytest.mark.parametrize("end", ["", "exit()", "raise SystemExit"])
def test_every_end_is_clean(idle: Folder, end: str) -> None:
    result = typed(idle, "1 / 0", end)
    assert (result.code, "ZeroDivisionError" in result.err) == (0, True)
    assert idle.run("store", "verify").out == "all is well\n"


def test_a_running_instance_is_told(idle: Folder) -> None:
    with idle.start():
        result = typed(idle)
    assert (result.code, "is in use by process" in result.err) == (5, True)
    assert "Traceback" not in result.err
