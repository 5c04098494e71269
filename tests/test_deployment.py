"""The files for services and containers start what there is, and stop it in time."""

from __future__ import annotations

import asyncio
import json
import os
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
from pichannels.engine import Engine
from pichannels.project import Project

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
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
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
    assert found["stopparentprocessfirst"] == "true"


def container() -> str:
    """The Containerfile, each instruction on one line."""
    return (FOLDER / "Containerfile").read_text("utf-8").replace("\\\n", "")


def listed(instruction: str) -> list[str]:
    """What the only one of these instructions of the Containerfile lists."""
    (found,) = re.findall(rf"^{instruction}\b.* (\[.*\])$", container(), re.M)
    words: list[str] = json.loads(found)
    return words


async def test_the_health_check_asks_the_instance_that_runs(tmp_path: Path) -> None:
    _, option, code = listed("HEALTHCHECK")
    folder = (tmp_path / Config().data_dir).as_posix()
    code = code.replace(f"/plant/{Config().data_dir}", folder)

    async def ask() -> int:
        # What a container has for others is not for this.
        environ = os.environ | {"http_proxy": "http://127.0.0.1:9"}
        asking = await asyncio.create_subprocess_exec(
            sys.executable, option, code, env=environ, stderr=subprocess.DEVNULL
        )
        return await asking.wait()

    async with Engine(Project([]), data_dir=Path(folder)):
        assert await ask() == 0
    assert await ask() == 1


def test_the_container_starts_as_a_user_with_no_rights() -> None:
    program, *arguments = listed("ENTRYPOINT")
    assert program == "pichannels"
    check(arguments)
    assert container().index("USER pichannels") < container().index("ENTRYPOINT")


def test_what_the_container_writes_into_is_a_volume_of_its_user() -> None:
    (made,) = re.findall(r"mkdir --mode 700 (.*?) &&", container())
    assert f"chown pichannels {made}\n" in container()
    assert f"VOLUME /plant/{Config().data_dir}\n" in container()
    plant = compose()["plant"]
    mounted = [volume.split(":")[1] for volume in plant["volumes"]]
    assert plant["read_only"]
    assert mounted == [f"/plant/{folder}" for folder in made.split()]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
    services: dict[str, Any] = found["services"]
    return services


def test_the_containers_are_reached_from_this_host_only() -> None:
    services = compose()
    ports = [port for each in services.values() for port in each.get("ports", ())]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    grace = services["plant"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > DRAIN
    assert (FOLDER / services["plant"]["build"]["dockerfile"]).exists()
