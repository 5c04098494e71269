"""`pichannels completion`, and the names that are completed."""

from __future__ import annotations

import pytest

from tests.cli.folders import Folder


def completed(folder: Folder, *words: str) -> list[str]:
    """What the shell would offer in place of the last word."""
    env = {
        "_PICHANNELS_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["pichannels", *words]),
        "COMP_CWORD": str(len(words)),
    }
    lines = filter(None, folder.run(env=env).out.splitlines())
    return [line.partition(",")[2] for line in lines]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_writes_a_script(empty: Folder, shell: str) -> None:
    result = empty.run("completion", shell)
    assert (result.code, "_PICHANNELS_COMPLETE" in result.out) == (0, True)


def test_commands_are_completed(empty: Folder) -> None:
    assert completed(empty, "gr") == ["graph"]


def test_channels_of_the_project_are_completed(plant: Folder) -> None:
    assert completed(plant, "graph", "v") == ["values"]


def test_ids_of_messages_are_completed(plant: Folder) -> None:
    with plant.start():
        plant.wait_for_settled(3)
        assert completed(plant, "store", "show", "") == ["3", "2", "1"]
    assert completed(plant, "replay", "2") == ["2"]


def test_settings_that_write_do_not_disturb(plant: Folder) -> None:
    text = (plant.path / "settings.py").read_text()
    plant.write("settings.py", f"{text}\nprint('loading')\n")
    assert completed(plant, "graph", "v") == ["values"]


def test_wrong_settings_complete_nothing(plant: Folder) -> None:
    plant.write("settings.py", "CHANNELS = 3")
    assert completed(plant, "graph", "") == []


def test_nodes_are_completed(plant: Folder) -> None:
    assert completed(plant, "dead", "list", "--node", "val") == ["values.Sink"]
    assert completed(plant, "dead", "list", "-c", "no", "--node", "val") == []


def test_a_running_instance_is_asked_for_its_channels(plant: Folder) -> None:
    with plant.start():
        plant.write("settings.py", "CHANNELS = 3")
        assert completed(plant, "graph", "") == ["values"]
