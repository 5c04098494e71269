"""What all commands have in common."""

from __future__ import annotations

import errno
import json
import platform

import click
import pytest
from click.testing import CliRunner, Result

from pichannels import __version__
from pichannels.cli import cli
from pichannels.cli.options import Commands, say
from pichannels.cli.output import say_table
from tests.cli.folders import Folder, MakePlant


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, args)


def test_the_commands_are_listed_with_what_they_do() -> None:
    text = run("--help").output
    for name, command in cli.commands.items():
        assert f"  {name} " in text
        assert command.get_short_help_str(100) in text


def test_the_exit_codes_are_told() -> None:
    assert "Exit codes: 0 all is well" in run("--help").output


def test_what_the_encoding_of_the_output_has_not_is_written_by_its_number(
    empty: Folder,
) -> None:
    empty.write(
        "settings.py",
        "from pichannels.channels import BaseChannel\n"
        'CHANNELS, PROJECT_NAME = [BaseChannel("motor")], "4 k\\N{OHM SIGN}"\n',
    )
    result = empty.run("print-settings", env={"PYTHONIOENCODING": "cp1252"})
    assert (result.code, "4 k\\u2126" in result.out) == (0, True)


@pytest.mark.parametrize("args", [("version",), ("--version",)])
def test_the_version_is_told(args: tuple[str, ...]) -> None:
    assert run(*args).output.startswith(f"pichannels {__version__}")


def test_programs_get_the_versions() -> None:
    found = json.loads(run("version", "--json").output)
    assert found["python"] == platform.python_version()


def test_an_unknown_command_is_wrong_usage() -> None:
    result = run("strat")
    assert result.exit_code == 2
    assert "No such command 'strat'" in result.output


def test_the_module_is_the_command(empty: Folder) -> None:
    assert empty.run("version").out.startswith("pichannels ")


def every_command() -> list[str]:
    names: list[str] = []
    for name, command in cli.commands.items():
        if isinstance(command, click.Group):
            names += [f"{name} {sub}" for sub in command.commands]
        names.append(name)
    return names


@pytest.mark.parametrize("name", every_command())
def test_each_command_has_help_of_its_own(name: str) -> None:
    result = run(*name.split(), "-h")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: cli {name}")


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(plant: Folder) -> None:
    result = plant.run("schema", "--output", "missing/schema.json")
    assert (result.code, result.out) == (1, "")
    assert result.err == "Error: missing/schema.json: No such file or directory\n"


def test_a_closed_pipe_is_quiet_also_where_several_tasks_work() -> None:
    @click.group(cls=Commands)
    def group() -> None:
        """A group."""

    @group.command()
    def broken() -> None:
        raise ExceptionGroup("tasks", [BrokenPipeError(errno.EPIPE, "closed")])

    result = CliRunner().invoke(group, ["broken"])
    assert (result.exit_code, result.output) == (1, "")


def test_a_terminal_gets_no_commands_of_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("\x1b[2Jcleared\x9b")
    say_table(["name"], [["a\x07b"]])
    found = capsys.readouterr().out.split()
    assert found == [
        "\\x1b[2Jcleared\\x9b",
        "name",
        "a\\x07b",
    ]


def test_an_instance_is_asked_without_loading_the_settings(
    make_plant: MakePlant,
) -> None:
    folder = make_plant(more="(here / 'loaded').open('a').write('x')")
    with folder.start() as process:
        before = (folder.path / "loaded").read_text()
        assert folder.run("status").code == 0
        assert (folder.path / "loaded").read_text() == before
        process.terminate()
