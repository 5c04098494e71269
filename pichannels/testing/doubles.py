"""Stand-ins that tests of a project use: a clock, a recorder, a refusing sink."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from pichannels import clock
from pichannels.errors import NotConnected
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import TICKS_PER_SECOND, parse_ticks

__all__ = ["ManualClock", "RecordingNode", "RefusingSink"]


class ManualClock:
    """A clock that stands still until the test moves it.

    Inside its `with` block all of pichannels takes the time from it. What waits in
    the event loop (`asyncio.sleep`, timeouts) still takes real seconds.

    Args:
        start: the first instant, as ISO 8601 text or ticks of 100 ns since 1970 UTC.

    Raises:
        DecodeError: the text is no time.
    """

    def __init__(self, start: str | int = "2026-01-01T00:00:00Z") -> None:
        self._ticks = parse_ticks(start) if isinstance(start, str) else start
        self._seconds = 0.0
        self._use: AbstractContextManager[clock.Clock] | None = None

    def now(self) -> int:
        """Ticks of 100 ns since 1970 UTC."""
        return self._ticks

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let time pass, for both clocks."""
        self._ticks += round(seconds * TICKS_PER_SECOND)
        self._seconds += seconds

    def set(self, instant: str | int) -> None:
        """Set the wall clock, forwards or back; the monotonic clock stands."""
        self._ticks = parse_ticks(instant) if isinstance(instant, str) else instant

    def __enter__(self) -> Self:
        self._use = clock.use(self)
        self._use.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._use is not None
        self._use.__exit__(kind, error, trace)


class RecordingNode(BaseNode):
    """Keeps a copy of every message that comes, and passes it on.

    Attributes:
        messages: the copies, in order.
    """

    def __init__(self, *args: object, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.messages: list[Message] = []

    def process(self, msg: Message) -> Message:
        self.messages.append(msg.copy())
        return msg

    def reset_test(self) -> None:
        super().reset_test()
        self.messages.clear()


class RefusingSink(RecordingNode):
    """Fails for the first messages and takes those that come after.

    Add it to a channel, or let a sink of the project use it:
    `node.mock(output=RefusingSink(times=2).process)`.

    Args:
        times: how often it fails; None for always.
        error: makes the exception; by default `NotConnected`.

    Attributes:
        refused: how often it has failed.
        messages: copies of those that it took.
    """

    def __init__(
        self,
        times: int | None = None,
        error: Callable[[], Exception] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.times = times
        self.error = error or _not_connected
        self.refused = 0

    def process(self, msg: Message) -> Message:
        if self.times is None or self.refused < self.times:
            self.refused += 1
            raise self.error()
        return super().process(msg)


def _not_connected() -> Exception:
    return NotConnected("the sink", "it was told to refuse")
