"""Formats, mappings and MLLP in YAML: the same objects, and what is wrong told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodes import context, decode, encode, mapping, meta
from pichannels.channels.mllp import MLLPChannel
from pichannels.endpoints.mllp import MLLPEndpoint
from pichannels.fingerprint import options_of

if TYPE_CHECKING:
    from tests.unit.declarative.conftest import Folder

MLLP = """
channels:
- name: admissions
  source:
    mllp:
      endpoint: {port: 2105, message_limit: 1000, idle_timeout: 60}
      types: [ADT^A01, ADT^A04]
      encoding: latin-1
- name: others
  source:
    mllp:
      endpoint: {port: 2105, message_limit: 1000, idle_timeout: 60}
"""

NODES = """
- decode.XML: {force_list: [item]}
- decode.CSV: {headers: true, to_dict: true, delimiter: ;, quoting: none}
- context.CombineCtx: {ctx_names: [a, b]}
- context.CombineCtx: {ctx_names: {a: x, b: y}, name: other}
- meta.SetMeta: {values: {unit: K, lines: [1]}}
- mapping.Map:
    mapping:
    - {old: id, new: number, default: 0}
    - {old: [first, last], new: name, sep: ' '}
- encode.JSON: {indent: 2}
"""


def test_mllp_channels_share_an_endpoint(folder: Folder) -> None:
    first, second = folder.declare(MLLP).channels
    assert isinstance(first, MLLPChannel)
    assert isinstance(second, MLLPChannel)
    assert isinstance(first.endpoint, MLLPEndpoint)
    assert first.endpoint is second.endpoint
    assert (first.endpoint.idle_timeout, first.types) == (60, ("ADT^A01", "ADT^A04"))


def test_what_is_wrong_with_mllp_is_told_with_its_line(folder: Folder) -> None:
    wrong = MLLP.replace("message_limit", "mesage_limit", 1).replace("latin-1", "x-1")
    wrong = wrong.replace("    types: [ADT^A01, ADT^A04]\n", "    types: [ADT-1]\n")
    told = folder.problems(wrong)
    assert "channels/a.yaml:6" in told[0]
    assert "did you mean 'message_limit'?" in told[0]


def test_two_channels_that_take_all_are_told(folder: Folder) -> None:
    wrong = MLLP.replace("      types: [ADT^A01, ADT^A04]\n", "")
    (told,) = folder.problems(wrong)
    assert "channel 'admissions' has all messages of MLLP endpoint" in told


def test_nodes_of_formats_are_what_python_would_make(folder: Folder) -> None:
    nodes = list(folder.chain(NODES).nodes())
    assert [type(node) for node in nodes] == [
        decode.XML,
        decode.CSV,
        context.CombineCtx,
        context.CombineCtx,
        meta.SetMeta,
        mapping.Map,
        encode.JSON,
    ]
    assert options_of(nodes[3])["ctx_names"] == {"a": "x", "b": "y"}
    assert options_of(nodes[5])["mapping"] == [
        mapping.MapItem("id", "number", 0),
        mapping.JoinMapItem(["first", "last"], "name", " "),
    ]


def test_a_wrong_option_of_a_format_is_told_with_its_line(folder: Folder) -> None:
    (told,) = folder.chain_problems("- decode.CSV: {headers: true, quoting: nothing}")
    assert told.startswith("channels/a.yaml:4")
    assert "no such way to quote" in told
