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
cli.commands[sys.argv[1]]
print(*sys.modules, sep="\\n")
"""


def loaded(command: str) -> set[str]:
    """The modules that a command needs before it does anything."""
    run = subprocess.run(
        [sys.executable, "-c", LOADED, command],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_a_plain_command_imports_no_project_and_no_client() -> None:
    found = loaded("version")
    assert "pichannels.cli.version" in found
    assert not found & {"pichannels.project", "pichannels.channels", "aiohttp"}


def test_a_command_that_asks_an_instance_imports_no_project() -> None:
    found = loaded("status")
    assert "pichannels.control.client" in found
    assert not found & {"pichannels.project", "pichannels.engine", "nodes"}


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
