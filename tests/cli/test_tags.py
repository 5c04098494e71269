"""`pichannels tags`: the tags of a running PI channel, shown and changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pichannels.simulator import Plant
from pichannels.testing.simulators import RunningSimulator
from tests.cli.folders import Folder

ONE, OTHER = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"

SETTINGS = """\
from nodes import decode
from pichannels.channels import BaseChannel
from pichannels.channels.pi import PIWebChannel

live = PIWebChannel("live", url={url!r}, tags=[{tag!r}], poll_interval=0.1)
CHANNELS = [live.add(decode.PI()), BaseChannel("none")]
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with RunningSimulator(Plant(tags=50, activity=0), poll=0.1) as found:
        yield found


@pytest.fixture
def project(empty: Folder, server: RunningSimulator) -> Iterator[Folder]:
    """A project that runs and has found its tag."""
    empty.write("settings.py", SETTINGS.format(url=server.url, tag=ONE))
    with empty.start():
        while not empty.run("tags", "live", "--json").json["streams"]:
            pass
        yield empty


def test_tags_are_shown_added_and_removed(project: Folder) -> None:
    added = project.run("tags", "live", "--add", OTHER)
    assert (added.code, added.out.count("SIMSRV"), OTHER in added.out) == (0, 1, True)
    assert "2 tags: " in added.out
    result = project.run("tags", "live", "--remove", ONE, "--json")
    streams: list[dict[str, Any]] = result.json["streams"]
    assert (result.code, result.json["asked"]) == (0, [OTHER])
    assert [each["tag"] for each in streams] == [rf"\\SIMSRV\{OTHER}"]
    assert "PI server" in project.run("status").out
    shown = project.run("tags", "live", "--refresh")
    assert rf"\\SIMSRV\{OTHER}" in shown.out and "1 tag: 1" in shown.out


def test_what_cannot_be_done_is_told(project: Folder) -> None:
    missing = project.run("tags", "live", "--add", "NOSUCH")
    assert (missing.code, "not found: NOSUCH" in missing.err) == (1, True)
    absent = project.run("tags", "live", "--remove", "UNIT1.BOILER.TEMPO")
    assert (absent.code, "did you mean" in absent.err) == (2, True)
    other = project.run("tags", "none")
    assert (other.code, "receives no PI tags" in other.err) == (2, True)


def test_without_an_instance_there_is_nothing_to_change(empty: Folder) -> None:
    empty.write("settings.py", SETTINGS.format(url="https://pi.test", tag=ONE))
    assert empty.run("tags", "live").code == 4
