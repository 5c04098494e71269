"""PI channels: the websockets over which changes go out, poll by poll."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, cast

from aiohttp import WSCloseCode, WSMsgType, web

from pichannels.simulator.archive import Archive
from pichannels.simulator.assets import Attribute
from pichannels.simulator.events import Event
from pichannels.simulator.faults import Faults
from pichannels.simulator.feed import Feed
from pichannels.simulator.frames import fragments, half_frame
from pichannels.simulator.render import (
    HEARTBEAT,
    Stream,
    TimedValue,
    channel_message,
    constant,
    failed_value,
    stream,
    timed,
)
from pichannels.simulator.simtime import time_text
from pichannels.simulator.tags import Tag

__all__ = ["Channel", "Hub", "Subject"]

Subject: TypeAlias = Tag | Attribute
"""What has a stream of values: a point, or an attribute."""


class Listener(Protocol):
    """What takes events of tags: a channel, or a signup for stream updates."""

    @property
    def tags(self) -> list[Tag]: ...
    def add(self, tag: Tag, event: Event) -> None: ...


MOST_RAW = 1_000
"""Raw messages that may wait on one channel."""


class Channel:
    """One open websocket and what waits to be sent on it.

    More than `overflow` waiting events are thrown away without any signal to the
    client, as PI does; `lost` counts them.
    """

    def __init__(
        self,
        url: str,
        streams: Sequence[Subject],
        *,
        form: str,
        base: str,
        heartbeat: int,
        overflow: int,
        faults: Faults,
        now: Callable[[], int],
    ) -> None:
        self.id = str(uuid.uuid4())
        self.url = url
        self.streams = tuple(streams)
        self.form = form
        self.base = base
        self.heartbeat = heartbeat
        self.overflow = overflow
        self.sent = 0
        self.lost = 0
        self.pending = 0
        self.started = now()
        self.last_sent = 0
        self._now = now
        self._silent = 0
        self._faults = faults
        self._events: dict[int, list[Event]] = {}
        self._by_index: dict[int, list[Subject]] = {}
        for subject in streams:
            if subject.source is not None:
                self._by_index.setdefault(subject.source.index, []).append(subject)
        self._raw: deque[bytes] = deque(maxlen=MOST_RAW)
        self._wake = asyncio.Event()
        self._socket: web.WebSocketResponse | None = None
        self.transport: asyncio.Transport | None = None

    @property
    def tags(self) -> list[Tag]:
        """The tags behind the streams, each once."""
        known = [one.source for one in self.streams if one.source is not None]
        return list(dict.fromkeys(known))

    @property
    def is_open(self) -> bool:
        return self._socket is not None and not self._socket.closed

    def add(self, tag: Tag, event: Event) -> None:
        """Have an event sent with the next message, unless there are too many."""
        if self.pending >= self.overflow:
            self.lost += 1
            return
        self.pending += 1
        self._events.setdefault(tag.index, []).append(event)

    def add_raw(self, message: bytes) -> None:
        """Have this text sent as it is."""
        self._raw.append(message)
        self._wake.set()

    def polled(self) -> None:
        """A poll is over: send what it brought, or count the silence."""
        if self.pending:
            self._silent = 0
            self._wake.set()
            return
        self._silent += 1
        if 0 < self.heartbeat <= self._silent:
            self._silent = 0
            if not self._raw:
                self.add_raw(HEARTBEAT)

    async def run(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        """Send on the open `socket` until either side closes it."""
        self._socket = socket
        self.transport = cast(asyncio.Transport, request.transport)
        sender = asyncio.create_task(self._send(), name=f"simulator-channel-{self.id}")
        try:
            async for _ in socket:
                pass
        finally:
            sender.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sender

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            await self._faults.flowing.wait()
            self._wake.clear()
            while self._raw:
                await self._write(self._raw.popleft())
            if self.pending:
                await self._write_events()

    async def _write_events(self) -> None:
        events, self._events, self.pending = self._events, {}, 0
        faults = self._faults
        message = self._render(events, turned=faults.take("disorder"))
        if faults.take("oversize"):
            message = _padded(message, faults.messages.oversize_bytes)
        if faults.take("half"):
            self._write_half(message)
            return
        if faults.take("fragment"):
            self._write_fragments(message, faults.messages.fragment_size)
        else:
            await self._write(message)
        if faults.take("duplicate"):
            await self._write(message)

    def _render(self, events: dict[int, list[Event]], *, turned: bool) -> bytes:
        streams = [
            self.stream(subject, [timed(one, subject.units) for one in found])
            for index, found in events.items()
            for subject in self._by_index[index]
        ]
        if turned:
            streams.reverse()
            for one in streams:
                one.items.reverse()
        return channel_message(streams)

    def stream(self, subject: Subject, values: list[TimedValue]) -> Stream:
        """Values of one stream as this channel sends them."""
        rendered = stream(subject, values, self.form)
        if isinstance(subject, Attribute):
            rendered.links = {"Source": subject.link(self.base, self.form)}
        return rendered

    async def _write(self, message: bytes) -> None:
        assert self._socket is not None
        self._count()
        await self._socket.send_frame(message, WSMsgType.TEXT)

    def _count(self) -> None:
        self.sent += 1
        self.last_sent = self._now()

    def _write_fragments(self, message: bytes, size: int) -> None:
        assert self.transport is not None
        self._count()
        self.transport.write(b"".join(fragments(message, size)))

    def _write_half(self, message: bytes) -> None:
        assert self.transport is not None
        self.transport.write(half_frame(message))
        self.transport.close()

    def drop(self, how: str, code: int) -> asyncio.Task[Any] | None:
        """End the channel; a close frame is sent by the task that is returned."""
        if self._socket is None or self.transport is None:
            return None
        if how == "fin":
            self.transport.close()
        elif how == "reset":
            self.transport.abort()
        else:
            return asyncio.create_task(
                _close(self._socket, code), name=f"simulator-close-{self.id}"
            )
        return None

    def describe(self) -> dict[str, Any]:
        """The channel as `channels/instances` lists it."""
        return {
            "Id": self.id,
            "StartTime": time_text(self.started),
            "LastMessageSentTime": time_text(self.last_sent),
            "MessagesSent": self.sent,
            "Links": {"Request": self.url},
        }


async def _close(socket: web.WebSocketResponse, code: int) -> None:
    with suppress(ConnectionError, asyncio.TimeoutError):
        await socket.close(code=code)


def _padded(message: bytes, size: int) -> bytes:
    """The message with an unknown key that makes it `size` bytes long."""
    padding = b"x" * max(size - len(message) - 10, 0)
    return b'{"Padding":"' + padding + b'",' + message[1:]


class Hub:
    """All open channels, fed by one poll."""

    def __init__(self, archive: Archive, feed: Feed, faults: Faults) -> None:
        self.channels: list[Channel] = []
        self._archive = archive
        self._feed = feed
        self._faults = faults
        self._listeners: dict[int, list[Listener]] = defaultdict(list)
        self._closing: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Condition()

    def subscribe(self, listener: Listener, now: int) -> None:
        """Feed the listener what comes for its tags after `now`."""
        for tag in listener.tags:
            self._feed.listen(tag, now)
            self._listeners[tag.index].append(listener)

    def unsubscribe(self, listener: Listener) -> None:
        """Feed the listener no longer."""
        for tag in listener.tags:
            listeners = self._listeners[tag.index]
            listeners.remove(listener)
            if not listeners:
                del self._listeners[tag.index]
                self._feed.forget(tag)

    def initial(self, channel: Channel, now: int) -> bytes:
        """The message with the current value of every stream of the channel."""
        return channel_message(
            channel.stream(subject, [self._current(subject, now)])
            for subject in channel.streams
        )

    def _current(self, subject: Subject, now: int) -> TimedValue:
        tag = subject.source
        fault = self._faults.of_tag((tag or subject).path)
        if fault is not None:
            return failed_value(fault.sentence)
        if tag is None:
            assert isinstance(subject, Attribute)
            return constant(subject.value, subject.units)
        return timed(self._archive.snapshot(tag, now), subject.units)

    async def serve(
        self,
        channel: Channel,
        request: web.Request,
        socket: web.WebSocketResponse,
        *,
        initial: bool,
    ) -> None:
        """Run the channel from its opening to its end."""
        self.poll(channel.started)
        self.subscribe(channel, channel.started)
        if initial:
            channel.add_raw(self.initial(channel, channel.started))
        self.channels.append(channel)
        await self._tell()
        try:
            await channel.run(request, socket)
        finally:
            self.unsubscribe(channel)
            self.channels.remove(channel)
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def wait_for(self, count: int, *, exact: bool = False) -> None:
        """Until `count` channels (at least, or exactly) are open."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    len(self.channels) == count
                    if exact
                    else len(self.channels) >= count
                )
            )

    def poll(self, now: int) -> None:
        """Give every channel and signup what has come by `now`."""
        for tag, event in self._feed.collect(now):
            faults = self._faults
            if faults.of_tag(tag.path) is not None or faults.is_muted(tag.path):
                continue
            for listener in self._listeners.get(tag.index, ()):
                listener.add(tag, event)

    def tick(self, now: int) -> None:
        """A poll of all channels, after which each sends or counts silence."""
        self.poll(now)
        for channel in self.channels:
            channel.polled()

    def send(self, raw: bytes) -> None:
        """Put a text message on every open channel as it is."""
        for channel in self.channels:
            channel.add_raw(raw)

    def drop(self, how: str, code: int) -> None:
        """End all open channels."""
        for channel in list(self.channels):
            task = channel.drop(how, code)
            if task is not None:
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End all channels in order and wait for it."""
        self._faults.resume()
        self.drop("close", WSCloseCode.GOING_AWAY)
        await _all(self._closing)

    def describe(self) -> list[dict[str, Any]]:
        return [channel.describe() for channel in self.channels]


async def _all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
