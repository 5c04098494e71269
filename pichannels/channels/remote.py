"""The channel whose source is a stream of another instance, which it connects to."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from datetime import datetime
from ssl import SSLContext
from typing import Any, Final, Literal

from pichannels.channels.arrivals import Arrival, Arrivals, UnpackStep
from pichannels.channels.base import BaseChannel
from pichannels.channels.ticking import seconds
from pichannels.checks import whole
from pichannels.errors import (
    ChannelStopped,
    JournalError,
    NotConnected,
    SettingsError,
    TryAgain,
)
from pichannels.probes import Finding
from pichannels.remote.entities import Gap, Item
from pichannels.remote.entity_stream import EntityStream
from pichannels.remote.errors import (
    ContextError,
    ItemTooLarge,
    PositionLost,
    RemoteError,
    StreamNotFound,
)
from pichannels.remote.link import Link
from pichannels.remote.login import Login, checked_stream, checked_url
from pichannels.remote.modes import Bookmark, Mode, Whence
from pichannels.remote.stream import Start
from pichannels.remote.wire import HEARTBEAT
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret

__all__ = ["RemoteChannel"]

logger: Final = logging.getLogger("pichannels.channels")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)
_STARTS: Final = {"start": Whence.START, "end": Whence.END}
_LAST_BATCH: Final = 5.0
"""Seconds that a stop waits for what has come to be accepted."""


class RemoteChannel(BaseChannel):
    """Runs the messages of another instance's stream through its nodes.

    That stream may be what a `publish.Outbox` of the other instance offers. A message
    is then settled there when it is durable in the journal here, and not before; what
    a link or a crash interrupts comes again, and is known here within `window_events`.
    It may also be a tail of a channel or the replay of a store (see
    `pichannels.streaming`), which are read on from the last message that is durable
    here, and where nobody waits for us: what was missed then is told.

    Messages keep their uuid, lane, meta and types. What cannot be read here is a dead
    letter of the first node, `unpack`.

    Args:
        args: the name, and what every channel takes.
        url: of the other instance's endpoint: `https://host:8765`.
        stream: the name of the stream there.
        start: where to begin the first time with a stream that keeps what was read:
            `start`, `end`, a position, or a time.
        token: shows who we are: best a `Secret`; it is looked up for each link.
        ssl: with `https://`, False for no check of the certificate, or an
            `ssl.SSLContext`.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
        batch: how many messages are accepted together, and come ahead of that.
        window_events: how many events are known, so that none comes twice.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.
        timeout: seconds for a connection, and for an answer.
        reconnect: how soon a link is made again.
        kwargs: those of every channel.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        *args: Any,
        url: str,
        stream: str,
        start: Literal["start", "end"] | int | datetime = "start",
        token: str | Secret | None = None,
        ssl: bool | SSLContext = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        batch: int = 1000,
        window_events: int = 50_000,
        heartbeat: float = HEARTBEAT,
        timeout: float = 10.0,
        reconnect: RetryPolicy | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        whole("batch", batch, 1)
        whole("window_events", window_events, 1)
        self.add(UnpackStep(name="unpack"))
        self.stream = checked_stream(stream)
        self._start = _checked_start(start)
        self._login = Login(
            checked_url(url),
            token,
            ssl,
            ca,
            certificate,
            cert_key,
            seconds("heartbeat", heartbeat),
            seconds("timeout", timeout),
        )
        self._batch = batch
        self._reconnect = reconnect or _AGAIN
        self._arrivals = Arrivals(self, window_events)
        self._kept: Bookmark | None = None
        self._receiver: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[None] | None = None
        self._is_ending_source = False
        self._is_linked = False
        self.losses = 0
        self.gaps = 0
        self.lost = 0

    @property
    def origin(self) -> str:
        return f"{self._login.url} {self.stream}"

    @property
    def is_ready(self) -> bool:
        """Whether it reads the stream."""
        return self._is_linked

    @property
    def is_ending(self) -> bool:
        """Whether its source stops."""
        return self._is_ending_source

    def statistics(self) -> dict[str, Any]:
        """Whether it is linked, what came, and what did not.

        `lost` counts the messages of all `gaps` whose size is known.
        """
        return {
            "url": self._login.url,
            "connected": int(self._is_linked),
            "messages": self._arrivals.messages,
            "duplicates": self._arrivals.duplicates,
            "unreadable": self._arrivals.unreadable,
            "losses": self.losses,
            "gaps": self.gaps,
            "lost": self.lost,
        }

    async def probe(self) -> list[Finding]:
        """Look whether the instance takes us and has the stream; reads nothing."""
        url = self._login.url
        try:
            async with await self._login.link() as link:
                found = await self._mode(link)
        except (TryAgain, SettingsError, RemoteError) as exc:
            return [Finding(False, "instance", str(exc))]
        taken = Finding(True, "instance", f"{url} takes us")
        told = "it has the stream" if found is not None else "it has no such stream"
        return [taken, Finding(found is not None, self.stream, told)]

    async def start_source(self) -> None:
        self._is_ending_source = False
        kept = await self._arrivals.open()
        self._kept = Bookmark.parse(kept) if kept else None
        self._receiver = asyncio.create_task(self._run(), name=f"{self.name}: receiver")

    async def stop_source(self) -> None:
        self._is_ending_source = True
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        if self._taking is not None:
            # What has come is accepted, and told to be.
            await asyncio.wait([self._taking], timeout=_LAST_BATCH)
        receiver.cancel()
        await asyncio.gather(receiver, return_exceptions=True)
        await self._arrivals.close()

    # Links

    async def _run(self) -> None:
        failures = 0
        while not self._is_ending_source:
            losses = self.losses
            try:
                await self._receive()
            except ChannelStopped:
                return
            except (TryAgain, SettingsError, RemoteError, JournalError) as exc:
                self._tell("remote.lost", error=str(exc))
            except Exception:
                # A fault of ours must not end the source for good.
                logger.exception("%s: the source failed", self.name)
            failures = 1 if self.losses > losses else failures + 1
            delay = self._reconnect.delay(failures, NotConnected(self._login.url))
            if delay is None:
                return self._tell("remote.given_up", error="all attempts have failed")
            await asyncio.sleep(delay)

    async def _receive(self) -> None:
        """Take what comes over one link, until it ends."""
        async with await self._login.link() as link:
            mode = await self._mode(link)
            if mode is None:
                raise StreamNotFound(self.stream, "nothing is published under it")
            acks = None
            if mode & Mode.TRIM and mode & Mode.WRITE:
                # Alone: who reads beside us would miss what we take away.
                acks = await link.entities(self.stream, mode="w")
            stream = await self._opened(link, acks)
            # What was accepted last may not have been acknowledged.
            await self._acknowledge(acks, stream.position)
            self._is_linked = True
            logger.info("%s: linked to %s", self.name, self._login.url)
            self.events.fire("remote.connected", channel=self.name, url=self._login.url)
            try:
                while True:
                    await self._take(stream, acks)
            finally:
                self._is_linked = False
                self.losses += not self._is_ending_source

    async def _mode(self, link: Link) -> Mode | None:
        """What the stream is published for; None where there is none."""
        found = await link.list(self.stream)
        return found[0].mode if found else None

    async def _opened(self, link: Link, acks: EntityStream | None) -> EntityStream:
        """The stream, behind what was accepted last."""
        first: Start = Whence.START if acks is not None else self._start
        if self._kept is not None:
            first = self._kept
        try:
            return await self._begun(link, first)
        except ContextError as exc:
            if self._kept is None:
                raise
            if acks is None:
                self._tell_lost(exc, self._kept.position)
            # What an outbox has is all that was not acknowledged.
            return await self._begun(link, Whence.START)

    async def _begun(self, link: Link, first: Start) -> EntityStream:
        return await link.entities(
            self.stream, start=first, follow=True, readahead=self._batch
        )

    # Messages

    async def _take(self, stream: EntityStream, acks: EntityStream | None) -> None:
        try:
            items = await stream.receive_packed(self._batch)
        except PositionLost as exc:
            self._tell_lost(exc, stream.position)
            await stream.seek(0, Whence.START)
            return
        except ItemTooLarge as exc:
            self._tell_lost(exc, stream.position, 1)
            await stream.seek(stream.position + 1)
            return
        if not items:
            raise NotConnected(self._login.url, "the stream has ended")
        self._taking = asyncio.create_task(
            self._accept(items, acks), name=f"{self.name}: batch"
        )
        try:
            await asyncio.shield(self._taking)
        except asyncio.CancelledError:
            self._taking.cancel()
            raise
        finally:
            self._taking = None

    async def _accept(self, items: Sequence[Item], acks: EntityStream | None) -> None:
        """Make all of these durable here, and then say so."""
        for item in items:
            if isinstance(item.value, Gap):
                self._note_gap(item.value.position, item.value.count)
        arrivals = [
            Arrival(item.value, str(item.bookmark))
            for item in items
            if not isinstance(item.value, Gap)
        ]
        await self._arrivals.take(arrivals)
        self._kept = items[-1].bookmark
        await self._acknowledge(acks, self._kept.position)

    async def _acknowledge(self, acks: EntityStream | None, position: int) -> None:
        """Let the other instance settle what is before."""
        if acks is not None:
            await acks.seek(position)
            await acks.trim()

    # What is told

    def _tell(self, event: str, **facts: Any) -> None:
        said = ", ".join(str(fact) for fact in facts.values())
        logger.warning("%s: %s: %s", self.name, event, said)
        self.events.fire(event, channel=self.name, **facts)

    def _tell_lost(
        self, error: ContextError, position: int, count: int | None = None
    ) -> None:
        """Messages were missed, from a position on."""
        first = error.facts.get("first")
        if count is None and isinstance(first, int) and first > position:
            count = first - position
        self._note_gap(position, count, str(error))

    def _note_gap(
        self, position: int, count: int | None, error: str = "we were too slow"
    ) -> None:
        self.gaps += 1
        self.lost += count or 0
        self._tell(
            "remote.gap", stream=self.stream, position=position, count=count, why=error
        )


def _checked_start(found: Any) -> Whence | int | datetime:
    if isinstance(found, str) and found in _STARTS:
        return _STARTS[found]
    is_position = isinstance(found, int) and not isinstance(found, bool) and found >= 0
    if is_position or isinstance(found, datetime) and found.tzinfo is not None:
        return found  # type: ignore[no-any-return]
    raise SettingsError(
        "a stream cannot begin there",
        key="start",
        found=found,
        allowed="start, end, a position, or a time with its zone",
    )
