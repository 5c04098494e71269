"""Commands are imported when they are asked for, and only then."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from pichannels.cli import cli
from pichannels.cli.lazy import LazyCommands

LOADED = """
import sys
from pichannels.cli import cli
cli(["version"], standalone_mode=False)
print(*[name for name in sys.modules if name.startswith("pichannels.")], sep="\\n")
"""


def test_a_command_imports_neither_the_engine_nor_the_simulator() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )

    loaded = set(run.stdout.split())
    assert "pichannels.cli.version" in loaded
    assert not loaded & {"pichannels.engine", "pichannels.simulator"}


@pytest.mark.parametrize("name", list(cli.commands))
def test_every_name_has_its_command(name: str) -> None:
    assert cli.commands[name].name == name


def test_a_command_that_is_added_hides_the_one_that_is_imported() -> None:
    commands = LazyCommands({"one": "pichannels.cli.version:version"})
    commands["one"] = click.Command("other")

    assert commands["one"].name == "other"


def test_names_can_be_listed_without_an_import() -> None:
    commands = LazyCommands({"one": "no.such.module:one"})

    assert (list(commands), "one" in commands) == (["one"], True)
