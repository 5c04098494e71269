"""The reference project in YAML gives what the one in Python gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pichannels.project import Project, load
from pichannels.reload.definition import define
from pichannels.testing import ProjectUnderTest, Replay

ROOT = Path(__file__).parent.parent
STORED = ROOT / "tests" / "messages" / "plant.jsonl"
SINKS = ("keep", "publish_bad", "publish_states", "publish_numbers", "publish")


@pytest.fixture(scope="module")
def in_python() -> Project:
    return load(ROOT / "settings.py")


@pytest.fixture(scope="module")
def in_yaml() -> Project:
    return load(ROOT / "examples" / "yaml" / "settings.py")


def outputs(project: Project) -> dict[str, list[Any]]:
    """What comes to each sink when the stored messages run again."""
    with ProjectUnderTest(project) as running:
        channel = running.get_channel("plant")
        for sink in (*SINKS, "Console"):
            channel.mute(sink)
        replayed = Replay(channel, STORED)
        return {
            sink: [sample for msg in replayed.outputs(sink) for sample in msg.payload]
            for sink in SINKS
        }


def test_a_replay_gives_the_same_at_each_sink(
    in_python: Project, in_yaml: Project
) -> None:
    expected = outputs(in_python)
    assert outputs(in_yaml) == expected
    assert all(expected.values())


def lines(project: Project) -> Iterator[str]:
    (channel,) = project.channels
    return channel.graph()


def test_both_have_the_same_graph(in_python: Project, in_yaml: Project) -> None:
    assert list(lines(in_yaml)) == list(lines(in_python))


def test_the_lines_of_all_parts_are_known(in_yaml: Project) -> None:
    file = ROOT / "examples" / "yaml" / "channels" / "plant.yaml"
    text = file.read_text("utf-8").splitlines()
    place, line = in_yaml.origins["plant.bad.publish_bad"].rsplit(":", 1)
    assert (Path(place), "bad.jsonl" in text[int(line) - 1]) == (file, True)


def test_a_reload_sees_no_change_where_there_is_none() -> None:
    path = ROOT / "examples" / "yaml" / "settings.py"
    assert define(load(path)) == define(load(path))
