"""The last lines of the log of a running instance, for those who look at it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Annotated, Final, Literal

import msgspec

from pichannels import clock
from pichannels.errors import NoSuchName, nearest, printable
from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = ["KEPT", "LogLine", "LogPage", "LogRing", "LogWanted", "chosen"]

KEPT: Final = 2000
"""How many lines are kept."""

_LONGEST: Final = 4000
_LONGEST_STACK: Final = 16_000
_NAMED: Final = 10

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
_ORDER: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    Attributes:
        number: of the line, from 1 on.
        time: when, ISO 8601.
        level: `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`.
        logger: who says it.
        text: what.
        channel, node: where; "" where that is not known.
        message_id: the number that the message has everywhere, or "".
        stack: of the error, or "".
    """

    number: int
    time: str
    level: str
    logger: str
    text: str
    channel: str = ""
    node: str = ""
    message_id: str = ""
    stack: str = ""


class LogWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines.

    Attributes:
        after: only those with a greater number.
        level: of this level and above.
        channel: of this one and of its sub-channels.
        message_id: of the message with this number.
        text: in what they say, or who says it, or the stack; capitals do not matter.
        count: the last ones, at most.
    """

    after: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    level: Level | None = None
    channel: str | None = None
    message_id: str | None = None
    text: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=KEPT)] = 200


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Lines, the oldest first.

    Attributes:
        lines: those that fit.
        last: number of the newest line, fitting or not.
        run: another text after a start, when numbers begin anew.
        lost: how many behind `after` are no longer kept.
        kept: how many lines are kept, fitting or not.
        since: time of the oldest of these, ISO 8601; "" without any.
    """

    lines: list[LogLine]
    last: int
    run: str
    lost: int = 0
    kept: int = 0
    since: str = ""


def chosen(lines: Collection[LogLine], wanted: LogWanted) -> list[LogLine]:
    """Those of the lines that fit; the last ones where there are too many."""
    found = [line for line in lines if _fits(line, wanted)]
    return found[-wanted.count :]


def _fits(line: LogLine, wanted: LogWanted) -> bool:
    if line.number <= wanted.after:
        return False
    if wanted.level and _rank(line.level) < _rank(wanted.level):
        return False
    if wanted.message_id and line.message_id != wanted.message_id:
        return False
    name = wanted.channel
    if name and line.channel != name and not line.channel.startswith(f"{name}."):
        return False
    text = (wanted.text or "").lower()
    said = (line.text, line.logger, line.node, line.stack)
    return not text or any(text in each.lower() for each in said)


def _rank(level: str) -> int:
    # A level of its own kind is as good as the least.
    return _ORDER.index(level) if level in _ORDER else 0


class LogRing(logging.Handler):
    """Keeps the last lines of all loggers while it is attached.

    A line that does not say of which channel it is gets the one that the task or the
    text is named after (`plant: repair 7`).

    Args:
        most: how many lines.

    Attributes:
        channels: names of the channels that there are.
    """

    def __init__(self, most: int = KEPT) -> None:
        super().__init__()
        self.channels: set[str] = set()
        self._lines: deque[LogLine] = deque(maxlen=most)
        self._last = 0
        self._run = ""
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def attach(self) -> None:
        """Keep what is logged from now on."""
        self._run = str(clock.now())
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """Keep no more; what is kept stays."""
        logging.getLogger().removeHandler(self)
        self.wake()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as a line."""
        try:
            self._keep(record)
        except Exception:
            self.handleError(record)

    def _keep(self, record: logging.LogRecord) -> None:
        text = printable(record.getMessage())
        stack = ""
        if record.exc_info and record.exc_info[1] is not None:
            stack = printable(logging.Formatter().formatException(record.exc_info))
        self._last += 1
        self._lines.append(
            LogLine(
                number=self._last,
                time=format_ticks(int(record.created * TICKS_PER_SECOND)),
                level=record.levelname,
                logger=record.name,
                text=text[:_LONGEST],
                channel=getattr(record, "channel", "") or self.channel_of(text),
                node=getattr(record, "node", ""),
                message_id=getattr(record, "message_id", ""),
                stack=stack[-_LONGEST_STACK:],
            )
        )
        if self._waiting:
            self.wake()

    def channel_of(self, text: str) -> str:
        """The channel that the running task, or this text, is named after, or ""."""
        for named in (_task(), text):
            name, colon, _ = named.partition(":")
            if colon and name in self.channels:
                return name
        return ""

    # Reading

    def read(self, wanted: LogWanted) -> LogPage:
        """The lines that fit."""
        lines: Sequence[LogLine] = list(self._lines)
        first = lines[0].number if lines else self._last + 1
        lost = max(0, first - wanted.after - 1) if wanted.after else 0
        return LogPage(
            lines=chosen(lines, wanted),
            last=self._last,
            run=self._run,
            lost=lost,
            kept=len(lines),
            since=lines[0].time if lines else "",
        )

    def check(self, wanted: LogWanted) -> None:
        """Look whether what is asked for can be there at all.

        Raises:
            NoSuchName: there is no such channel, and no line of one that there was.
        """
        name = wanted.channel
        if name is None or name in self.channels:
            return
        known = {*self.channels, *(line.channel for line in list(self._lines))}
        if name not in known:
            names = ", ".join(sorted(self.channels)[:_NAMED])
            told = nearest(name, known) or f"; there are {names}"
            raise NoSuchName(f"there is no channel {name!r}{told}")

    async def wait(self, after: int, seconds: float) -> None:
        """Return when there is a line with a greater number, or time is over."""
        one = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.add(one)
        try:
            # Looked at after it is known that somebody waits: no line is passed by.
            if self._last <= after:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await one[1].wait()
        finally:
            self._waiting.discard(one)

    def wake(self) -> None:
        """Let those who wait look."""
        for one in list(self._waiting):
            self._waiting.discard(one)
            loop, event = one
            # A loop that has ended waits for nothing.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)


def _task() -> str:
    """The name of the task that runs, or ""."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return ""
    return task.get_name() if task is not None else ""
