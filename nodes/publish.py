"""Where messages go: files, web servers, databases, PI, any function."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, TextIO

from nodes._batches import is_batch, no_batch, set_aside
from nodes._email import Email, MailRefused
from nodes._file import File
from nodes._http import HTTP, RequestRefused
from nodes._kafka import Kafka
from nodes._lines import readable
from nodes._mqtt import MQTT, Refused
from nodes._nats import NATS
from nodes._options import at_least, function, is_async, name_of, one_of
from nodes._pi_sink import PI
from nodes._pi_targets import NoTarget
from nodes._pi_writing import ValueRefused
from nodes._postgres import PostgreSQL
from nodes._remote import Outbox, Remote
from nodes._sql import RowRefused
from nodes._sqlite import SQLite
from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample, format_ticks

__all__ = [
    "HTTP",
    "MQTT",
    "NATS",
    "Call",
    "Console",
    "Email",
    "File",
    "Kafka",
    "MailRefused",
    "NoTarget",
    "Outbox",
    "PI",
    "PostgreSQL",
    "Refused",
    "Remote",
    "RequestRefused",
    "RowRefused",
    "SQLite",
    "ValueRefused",
]

logger: Final = logging.getLogger("pichannels.nodes")

_PATIENCE: Final = 2.0
"""Seconds that a console gets at the stop to take its last lines."""


class Console(BaseNode):
    """Show one readable line for each sample, or for each other message.

    Made for people: lines are written by a thread and nobody waits for them. What a
    slow console cannot take is left out, and how much that was is shown.

    Args:
        stream: a text stream; by default what `sys.stdout` is at the time.
        queue_lines: how many lines may wait.
        options: those of every node.
    """

    changes: ClassVar[frozenset[str]] = frozenset()
    is_sink: ClassVar[bool] = True

    def __init__(
        self, stream: TextIO | None = None, *, queue_lines: int = 1000, **options: Any
    ) -> None:
        super().__init__(**options)
        at_least("queue_lines", queue_lines, 1)
        if stream is not None and not hasattr(stream, "write"):
            raise UsageError(f"publish.Console takes a text stream, not {stream!r}")
        self.stream = stream
        self._limit = queue_lines
        self._lines: deque[str] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._left_out = 0
        self.written = 0
        self.skipped = 0
        self.errors = 0

    def statistics(self) -> dict[str, int]:
        """Counts of lines: queued, written, left out; and of failed writes."""
        return {
            "queued": len(self._lines),
            "written": self.written,
            "skipped": self.skipped,
            "errors": self.errors,
        }

    def process(self, msg: Message) -> Message:
        payload = msg.payload
        room = self._limit - len(self._lines)
        if is_batch(payload):
            self._lines.extend([readable(sample) for sample in payload[:room]])
            self._left_out += max(0, len(payload) - room)
        elif room:
            self._lines.append(f"{format_ticks(msg.ticks):<28}  {payload}")
        else:
            self._left_out += 1
        if self._writer is None:
            name = f"{self.fullpath()}: writer"
            self._writer = asyncio.create_task(self._write_all(), name=name)
        return msg

    async def _write_all(self) -> None:
        try:
            while self._lines or self._left_out:
                await self._write_some()
        finally:
            self._writer = None

    async def _write_some(self) -> None:
        lines = list(self._lines)
        self._lines.clear()
        count = len(lines)
        left_out, self._left_out = self._left_out, 0
        if left_out:
            self.skipped += left_out
            lines.append(f"... {left_out} lines left out")
        try:
            await asyncio.to_thread(_write, self.stream or sys.stdout, lines)
        except (OSError, ValueError) as exc:
            self.errors += 1
            if self.errors == 1:
                logger.warning("%s shows nothing: %s", self.fullpath(), exc)
        else:
            self.written += count

    async def stop(self) -> None:
        """Show the last lines, unless the console does not take them."""
        writer = self._writer
        if writer is not None:
            await asyncio.wait({writer}, timeout=_PATIENCE)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


def _write(stream: TextIO, lines: list[str]) -> None:
    stream.write("\n".join(lines) + "\n")
    stream.flush()


class Call(BaseNode):
    """Give each message to a function, plain or async; what it returns is ignored.

    The message is settled when the function has returned. With `what="samples"` a
    sample for which it fails is set aside alone.

    Args:
        function: its name is the default name of the node.
        what: what the function gets: the `message`, its `payload`, or one after the
            other the `samples` of a batch.
        in_thread: run a plain function in a thread, because it blocks.
        options: those of every node.

    Raises:
        SampleErrors: the function failed for some samples; the others go on.
    """

    changes: ClassVar[frozenset[str]] = frozenset()
    is_sink: ClassVar[bool] = True
    takes_numbers: ClassVar[bool] = True

    def __init__(
        self,
        function: Callable[[Any], Any],
        what: str = "message",
        *,
        in_thread: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._function = _checked(function)
        self.what = one_of("what", what, ("message", "payload", "samples"))
        if in_thread and is_async(function):
            raise UsageError("in_thread=True is for plain functions, not async ones")
        self._in_thread = in_thread
        self._takes_payload = what == "payload"
        self._is_direct = not in_thread and what != "samples"
        if self.is_auto_named:
            self.name = name_of(function) or self.name

    def process(self, msg: Message) -> Message | Awaitable[Message]:
        if self._is_direct:
            result = self._function(msg.payload if self._takes_payload else msg)
            if result is None or not inspect.isawaitable(result):
                return msg
            return _after(result, msg)
        if self._in_thread:
            return _after(asyncio.to_thread(self._call, msg), msg)
        return self._each_sample(msg)

    def _call(self, msg: Message) -> None:
        """The work of one message, in a thread."""
        if self.what != "samples":
            self._function(msg.payload if self._takes_payload else msg)
            return
        causes: dict[int, BaseException | str] = {}
        for index, sample in enumerate(self._samples(msg)):
            try:
                self._function(sample)
            except Exception as exc:
                causes[index] = exc
        self._set_aside(msg, causes)

    async def _each_sample(self, msg: Message) -> Message:
        causes: dict[int, BaseException | str] = {}
        for index, sample in enumerate(self._samples(msg)):
            try:
                result = self._function(sample)
                if result is not None and inspect.isawaitable(result):
                    await result
            except Exception as exc:
                causes[index] = exc
        self._set_aside(msg, causes)
        return msg

    def _samples(self, msg: Message) -> list[Sample]:
        samples = msg.payload
        if not isinstance(samples, list) or not all(
            type(sample) is Sample for sample in samples
        ):
            raise no_batch(self.fullpath(), msg.payload)
        return samples

    def _set_aside(self, msg: Message, causes: dict[int, BaseException | str]) -> None:
        if causes:
            kept = [s for i, s in enumerate(msg.payload) if i not in causes]
            raise set_aside(msg, causes, kept)


async def _after(done: Awaitable[Any], msg: Message) -> Message:
    await done
    return msg


def _checked(found: Any) -> Callable[[Any], Any]:
    return function("publish.Call", found, may_be_async=True)
