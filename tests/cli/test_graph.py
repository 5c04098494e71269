"""`pichannels graph`: text, dot, Mermaid and pictures."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.cli.folders import Folder

needs_graphviz = pytest.mark.skipif(
    not shutil.which("dot"), reason="Graphviz is not installed"
)


def test_it_shows_the_channels_as_text(plant: Folder) -> None:
    result = plant.run("graph")
    assert (result.code, result.out) == (0, "values (Counted)\n|- Sink\n`-> out\n")


def test_one_channel_may_be_named(plant: Folder) -> None:
    result = plant.run("graph", "valves")
    assert result.code == 2
    assert "there is no channel 'valves'; did you mean 'values'?" in result.err


def test_it_writes_dot_and_mermaid(plant: Folder) -> None:
    assert plant.run("graph", "--format", "dot").out.startswith('digraph "plant" {')
    assert plant.run("graph", "-f", "mermaid").out.startswith("flowchart TD\n")


@needs_graphviz
def test_the_name_of_the_file_tells_the_format(plant: Folder) -> None:
    for name, begin in [("a.svg", b"<?xml"), ("a.png", b"\x89PNG"), ("a.mmd", b"flow")]:
        assert plant.run("graph", "-o", name).code == 0
        assert (plant.path / name).read_bytes().startswith(begin)


def test_a_missing_graphviz_is_told(plant: Folder) -> None:
    empty = plant.path / "empty"
    empty.mkdir()
    result = plant.run("graph", "-f", "svg", env={"PATH": os.fspath(empty)})
    assert (result.code, "https://graphviz.org/download" in result.err) == (1, True)


def test_a_file_that_cannot_be_written_is_told(plant: Folder) -> None:
    result = plant.run("graph", "-o", "no/such/graph.txt")
    assert (result.code, "No such file" in result.err) == (2, True)
