"""A project for the tests of the test kit."""

from __future__ import annotations

from collections.abc import Iterator

from msgstore.file import FileMessageStoreFactory
from msgstore.memory import MemoryMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes.decode import JSON
from pichannels.channels import BaseChannel
from pichannels.delivery import Hold
from pichannels.errors import Dropped, Rejected
from pichannels.message import Message
from pichannels.node import BaseNode


class NoSource(BaseChannel):
    """A channel whose source must not run in tests."""

    async def start_source(self) -> None:
        raise AssertionError("the source has been started")


class Split(BaseNode):
    """One message for each item; an empty list is a drop."""

    def process(self, msg: Message) -> Iterator[Message]:
        return (msg.derive(item) for item in msg.payload)


class Limit(BaseNode):
    """Drops small numbers, rejects what is no number, fails at 13."""

    def process(self, msg: Message) -> Message:
        if not isinstance(msg.payload, int):
            raise Rejected("no number")
        if msg.payload == 13:
            raise ValueError("unlucky")
        if msg.payload < 10:
            raise Dropped("too small")
        return msg


class Sink(BaseNode):
    """Must not be opened, and must not be reached, in tests."""

    async def start(self) -> None:
        raise AssertionError("the sink has been opened")

    def process(self, msg: Message) -> Message:
        raise AssertionError("a message has reached the sink")


class Pairs(BaseNode):
    """Adds up two messages at a time; the first waits for the second."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._first: tuple[int, Hold] | None = None

    def process(self, msg: Message) -> Message:
        if self._first is None:
            self._first = msg.payload, self.hold(msg)
            raise Dropped("waits for the next")
        (value, hold), self._first = self._first, None
        msg.payload += value
        hold.settle_with(msg)
        return msg


numbers = NoSource("numbers", message_store_factory=SQLiteMessageStoreFactory())
numbers.add(JSON(name="decode"), Split(name="split"))
numbers.fork("aside").add(Sink(name="aside_sink"))
numbers.add(Limit(name="limit"), Sink(name="sink"))

pairs = BaseChannel("pairs", message_store_factory=MemoryMessageStoreFactory())
pairs.add(Pairs(name="pair"))

filed = BaseChannel("filed", message_store_factory=FileMessageStoreFactory("filed"))

CHANNELS = [numbers, pairs, filed]
