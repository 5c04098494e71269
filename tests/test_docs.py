"""Every command, setting and metric is documented, and nothing that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from pichannels.channels import BaseChannel
from pichannels.cli import cli
from pichannels.cli.common import ExitCode
from pichannels.config import (
    Config,
    ControlConfig,
    JournalConfig,
    LeaseConfig,
    SimulatorConfig,
    keys_of,
)
from pichannels.control.commands import COMMANDS
from pichannels.engine import Engine
from pichannels.project import OBJECTS, Project
from pichannels.remote_config import RemoteConfig
from pichannels.telemetry_config import LoggingConfig, TracingConfig
from pichannels.ui_config import UIConfig

DOCS = Path(__file__).parent.parent / "docs"
METRICS = (DOCS / "metrics.md").read_text("utf-8")
PARTS: dict[str, type[msgspec.Struct]] = {
    "JOURNAL": JournalConfig,
    "CONTROL": ControlConfig,
    "LEASE": LeaseConfig,
    "SIMULATOR": SimulatorConfig,
    "LOGGING": LoggingConfig,
    "TRACING": TracingConfig,
    "UI": UIConfig,
    "REMOTE": RemoteConfig,
}


def section(file: str, heading: str) -> str:
    """What a page says under a heading."""
    text = (DOCS / file).read_text("utf-8")
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^# |^## |\Z)", text, re.M | re.S)
    assert found, f"{file} has no section {heading!r}"
    return found[1]


def first_cells(text: str) -> set[str]:
    """The names in the first column of all tables."""
    return set(re.findall(r"^\| `([^`]+)`", text, re.M))


def commands() -> Iterator[tuple[str, str, click.Command]]:
    """Each command: its section, how it is called, and itself."""
    for name, command in cli.commands.items():
        if isinstance(command, click.Group):
            for sub, subcommand in command.commands.items():
                yield name, f"{name} {sub}", subcommand
        else:
            yield name, name, command


@pytest.mark.parametrize(
    ("heading", "call", "command"), list(commands()), ids=[c for _, c, _ in commands()]
)
def test_commands_and_their_options_are_documented(
    heading: str, call: str, command: click.Command
) -> None:
    text = section("cli.md", heading)
    assert f"pichannels {call}" in text
    common = {"--settings", "-s", "--debug"}
    for param in command.params:
        missing = [opt for opt in {*param.opts} - common if opt.startswith("-")]
        assert [opt for opt in missing if opt not in text] == []


def test_no_other_commands_are_documented() -> None:
    headings = re.findall(r"^## ([a-z-]+)$", (DOCS / "cli.md").read_text("utf-8"), re.M)
    assert sorted(headings) == sorted(cli.commands)


def test_exit_codes_are_documented() -> None:
    text = section("cli.md", "What all have in common")
    codes = {int(code) for code in re.findall(r"^\| (\d) \|", text, re.M)}
    assert codes == set(ExitCode)


def test_control_commands_are_documented() -> None:
    text = section("cli.md", "The control server")
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", text, re.M)
    names = re.findall(r"`([a-z-]+)`", " ".join(rows))
    assert sorted(names) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_of_control_commands_are_documented(name: str) -> None:
    text = section("cli.md", "The control server")
    missing = [key for key in keys_of(COMMANDS[name].request) if f"`{key}`" not in text]
    assert missing == []


def test_settings_are_documented() -> None:
    text = section("settings.md", "Settings")
    assert first_cells(text) == {*keys_of(Config), *OBJECTS}


@pytest.mark.parametrize("name", PARTS)
def test_the_parts_of_settings_are_documented(name: str) -> None:
    assert first_cells(section("settings.md", name)) == set(keys_of(PARTS[name]))


@pytest.mark.parametrize("name", PARTS)
def test_the_documented_defaults_are_right(name: str) -> None:
    text = section("settings.md", name)
    made_at_start = {"token"}
    for field in msgspec.structs.fields(PARTS[name]):
        (shown,) = re.findall(rf"^\| `{field.name}` \| (.*?) \|", text, re.M)
        if field.name not in made_at_start:
            factory = field.default_factory
            default = field.default if factory is msgspec.NODEFAULT else factory()
            assert ast.literal_eval(shown.strip("`")) == default, field.name


async def test_metrics_are_documented(tmp_path: Path) -> None:
    engine = Engine(Project([BaseChannel("a")]), data_dir=tmp_path, control=False)
    async with engine:
        families = {f"pichannels_{family.name}" for family in engine.metrics()}
    assert first_cells(METRICS) == families
