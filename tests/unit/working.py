"""Nodes that work in other processes, where these have to import them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pichannels.errors import (
    Dropped,
    PauseChannel,
    Rejected,
    RetryLater,
    SettingsError,
)
from pichannels.message import Message
from pichannels.process_node import ProcessNode

__all__ = ["Unwilling", "Worker"]


class Wrong(Rejected):
    """A special rejection."""


class Special(Exception):
    """An error that cannot be sent as it is."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


ERRORS = {
    "drop": Dropped("not ours"),
    "reject": Wrong("no"),
    "later": RetryLater("busy", 7),
    "pause": PauseChannel("gone", 5),
    "special": Special("a", "b"),
}


class Worker(ProcessNode):
    """Does what the payload says, and tells who did it."""

    def __init__(self, greeting: str = "hello", **options: Any) -> None:
        super().__init__(**options)
        self.greeting = greeting
        self.seen = 0

    def process(self, msg: Message) -> Any:
        what = msg.payload
        self.seen += 1
        if what in ERRORS:
            raise ERRORS[what]
        if what == "end":
            os._exit(3)
        if what == "none":
            return None
        if what == "each":
            return self.each(msg)
        msg.payload = [self.greeting, os.getpid(), self.seen]
        return msg

    def each(self, msg: Message) -> Iterator[Message]:
        for number in range(3):
            yield msg.derive(number)


class Unwilling(ProcessNode):
    """Cannot be made a second time."""

    def __init__(self, home: int, **options: Any) -> None:
        super().__init__(**options)
        if os.getpid() != home:
            raise SettingsError("only at home")
