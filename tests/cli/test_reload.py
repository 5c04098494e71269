"""`pichannels reload`, SIGHUP and `start --reload`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.cli.folders import Folder

SETTINGS = """\
from nodes.mine import Mine
from pichannels.channels import BaseChannel

CHANNELS = [BaseChannel(name).add(Mine()) for name in NAMES.split()]
"""
MINE = """\
from pichannels.node import BaseNode


class Mine(BaseNode):
    def process(self, msg):
        return msg
"""

needs_signals = pytest.mark.skipif(
    sys.platform == "win32", reason="sends POSIX signals to the process"
)


@pytest.fixture
def project(empty: Folder) -> Folder:
    """A project with a node of its own."""
    write(empty, "a b")
    empty.write("nodes/mine.py", MINE)
    return empty


def write(folder: Folder, names: str) -> None:
    folder.write("settings.py", SETTINGS.replace("NAMES", repr(names)))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def names(folder: Folder) -> list[str]:
    result = folder.run("status", "--json")
    return [each["name"] for each in result.json["channels"]] if result.out else []


def test_changed_settings_take_effect(project: Folder) -> None:
    with project.start():
        write(project, "b c")
        result = project.run("reload")
        assert result.code == 0
        assert result.out.splitlines() == [
            "removed  a",
            "added    c",
            "unchanged  b",
            "reloaded",
        ]
        assert names(project) == ["b", "c"]


def test_a_plan_changes_nothing(project: Folder) -> None:
    with project.start():
        write(project, "b c")
        result = project.run("reload", "--plan")
        assert (result.code, names(project)) == (0, ["a", "b"])
    assert result.out.endswith("nothing was changed yet: this was the plan\n")


def test_settings_as_before_change_nothing(project: Folder) -> None:
    with project.start():
        result = project.run("reload", "--json")
    assert (result.code, result.json["channels"], result.json["unchanged"]) == (
        0,
        [],
        ["a", "b"],
    )


def test_wrong_settings_are_refused_in_words(project: Folder) -> None:
    with project.start():
        project.write("settings.py", "CHANELS = []\n")
        result = project.run("reload")
        assert (result.code, names(project)) == (3, ["a", "b"])
    assert "did you mean 'CHANNELS'?" in result.err


def test_changed_code_is_told_by_its_file(project: Folder) -> None:
    with project.start():
        project.write("nodes/mine.py", MINE + "# changed\n")
        result = project.run("reload")
    file = project.path / "nodes" / "mine.py"
    assert (result.code, result.out.splitlines()[0]) == (
        1,
        f"restart needed: {file} has changed",
    )


def test_without_an_instance_nothing_is_reloaded(project: Folder) -> None:
    assert project.run("reload").code == 4


@needs_signals
def test_a_hang_up_reloads(project: Folder) -> None:
    with project.start() as process:
        write(project, "b c")
        process.send_signal(signal.SIGHUP)
        until(lambda: names(project) == ["b", "c"])
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert "pichannels.reload: added    c" in err


@needs_signals
def test_when_its_terminal_is_gone_a_hang_up_stops(project: Folder) -> None:
    master, slave = pytest.importorskip("pty").openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pichannels", "start", "--plain"],
        cwd=project.path,
        stdin=slave,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(slave)
    with process:
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("Ctrl-C"):
                assert process.poll() is None
            os.close(master)
            process.send_signal(signal.SIGHUP)
            assert process.wait(20) == 0
        finally:
            process.kill()


@needs_signals
def test_the_log_level_changes_too(project: Folder) -> None:
    with project.start() as process:
        settings = (project.path / "settings.py").read_text()
        project.write("settings.py", settings + "LOGGING = 'ERROR'\n")
        assert project.run("reload").code == 0
        process.send_signal(signal.SIGHUP)
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert "unchanged" not in err


@needs_signals
def test_files_that_change_are_reloaded_and_code_restarts(project: Folder) -> None:
    with project.start("--reload") as process:
        write(project, "b c")
        until(lambda: names(project) == ["b", "c"])
        pid = pid_of(project)
        project.write("nodes/mine.py", MINE + "# changed\n")
        until(lambda: pid_of(project) not in (None, pid))
        process.terminate()
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out.count("stopped\n")) == (0, 1)


@needs_signals
def test_code_that_is_wrong_does_not_end_what_runs(project: Folder) -> None:
    with project.start("--reload") as process:
        pid = pid_of(project)
        project.write("nodes/mine.py", "wrong = \n")
        assert process.stderr is not None
        while "not reloaded" not in process.stderr.readline():
            assert process.poll() is None
        assert pid_of(project) == pid


@needs_signals
def test_an_instance_that_does_not_start_waits_for_a_change(project: Folder) -> None:
    project.write("nodes/mine.py", "wrong = \n")
    with subprocess.Popen(
        [sys.executable, "-m", "pichannels", "start", "--reload"],
        cwd=project.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            while not process.stderr.readline().startswith("waiting for a change"):
                assert process.poll() is None
            project.write("nodes/mine.py", MINE)
            until(lambda: names(project) == ["a", "b"])
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()


@needs_signals
def test_without_its_supervisor_an_instance_stops(project: Folder) -> None:
    with project.start("--reload") as process:
        process.kill()
        until(lambda: pid_of(project) is None)
        assert process.wait(20) < 0


def pid_of(folder: Folder) -> int | None:
    result = folder.run("status", "--json")
    return int(result.json["pid"]) if result.out else None
