"""Whether and when a message goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from nodes.flow import Drop, Empty, Failed, RaiseError, Reject, Sleep
from nodes.split import Items
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import Dropped, MessageError, Rejected, SettingsError
from pichannels.message import Message
from pichannels.node import BaseNode


async def run(*nodes: BaseNode, payload: Any = "x", **meta: Any) -> Outcome:
    channel = BaseChannel("a")
    channel.add(*nodes)
    await channel.start()
    try:
        return await channel.run(Message(payload=payload, meta=meta))
    finally:
        await channel.stop()


@pytest.mark.parametrize(
    ("node", "state", "error", "told"),
    [
        (Drop("not ours"), "dropped", Dropped, "not ours"),
        (Drop(), "dropped", Dropped, "dropped by the settings"),
        (Reject("wrong"), "rejected", Rejected, "wrong"),
        (Reject(), "rejected", Rejected, "rejected by the settings"),
        (RaiseError("boom"), "error", Failed, "boom"),
        (RaiseError(), "error", Failed, "this node always fails"),
    ],
)
async def test_no_message_passes(
    node: BaseNode, state: str, error: type[MessageError], told: str
) -> None:
    outcome = await run(node)
    found = (outcome.state, type(outcome.error), str(outcome.error))
    assert found == (state, error, told)


async def test_a_message_waits() -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await run(Sleep(duration=0.05))
    assert loop.time() - begin >= 0.045


def test_nobody_waits_less_than_no_time() -> None:
    with pytest.raises(SettingsError):
        Sleep(-1)


async def test_nothing_of_a_message_is_left_but_its_marks() -> None:
    outcome = await run(Empty(store_input_as="was"), lane="replay", a=1)
    msg = outcome.message
    assert (outcome.state, msg.payload, msg.meta) == (
        "processed",
        None,
        {"lane": "replay"},
    )
    assert (msg.ctx, msg.content_type) == ({}, "application/text")


class Collect(BaseNode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[Any, Any]] = []

    def process(self, msg: Message) -> Message:
        self.found.append((msg.payload, msg.meta["part"]))
        return msg


def three() -> Iterator[int]:
    yield from (1, 2, 3)


@pytest.mark.parametrize(
    "payload", [[1, 2, 3], (1, 2, 3), three()], ids=["list", "tuple", "iterator"]
)
async def test_each_item_is_a_message(payload: Any) -> None:
    collect = Collect()
    outcome = await run(Items(), collect, payload=payload)
    assert (outcome.state, collect.found) == ("processed", [(1, 1), (2, 2), (3, 3)])


async def test_items_have_facts_of_their_own_and_name_the_whole() -> None:
    whole = Message(payload=[1, 2], meta={"list": []})
    first, second = Items().process(whole)
    first.meta["list"].append(1)
    assert (second.meta["list"], second.meta["part_of"]) == ([], whole.uuid)


async def test_a_whole_without_items_is_dropped() -> None:
    assert (await run(Items(), payload=[])).state == "dropped"


@pytest.mark.parametrize("payload", ["text", b"raw", {"a": 1}, 7, None], ids=str)
async def test_what_is_one_thing_is_rejected(payload: Any) -> None:
    assert (await run(Items(), payload=payload)).state == "rejected"
