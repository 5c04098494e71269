"""Nodes with which tests of channels look in, and hold messages up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = ["Call", "Gate"]


class Call(BaseNode):
    """A step made of a function of the message."""

    def __init__(self, function: Callable[[Message], Any], **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def process(self, msg: Message) -> Any:
        return self.function(msg)


class Gate(BaseNode):
    """Lets messages pass when it is open."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def process(self, msg: Message) -> Message:
        self.entered.set()
        await self.open.wait()
        return msg
