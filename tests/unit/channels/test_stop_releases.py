"""Nobody waits for a settlement that a stopped channel will not bring."""

from __future__ import annotations

import asyncio

import pytest

from pichannels.channels import BaseChannel
from pichannels.errors import ChannelStopped
from pichannels.message import Message
from pichannels.node import BaseNode, Pending


class NeverAcknowledged(BaseNode):
    """A sink that is down for good."""

    def process(self, msg: Message) -> Pending:
        return Pending(msg, asyncio.get_running_loop().create_future())


async def test_a_waiting_caller_is_told_that_the_channel_stopped() -> None:
    channel = BaseChannel("waiting", drain_timeout=0.05)
    channel.add(NeverAcknowledged())
    await channel.start()
    waiting = asyncio.create_task(channel.handle(Message()))
    await asyncio.sleep(0)
    await channel.stop()
    with pytest.raises(ChannelStopped):
        await waiting
