"""What receives for a channel of PI tags: PI channels, opened again when lost.

A source belongs to one channel at a time. It can go over to another one that takes
the place of the first, and it can change its tags, both while it receives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

from pichannels import clock
from pichannels.channels.covered import Covered
from pichannels.channels.covering import Covering
from pichannels.channels.handing import Handing
from pichannels.channels.membership import Membership
from pichannels.channels.overlap import Overlap
from pichannels.channels.rearranging import Rearranging
from pichannels.channels.refreshing import Refreshing
from pichannels.channels.resolving import Found, Resolver
from pichannels.channels.source_parts import Owner, SourceOptions, TagState
from pichannels.channels.source_tags import SourceTags
from pichannels.channels.subscription import Subscription
from pichannels.channels.tags import WEB_ID_TYPE, Stream, TagSpec, described
from pichannels.errors import ChannelStopped, NotConnected, PichannelsError
from pichannels.piwebasync.exceptions import HTTPClientError, WebsocketClientError
from pichannels.piwebasync.frames import Connected, Lost, NotOpened
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.polling import NotSignedUp
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.splitting import Part, split
from pichannels.piwebasync.stream import (
    CameBack,
    FellBack,
    Stream as PIStream,
    StreamEvent,
)
from pichannels.values import Sample

__all__ = ["PISource"]

logger: Final = logging.getLogger("pichannels.channels.pi")

RESTART_DELAY: Final = 1.0
"""Seconds before a source that had to end begins again."""
_UNKNOWN: Final = (400, 404)


class _StaleWebIds(Exception):
    """The server does not know a WebID that we got from it earlier."""


class _AtAnother(Exception):
    """Another member of the server is used from now on."""


class PISource:
    """Receives the values of tags over PI channels.

    Args:
        owner: who accepts them; may be another one later.
        server: what is connected to.
        resolver: finds the streams of tags.
        tags: what is received.
        options: how.
        covering: the ledger that is kept of it.
    """

    def __init__(
        self,
        owner: Owner,
        server: PIServer,
        resolver: Resolver,
        tags: Sequence[TagSpec],
        options: SourceOptions,
        covering: Covering | None = None,
    ) -> None:
        self.handing = Handing(owner, options.server, by_path=bool(server.others))
        self.covered = Covered(covering, options.server, self.handing.give_archived)
        self.losses = 0
        self.fell_back = ""
        """Why PI channels are polled, where they are."""
        self.subscriptions: list[Subscription] = []
        # Looked at here, so that a URL which is none is told at once.
        server.controller(websocket=True)
        self.membership = Membership(server)
        resolver.suspects = self.covered.refused
        self._tags = SourceTags(
            tags, self.handing, resolver, self.membership, options.reconnect
        )
        self._options = options
        self._task: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._is_closing = self._is_moving = self._is_over = False
        self._changing = asyncio.Lock()
        self._refreshing = Refreshing(options.refresh, self.refresh)

    @property
    def owner(self) -> Owner:
        """Who accepts what is received."""
        return self.handing.owner

    @property
    def tags(self) -> list[TagSpec]:
        """What is received."""
        return self._tags.tags

    @property
    def found(self) -> Found:
        """What the server has for the tags."""
        return self._tags.found

    @property
    def is_running(self) -> bool:
        """Whether it receives, or tries to."""
        return self._task is not None

    def states(self) -> list[TagState]:
        """What is known of each tag."""
        states = {
            web_id: each.state for each in self.subscriptions for web_id in each.web_ids
        }
        absent = "connecting" if self.is_running else "stopped"
        found = [
            _state(stream, states.get(stream.web_id, absent))
            for stream in self.found.streams
        ]
        return found + [
            TagState(tag=tag, state=self.found.why_absent(tag), reason=why)
            for tag, why in self.found.unresolved.items()
        ]

    def start(self) -> None:
        """Begin to receive, or go on after a pause."""
        self.handing.go_on()
        if self._task is None:
            self._is_closing = False
            name = f"{self.owner.name}: PI source"
            self._task = asyncio.create_task(self._run(), name=name)
            self._refreshing.start(f"{self.owner.name}: tags")

    async def pause(self) -> bool:
        """Give the owner nothing more; connections stay, and what comes waits.

        Returns:
            False when it is not running, or the owner takes too long to accept what
            it was given; then it goes on.
        """
        if not self.is_running or self._changing.locked():
            return False
        return await self.handing.stand_still()

    async def close(self) -> None:
        """Close the PI channels and give the owner what they have received."""
        task, self._task = self._task, None
        if task is None:
            return
        self._is_closing = True
        self.handing.go_on()
        await self._refreshing.stop()
        try:
            await self._close_all()
        finally:
            task.cancel()
        await asyncio.wait([task])

    async def _close_all(self) -> None:
        """Close all PI channels; what they received is accepted, as far as time is."""
        closing = []
        for each in self.subscriptions:
            each.release()
            closing.append(asyncio.create_task(each.close(), name="PI channel closing"))
        try:
            if closing:
                await asyncio.wait(closing, timeout=self.owner.drain_timeout)
        finally:
            for one in closing:
                one.cancel()
        await asyncio.gather(*closing, return_exceptions=True)

    @property
    def _limiter(self) -> Limiter:
        return self._tags.limiter

    @property
    def _server(self) -> PIServer:
        """The member that is used now."""
        return self.membership.current

    # Receiving

    async def _run(self) -> None:
        may_use_kept = True
        while not self._is_closing:
            delay = RESTART_DELAY
            try:
                await self._tags.resolve(may_use_kept)
                may_use_kept = True
                await self._receive_all()
            except* _StaleWebIds as stale:
                logger.warning(
                    "%s: %s; resolving them again", self.owner.name, stale.exceptions[0]
                )
                may_use_kept = False
            except* ChannelStopped:
                self._is_closing = True
            except* _AtAnother:
                delay = 0.0
            except* Exception as failed:
                # One report for each fault, and none may end the source for good.
                for exc in failed.exceptions:
                    logger.error("%s: the source failed", self.owner.name, exc_info=exc)
                    self._fire("pi.failed", error=str(exc))
            if not self._is_closing:
                await asyncio.sleep(delay)

    async def _receive_all(self) -> None:
        try:
            self._is_moving = self._is_over = False
            await self.covered.begin(
                self.owner.journal, self.found, self._server, self._limiter
            )
            async with asyncio.TaskGroup() as self._group:
                for part in self._parts([each.web_id for each in self.found.streams]):
                    self._open(self._group, part)
        finally:
            self._group = None
            self.subscriptions = []
            await self.covered.end()

    def _request(self, web_ids: Sequence[str]) -> APIRequest:
        streamsets = self._server.controller(websocket=True).streamsets
        return streamsets.get_channel_adhoc(
            web_ids,
            include_initial_values=self._options.initial_values,
            heartbeat_rate=self._options.heartbeat,
            web_id_type=WEB_ID_TYPE,
        )

    def _parts(self, web_ids: Sequence[str]) -> Iterable[Part]:
        return split(
            self._request,
            web_ids,
            url_limit=self._options.url_length,
            max_items=self._options.tags_per_channel,
        )

    def _open(
        self, group: asyncio.TaskGroup, part: Part, overlap: Overlap | None = None
    ) -> Subscription:
        """Open a PI channel in the background.

        Raises:
            NotConnected: the source is about to begin anew.
        """
        if self._is_over:
            raise NotConnected(self._server.url, "the source begins anew")
        options, server = self._options, self._server
        beat = options.heartbeat * options.poll_interval
        stream = PIStream(
            auth=server.auth,
            dead_channel_timeout=None,
            transport=options.transport,
            poll=options.poll_interval,
            limiter=self._limiter,
            stop_timeout=None,
            on_event=lambda event: self._noted(subscription, event),
            extra_headers=server.headers,
            verify=server.verify,
            cert=server.cert,
            heartbeat=beat if beat > 0 else None,
            buffer_bytes=options.buffer_bytes,
            max_block=options.max_block,
            backoff=options.reconnect,
        )
        subscription = Subscription(
            stream, part.items, overlap, has_initial=options.initial_values
        )
        self.subscriptions.append(subscription)
        subscription.task = group.create_task(self._receive(subscription, part.request))
        return subscription

    async def _receive(self, subscription: Subscription, request: APIRequest) -> None:
        """Give the owner what one PI channel delivers, until it is closed."""
        try:
            await self._begin(subscription, request)
            await subscription.ended()
            self.covered.over(subscription)
        except Exception:
            # All others end with it.
            self._is_over = True
            raise
        finally:
            if subscription in self.subscriptions:
                self.subscriptions.remove(subscription)
            self.covered.failed("stopped", subscription)
            await subscription.stream.abort()

    async def _begin(self, subscription: Subscription, request: APIRequest) -> None:
        """Open a PI channel, as often as it takes."""
        url = request.absolute_url

        async def take(frames: list[bytes]) -> None:
            self.covered.gave(subscription, await self.handing.give(frames))

        for delay in self._options.reconnect.delays():
            try:
                return await subscription.receive(
                    request, take, self._options.batch_bytes
                )
            except (WebsocketClientError, HTTPClientError) as exc:
                self._noted(subscription, NotOpened(url, clock.now(), exc))
            await asyncio.sleep(delay)
        raise NotConnected(self._server.url, "no PI channel opened in all attempts")

    def _noted(self, subscription: Subscription, event: StreamEvent) -> None:
        name = self.owner.name
        self.covered.noted(subscription, event)
        if isinstance(event, Connected):
            subscription.connected()
            self.membership.answered()
            self._fire("pi.connected", url=event.url)
        elif isinstance(event, Lost):
            subscription.lost()
            self.losses += 1
            why = f"{event.reason} {event.detail}"
            self.membership.trouble = f"the connection is lost: {why}"
            logger.warning("%s: a PI channel is lost: %s", name, why)
            self._fire("pi.lost", reason=event.reason, detail=event.detail)
        elif isinstance(event, NotOpened):
            self.membership.trouble = str(event.error)
            logger.warning("%s: %s", name, event.error)
            self._fire("pi.not_opened", error=str(event.error))
            if subscription.is_held_back:
                subscription.refused(event.error)
            elif not self._moved(event.error):
                self._look_at(subscription, event.error)
        elif isinstance(event, NotSignedUp):
            logger.warning(
                "%s: %s is not received: %s", name, event.stream, event.reason
            )
            self._fire("pi.not_signed_up", stream=event.stream, reason=event.reason)
            self._suspect(subscription, event.reason)
        elif isinstance(event, FellBack):
            self._look_at(subscription, event.error)
            self.fell_back = str(event.error)
            self._fire("pi.fell_back", url=event.url, error=self.fell_back)
        elif isinstance(event, CameBack):
            self._fire("pi.came_back", url=event.url)

    def _moved(self, error: Exception) -> bool:
        """Whether this leads to another member of the server."""
        before = self._server.url
        if self._group is None or not self.membership.leave(error):
            return self._is_moving
        after = self._server.url
        logger.warning("%s: goes on at %s: %s", self.owner.name, after, error)
        self.losses += 1
        self.covered.failed("failover")
        self._fire("pi.lost", reason="failover", detail=f"{before}: {error}")
        self._fire("pi.failed_over", before=before, after=after, error=str(error))
        if not self._is_moving:
            self._is_moving = True
            self._group.create_task(self._move(), name=f"{self.owner.name}: failover")
        return True

    async def _move(self) -> None:
        """Begin anew at the member that is used now, after what was received."""
        self._is_over = True
        await self._close_all()
        raise _AtAnother

    def _look_at(self, subscription: Subscription, error: Exception) -> None:
        if getattr(error, "status_code", None) in _UNKNOWN:
            self._suspect(subscription, str(error))

    def _suspect(self, subscription: Subscription, reason: str) -> None:
        """Resolve the tags again, unless that was done lately."""
        if not self._tags.is_fresh:
            stale = _StaleWebIds(f"the server refuses the tags ({reason})")
            subscription.fail(stale)
            if not subscription.is_begun:
                raise stale

    def _fire(self, name: str, **facts: Any) -> None:
        self.owner.events.fire(name, channel=self.owner.name, **facts)

    # Changing the tags

    async def change(self, tags: Sequence[TagSpec]) -> None:
        """Receive these tags instead, without a gap in those that stay.

        Raises:
            NotConnected: it cannot be done now; all is as it was.
            PIWebAsyncException, DecodeError: the tags cannot be resolved now.
        """
        async with self._changing:
            if self._group is None or not self.subscriptions:
                await self._begin_anew(tags)
            else:
                found = await self._tags.find(tags, self.found)
                await self._arrange(self._group, tags, found)

    async def refresh(self) -> None:
        """Evaluate searches again, look for tags that were not found, compare others.

        What fails is told, and nothing is changed then.
        """
        try:
            async with self._changing:
                # Without PI channels all tags are about to be looked up.
                if self._group is not None and self.subscriptions:
                    await self._find_again(self._group)
        except PichannelsError as exc:
            logger.warning("%s: the tags stay as they are: %s", self.owner.name, exc)
            self._fire("pi.unresolved", error=str(exc))

    async def _find_again(self, group: asyncio.TaskGroup) -> None:
        found = await self._tags.find_again()
        if found is not self.found:
            await self._arrange(group, self.tags, found)

    async def _arrange(
        self, group: asyncio.TaskGroup, tags: Sequence[TagSpec], found: Found
    ) -> None:
        before = self.found
        if before.web_ids != found.web_ids:
            self.covered.expect(found.streams)
            rearranging = Rearranging(
                self._server.url,
                self._options.poll_interval,
                self._request,
                self._parts,
                partial(self._open, group),
            )
            await rearranging.apply(self.subscriptions, found.streams)
        self.covered.changed(found)
        await self._tags.keep(tags, found)
        self._tags.tell_changed(before)

    async def plot(
        self, stream: Stream, start: str, end: str, intervals: int
    ) -> list[Sample]:
        """What the archive holds of a stream, at most five values an interval.

        Raises:
            PIWebAsyncException, DecodeError, NotConnected: it does not answer.
        """
        streams = self._server.controller().streams
        request = streams.get_plot(stream.web_id, start, end, intervals=intervals)
        async with self._server.client(self._limiter, "history") as client:
            response = await client.get(request)
        response.raise_for_status()
        tag = stream.tag(self._options.server)
        return response.samples({stream.web_id: tag}).samples

    async def _begin_anew(self, tags: Sequence[TagSpec]) -> None:
        """Nothing is received just now, so nothing can be missed."""
        was_running = self.is_running
        await self.close()
        self._tags.tags = list(tags)
        if was_running:
            self.start()


def _state(stream: Stream, state: str) -> TagState:
    kind, units = described(stream)
    return TagState(
        tag=stream.path, web_id=stream.web_id, state=state, type=kind, units=units
    )
