"""Projects with YAML files, and what is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pichannels.channels import BaseChannel
from pichannels.config import SettingsProblems
from pichannels.errors import SettingsError
from pichannels.project import Project, load


class Folder:
    """A project in a folder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("settings.py", 'CHANNELS = ["channels/*.yaml"]\n')

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def declare(self, text: str) -> Project:
        """The project with this YAML file."""
        self.write("channels/a.yaml", text)
        return self.load()

    def load(self) -> Project:
        """The project as it is."""
        return load(self.path / "settings.py")

    def chain(self, nodes: str) -> BaseChannel:
        """The one channel of a file with these lines under `nodes:`."""
        return self.declare(HEAD + indented(nodes)).channels[0]

    def problems(self, text: str) -> list[str]:
        """What is wrong with a YAML file, each relative to the folder."""
        self.write("channels/a.yaml", text)
        return self.problems_now()

    def chain_problems(self, nodes: str) -> list[str]:
        """What is wrong with lines under `nodes:`, which begin at line 4."""
        return self.problems(HEAD + indented(nodes))

    def problems_now(self) -> list[str]:
        """What is wrong with the project as it is."""
        with pytest.raises(SettingsError) as caught:
            self.load()
        found = caught.value
        each = found.errors if isinstance(found, SettingsProblems) else [found]
        return [str(e).replace(f"{self.path}/", "") for e in each]


HEAD = "channels:\n- name: a\n  nodes:\n"


def indented(lines: str) -> str:
    return "".join(f"  {line}\n" for line in lines.strip().splitlines())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    path, modules = list(sys.path), set(sys.modules)
    yield Folder(tmp_path)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("nodes.", "msgstore.", "_pichannels_settings", "own_")):
            sys.modules.pop(name, None)
