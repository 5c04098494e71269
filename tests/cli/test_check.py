"""`pichannels check`, and how all commands tell mistakes in settings."""

from __future__ import annotations

import pytest

from tests.cli.folders import Folder


def test_good_settings_are_well(plant: Folder) -> None:
    result = plant.run("check")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{plant.path / 'settings.py'}: all is well, 1 channel\n"


def test_programs_get_the_channels(plant: Folder) -> None:
    result = plant.run("check", "--json")
    assert result.json == {"ok": True, "problems": [], "channels": ["values"]}


def test_all_problems_are_told(empty: Folder) -> None:
    empty.write("settings.py", "CHANELS = []\nDRAIN_TIMEOUT = -1\n")
    result = empty.run("check")
    assert result.code == 1
    assert "did you mean 'CHANNELS'?" in result.err
    assert result.err.endswith("3 problems\n")


def test_classes_for_logs_that_are_not_there_are_told(empty: Folder) -> None:
    text = "CHANNELS = [BaseChannel('c')]\nLOGGING = {'version': 1, 'filters':"
    text += " {'plant': {'()': 'nowhere.Filter'}}}\n"
    empty.write("settings.py", f"from pichannels.channels import BaseChannel\n{text}")
    result = empty.run("check")
    assert result.code == 1
    assert "LOGGING['filters']['plant']['()']: cannot be imported" in result.err


def test_programs_get_the_problems(empty: Folder) -> None:
    empty.write("settings.py", "DRAIN_TIMEOUT = -1\nCHANNELS = []\n")
    result = empty.run("check", "--json")
    assert (result.code, result.json["ok"]) == (1, False)
    assert result.json["problems"][0] == {
        "file": str(empty.path / "settings.py"),
        "key": "DRAIN_TIMEOUT",
        "problem": "this value cannot be used",
        "found": "-1",
        "allowed": "seconds, 0 or more",
        "text": f"{empty.path / 'settings.py'}: DRAIN_TIMEOUT: this value cannot be"
        " used (found -1); allowed: seconds, 0 or more",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CHANNELS = [", "settings.py:1: SyntaxError: '[' was never closed"),
        ("\nimport nothing", "settings.py:2: ModuleNotFoundError: No module named"),
        ("1 / 0", "settings.py:1: ZeroDivisionError: division by zero"),
        ("import nodes.boiler", "nodes/boiler.py:2: NameError: name 'x' is not"),
    ],
)
def test_code_that_fails_is_told_by_its_line(
    empty: Folder, text: str, expected: str
) -> None:
    empty.write("nodes/boiler.py", "\nx\n")
    empty.write("settings.py", text)
    result = empty.run("check")
    assert expected in result.err.replace("\\", "/")
    assert "Traceback" not in result.err


def test_debug_shows_the_traceback(empty: Folder) -> None:
    empty.write("settings.py", "1 / 0")
    result = empty.run("check", "--debug")
    assert (result.code, "Traceback" in result.err) == (3, True)


def test_an_init_file_that_hides_our_nodes_is_told(plant: Folder) -> None:
    plant.write("nodes/__init__.py", "")
    result = plant.run("check")
    assert "this hides pichannels' own 'nodes'; delete this file" in result.err


def test_nodes_of_the_user_work_beside_ours(plant: Folder) -> None:
    plant.write("nodes/mine.py", "from nodes import decode\n")
    text = (plant.path / "settings.py").read_text()
    plant.write("settings.py", f"from nodes import mine, publish\n{text}")
    assert plant.run("check").code == 0


def test_settings_are_found_by_option_and_environment(plant: Folder) -> None:
    other = plant.path / "settings.py"
    renamed = str(other.rename(plant.path / "other.py"))
    assert plant.run("check", "--settings", renamed).code == 0
    assert plant.run("--settings", renamed, "check").code == 0
    assert plant.run("check", env={"PICHANNELS_SETTINGS": renamed}).code == 0


@pytest.mark.parametrize("command", ["start", "status", "replay", "store list"])
def test_commands_that_need_settings_say_so(empty: Folder, command: str) -> None:
    result = empty.run(*command.split())
    assert (result.code, "there is no such file" in result.err) == (3, True)
    assert "Traceback" not in result.err
