"""Split makes parts in order, each linked to the whole."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.split import Split
from pichannels.errors import SettingsError, UsageError
from pichannels.message import Message
from pichannels.values import Sample, Tag


def batch(*names: str) -> Message:
    samples = [Sample(Tag(name), 10 + n, n) for n, name in enumerate(names)]
    return Message("samples", samples, {"lane": "live"})


def payloads(node: Split, msg: Message) -> list[Any]:
    return [part.payload for part in node.process(msg)]


def test_split_by_tag_keeps_the_order_of_each_tag() -> None:
    parts = payloads(Split(), batch("B", "A", "B"))
    assert [[s.value for s in part] for part in parts] == [[0, 2], [1]]


def test_split_by_size() -> None:
    assert payloads(Split(2), Message(payload=[1, 2, 3])) == [[1, 2], [3]]


def test_split_by_function() -> None:
    parts = payloads(Split(lambda n: n % 2), Message(payload=[1, 2, 3, 4]))
    assert parts == [[1, 3], [2, 4]]


def test_parts_name_the_whole_and_their_place() -> None:
    msg = batch("A", "B")
    metas = [part.meta for part in Split().process(msg)]
    link = {"lane": "live", "part_of": msg.uuid, "parts": 2}
    assert metas == [link | {"part": 1}, link | {"part": 2}]


def test_parts_are_messages_of_their_own() -> None:
    msg = batch("A", "B")
    assert len({part.uuid for part in Split().process(msg)} | {msg.uuid}) == 3


def test_an_empty_list_has_no_parts() -> None:
    assert payloads(Split(3), Message(payload=[])) == []


@pytest.mark.parametrize("payload", [{"a": 1}, "text", [1, 2]])
def test_split_by_tag_tells_what_it_cannot_split(payload: Any) -> None:
    with pytest.raises(UsageError):
        list(Split().process(Message(payload=payload)))


@pytest.mark.parametrize("by", ["name", 0, -1, True, 2.5, None])
def test_ways_to_split_that_are_none_are_told(by: Any) -> None:
    with pytest.raises(SettingsError, match="by"):
        Split(by)
