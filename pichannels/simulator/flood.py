"""Load for benchmarks: frames rendered ahead and sent as fast as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.simulator.frames import frame
from pichannels.simulator.render import TimedValue, channel_message, stream
from pichannels.simulator.simtime import SECOND, time_text
from pichannels.simulator.sockets import Channel
from pichannels.simulator.tags import Tag

__all__ = ["Flood", "flood_frames"]

_CHUNK: Final = 64 * 1024
_AHEAD: Final = 128 * 1024 * 1024
_UNSENT: Final = 4 * 1024 * 1024
_PER_SECOND: Final = 9_000_000
_PAUSE: Final = 0.0005


def flood_frames(
    tags: Sequence[Tag],
    events: int,
    frames: int,
    start: int,
    form: str = "Full",
    *,
    dense: int = _PER_SECOND,
) -> Iterator[bytes]:
    """Channel messages with `events` values of each tag, as frames on the wire.

    All timestamps differ: they begin at `start` ticks (its whole second) and lie
    one tick apart, `dense` in each second at most. Those that end in a zero are
    left out, so that each has seven digits.
    """
    second = start // SECOND
    size = len(tags) * events
    template, number = b"", dense
    for _ in range(frames):
        if number + size > dense:
            template, number = _template(tags, events, second, form), 0
            second += 1
        counts = range(number + 1, number + size + 1)
        pairs = ((n + (n - 1) // 9, n % 1000) for n in counts)
        yield frame(template % tuple(chain.from_iterable(pairs)))
        number += size


def _template(tags: Sequence[Tag], events: int, second: int, form: str) -> bytes:
    """A message with a place for the fraction and value of each event."""
    item = TimedValue("@time@", "@value@", "")
    streams = []
    for tag in tags:
        item = TimedValue("@time@", "@value@", tag.units)
        streams.append(stream(tag, [item] * events, form))
    whole = time_text(second * SECOND).removesuffix("Z").encode()
    message = channel_message(streams).replace(b"%", b"%%")
    message = message.replace(b'"@time@"', b'"' + whole + b'.%07dZ"')
    return message.replace(b'"@value@"', b"%d.25")


class _Load:
    """What one channel is to get."""

    def __init__(self, channel: Channel, frames: Iterator[bytes]) -> None:
        self.channel = channel
        self.ready: list[bytes] = []
        self.rest = frames

    async def render(self, most: int, single: bool) -> None:
        """Render up to `most` bytes ahead, joined into chunks unless `single`."""
        size = 0
        for chunk in self.rest if single else _chunks(self.rest):
            self.ready.append(chunk)
            size += len(chunk)
            if size >= most:
                break
            await asyncio.sleep(0)

    def chunks(self, single: bool) -> Iterable[bytes]:
        """All of it, what is rendered already first."""
        return chain(self.ready, self.rest if single else _chunks(self.rest))


def _chunks(frames: Iterator[bytes]) -> Iterator[bytes]:
    """Frames joined to about 64 KiB, so that each write carries many."""
    waiting: list[bytes] = []
    size = 0
    for one in frames:
        waiting.append(one)
        size += len(one)
        if size >= _CHUNK:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield b"".join(waiting)


class Flood:
    """Every open channel gets `frames` messages of `streams` x `events` values.

    The streams are float tags of the channel, then others of the plant. `rate`
    is messages per second on each channel; None is as fast as the client reads.
    None of it enters the archive.

    Raises:
        UsageError: the plant has fewer float tags than `streams`.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        tags: Sequence[Tag],
        start: int,
        *,
        streams: int = 100,
        events: int = 1,
        frames: int = 10_000,
        rate: float | None = None,
    ) -> None:
        self.total = streams * events * frames * len(channels)
        self.end = start + (streams * events * frames // _PER_SECOND + 2) * SECOND
        self.frames = frames
        self.rate = rate
        self._loads = [
            _Load(
                channel,
                flood_frames(
                    _floats(channel, tags, streams), events, frames, start, channel.form
                ),
            )
            for channel in channels
        ]

    async def prepare(self) -> None:
        """Render ahead what fits into memory."""
        share = _AHEAD // max(len(self._loads), 1)
        for load in self._loads:
            await load.render(share, self.rate is not None)

    async def send(self) -> int:
        """Send all of it; returns the number of values."""
        await asyncio.gather(*(self._send(load) for load in self._loads))
        return self.total

    async def _send(self, load: _Load) -> None:
        if self.rate is None:
            for chunk in load.chunks(single=False):
                await _write(load.channel, chunk)
        else:
            await self._paced(load, self.rate)
        load.channel.sent += self.frames

    async def _paced(self, load: _Load, rate: float) -> None:
        began = clock.monotonic()
        for number, one in enumerate(load.chunks(single=True)):
            early = began + number / rate - clock.monotonic()
            if early > 0.001:
                await asyncio.sleep(early)
            await _write(load.channel, one)


def _floats(channel: Channel, tags: Sequence[Tag], count: int) -> list[Tag]:
    both = dict.fromkeys(chain(channel.tags, tags))
    floats = [tag for tag in both if tag.kind == "float"][:count]
    if len(floats) < count:
        raise UsageError(f"the plant has {len(floats)} float tags, not {count}")
    return floats


async def _write(channel: Channel, data: bytes) -> None:
    """Write, and wait while too much has not been taken by the client."""
    transport = channel.transport
    if transport is None or transport.is_closing():
        return
    transport.write(data)
    # A transport tells only its own protocol when there is room again.
    while transport.get_write_buffer_size() > _UNSENT:  # noqa: ASYNC110
        await asyncio.sleep(_PAUSE)
