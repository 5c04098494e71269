"""Whose frame goes next: control frames first, then one of each stream in turn."""

from __future__ import annotations

from collections import deque
from typing import Final

from pichannels.remote.frames import Frame

__all__ = ["Turns"]

_MOST_CONTROL: Final = 10_000


class Turns:
    """Frames that wait to be sent.

    Control frames keep their order, and go before data. A stream has one frame of
    data waiting at most, and streams take turns, so that none waits for another that
    sends more. A frame of control that may not overtake the data of its stream takes
    the place of data.

    Args:
        most_control: how many control frames may wait.
    """

    def __init__(self, most_control: int = _MOST_CONTROL) -> None:
        self._most_control = most_control
        self._control: deque[Frame] = deque()
        self._data: dict[int, Frame] = {}
        self._last: dict[int, Frame] = {}

    @property
    def is_overrun(self) -> bool:
        """Whether the other side asks for more answers than it takes."""
        return len(self._control) > self._most_control

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._control and not self._data

    def add_control(self, frame: Frame) -> None:
        """Send this before any data."""
        self._control.append(frame)

    def has_room(self, stream: int) -> bool:
        """Whether a frame of data of this stream can wait."""
        return stream not in self._data

    def add_data(self, stream: int, frame: Frame) -> None:
        """Send this when it is the turn of the stream."""
        assert stream not in self._data
        self._data[stream] = frame

    def add_last(self, stream: int, frame: Frame) -> None:
        """Send this as soon as no data of the stream waits any more."""
        if stream in self._data:
            self._last[stream] = frame
        else:
            self._control.append(frame)

    def forget(self, stream: int) -> None:
        """Do not send what waits of this stream."""
        self._data.pop(stream, None)
        self._last.pop(stream, None)

    def next(self) -> tuple[Frame, int | None] | None:
        """The next frame, and the stream that has room now; None without any."""
        if self._control:
            return self._control.popleft(), None
        if not self._data:
            return None
        stream = next(iter(self._data))
        if stream in self._last:
            self._control.append(self._last.pop(stream))
        return self._data.pop(stream), stream
