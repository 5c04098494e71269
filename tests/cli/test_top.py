"""`pichannels top` in a terminal."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.cli.folders import Folder

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo terminals", allow_module_level=True)

from tests.cli.pty_folder import in_terminal


def test_it_shows_the_instance_and_keys_change_it(plant: Folder) -> None:
    with plant.start():
        plant.wait_for_settled(3)
        with in_terminal(plant.path, "top", "--every", "0.1") as terminal:
            terminal.read_until("sorted by name")
            terminal.press("s")
            terminal.read_until("sorted by state")
            terminal.press("n")
            terminal.read_until("sorted by share of time")
            terminal.press("q")
            assert terminal.read_to_end() == 0
    rows = [line.split() for line in terminal.lines if line.startswith("values ")]
    assert rows[-1][1] == "waiting"
    assert any(line.startswith("values.") for line in terminal.lines)
    assert b"\x1b[?1049l" in terminal.written


def test_an_instance_that_comes_later_is_found(plant: Folder) -> None:
    with in_terminal(plant.path, "top", "--every", "0.1") as terminal:
        terminal.read_until("no instance answers")
        with plant.start():
            terminal.read_until("running")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.read_to_end() == 0


def test_without_a_terminal_it_says_what_to_use(plant: Folder) -> None:
    result = plant.run("top")
    assert (result.code, "status --watch" in result.err) == (2, True)
