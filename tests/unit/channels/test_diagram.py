"""Channels drawn in dot and in Mermaid."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.channels.diagram import dot_document, mermaid_document
from pichannels.node import BaseNode


def drawn(name: str = "a") -> BaseChannel:
    channel = BaseChannel("boiler").add(BaseNode(name=name))
    channel.fork("copy").add(publish.Console(name="show"))
    channel.when(True, "big", each=True)
    channel.case(True, names=["x"])[0].add(BaseNode(name="b"))
    return channel


def test_mermaid_leads_every_way_to_its_end() -> None:
    lines = list(drawn().graph_mermaid())
    assert [line for line in lines if ">" in line] == [
        "n0 --> n2",
        "n2 --> n3",
        "n3 --> n4",
        "n4 --> n5",
        "n3 --> n6",
        "n6 --> n7",
        "n7 --> n1",
        "n6 --> n8",
        "n8 --> n9",
        "n9 --> n10",
        "n10 --> n11",
        "n8 -. else .-> n11",
        "n11 --> n1",
    ]
    assert {'n2["a"]', 'n10["b"]'} < set(lines)


def test_mermaid_shows_what_each_step_is() -> None:
    lines = list(drawn().graph_mermaid())
    assert 'n0(["boiler"])' in lines
    assert 'n5[("show")]' in lines
    assert 'n6{"when each"}' in lines


def test_mermaid_takes_any_name() -> None:
    lines = list(drawn('say "<e>" #1').graph_mermaid())
    assert 'n2["say #34;#60;e#62;#34; #35;1"]' in lines


def test_channels_of_one_mermaid_document_do_not_share_ids() -> None:
    lines = list(mermaid_document([BaseChannel("a"), BaseChannel("b")]))
    assert lines == [
        "flowchart TD",
        '    n0(["a"])',
        '    n1(["out"])',
        "    n0 --> n1",
        '    n2(["b"])',
        '    n3(["out"])',
        "    n2 --> n3",
    ]


def test_sinks_have_a_shape_of_their_own_in_dot() -> None:
    lines = list(drawn().graph_dot())
    assert (
        '"boiler.copy.show" [shape=cylinder, label="show", tooltip="Console"];' in lines
    )


def test_a_sub_channel_is_drawn_by_itself() -> None:
    sub = drawn().subchannels()[0]
    assert list(sub.graph()) == ["boiler.copy (BaseChannel)", "|- show", "`-> out"]
    assert list(sub.graph_mermaid())[-1] == "n2 --> n1"


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed")
def test_graphviz_takes_the_document() -> None:
    text = "\n".join(dot_document([drawn('say "e" \\n')], 'the "plant"'))
    done = subprocess.run(
        ["dot", "-Tsvg"], input=text.encode(), capture_output=True, check=True
    )
    assert (b"say &quot;e&quot;" in done.stdout, done.stderr) == (True, b"")
