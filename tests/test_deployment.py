"""The files for services and containers start what there is, and stop it in time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
import yaml

from pichannels.cli import cli
from pichannels.cli.common import ExitCode
from pichannels.config import Config

FOLDER = Path(__file__).parents[1] / "docs/deploy"
DRAIN = Config().drain_timeout


def unit() -> RawConfigParser:
    parser = RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FOLDER / "pichannels.service", "utf-8")
    return parser


def check(arguments: list[str]) -> None:
    """Fail where there is no such command, or option of it."""
    name, *rest = arguments
    command = cli.commands[name]
    assert isinstance(command, click.Command)
    known = {text for param in command.params for text in param.opts}
    assert {each for each in rest if each.startswith("-")} <= known


def test_the_commands_of_the_unit_exist() -> None:
    for key in ("ExecStart", "ExecReload"):
        program, *arguments = unit()["Service"][key].split()
        assert program.endswith("/pichannels")
        check(arguments)


def test_the_unit_waits_longer_than_a_drain_takes() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert float(service["TimeoutStopSec"]) > DRAIN
    assert int(service["RestartPreventExitStatus"]) == ExitCode.SETTINGS


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is of Linux")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (FOLDER / "pichannels.service").read_text("utf-8")
    text = text.replace("/srv/plant/.venv/bin/pichannels", "/bin/true")
    file = tmp_path / "plant.service"
    file.write_text(text.replace("User=pichannels", "User=root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "plant.service" in line]
    assert told == []


def test_the_windows_service_is_stopped_by_ctrl_c_in_time() -> None:
    service = ElementTree.parse(FOLDER / "pichannels.xml").getroot()
    found = {each.tag: each.text or "" for each in service}
    module, *arguments = found["arguments"].removeprefix("-m ").split()
    assert module == "pichannels"
    check(arguments)
    assert float(found["stoptimeout"].split()[0]) > DRAIN


def test_the_container_is_alive_as_long_as_it_says_so() -> None:
    text = (FOLDER / "Containerfile").read_text("utf-8")
    text = text.replace("\\\n", "")
    (health,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", text, re.M)
    assert "/live" in json.loads(health)[-1]
    compile(json.loads(health)[-1], "health", "exec")
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.M)
    program, *arguments = json.loads(entry)
    assert program == "pichannels"
    check(arguments)
    assert "USER pichannels" in text


def test_the_containers_are_reached_from_this_host_only() -> None:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
    services = found["services"]
    ports = [port for each in services.values() for port in each.get("ports", ())]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    grace = services["plant"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > DRAIN
    assert (FOLDER / services["plant"]["build"]["dockerfile"]).exists()
