"""The channel whose source is a PI Web API server: live values over websockets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from pichannels.channels.backfilling import Backfilling
from pichannels.channels.base import BaseChannel
from pichannels.channels.covering import CoverageOptions, Covering
from pichannels.channels.lanes import Lanes
from pichannels.channels.probing import Probing
from pichannels.channels.reconciling import Reconciling
from pichannels.channels.repairing import Repairing
from pichannels.channels.resolving import Resolver
from pichannels.channels.source import PISource
from pichannels.channels.source_parts import SourceOptions, TagState
from pichannels.channels.tags import Stream, TagSpec, checked_tags, find_tags
from pichannels.checks import at_least
from pichannels.errors import DecodeError, NotConnected, UsageError, nearest
from pichannels.piwebasync.exceptions import PIWebAsyncException
from pichannels.piwebasync.health import examine, findings
from pichannels.piwebasync.limiting import Limiters, limiter_for
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.stream import Transport
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify
from pichannels.piwebasync.websocket import BACKOFF
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import reveal_in_thread
from pichannels.values import Sample

__all__ = ["URL_LENGTH", "CoverageOptions", "PIWebChannel"]

URL_LENGTH: Final = 8000
"""Bytes of a URL that PI takes beside a Kerberos ticket, and common proxies pass."""

_NAMED: Final = 5


class PIWebChannel(BaseChannel):
    """Receives live values of tags from a PI Web API server.

    The tags are resolved to WebIDs in bulk, spread over as few PI channels as URL
    limits allow, and subscribed to. Frames that wait together become one message
    (`nodes.decode.PI` makes samples of it), which is accepted: durable first, then
    processed in order. A lost connection is opened again, with growing waits.

    Args:
        name: unique in the project.
        url: of the server, such as `https://pi.example.com/piwebapi`.
        tags: paths of points (`\\\\SERVER\\TAG`), their names, or names with `*` and
            `?`, looked up on `data_server`; paths of AF attributes
            (`\\\\AF\\Plant\\Unit1|Flow`), `af:` and the path of an element for all its
            attributes, or an `Element` or `Template` of `pichannels.channels.tags`.
        data_server: name of the PI Data Archive for tag names; by default the
            first one that the server lists.
        server: what events are known under (part of each event id); by default the
            host of the URL. Keep it when the server moves.
        auth: `(user, password)`, a login of `pichannels.piwebasync.auth` such as
            `Negotiate()`, headers, or a function that gives headers. What is
            secret in it, or in `headers`, is best a `Secret`.
        headers: sent with each request and handshake.
        verify: False, or the path of a CA file, for certificates of one's own.
        cert: client certificate.
        heartbeat: server polls without change after which the server says that it
            is alive; one that is silent for 1.75 times as long counts as lost. 0
            leaves it to pings, which find it after half a minute or more.
        poll_interval: seconds between those polls (`ChannelPollingInterval`).
        initial_values: begin with the current value of each tag.
        tags_per_channel: tags in one PI channel, at most.
        url_length: bytes of one URL, at most. PI takes 16 KiB with all headers; the
            default leaves room for a Kerberos ticket and fits common proxies.
        batch_bytes: bytes of frames that become one message, at most.
        buffer_bytes: bytes of frames that wait in memory, at most.
        max_block: seconds that intake may stand still before the connection is
            closed and reported lost for `backpressure`.
        reconnect: the waits between attempts to connect.
        transport: `channel` receives over websockets only, `updates` polls for
            stream updates by HTTP only, every `poll_interval` seconds; `auto` polls
            where, and as long as, no websocket can be opened.
        cache_ttl: seconds for which resolved WebIDs are used again after a restart.
        refresh: how often name filters, elements and templates are looked up again,
            and tags that were not found, and other tags compared with what PI has:
            seconds, or a cron string; 0 or None never.
        others: base URLs of further members of the same logical server. When the one
            in use cannot be reached, the next one is: its own WebIDs are looked up,
            and what came meanwhile counts as lost for `failover`.
        coverage: keep a ledger of what was delivered of each tag, and read what is
            missing from the archive; needs a journal. `CoverageOptions` say how.
        options: those of every channel.

    Raises:
        SettingsError: `refresh` is no schedule.
        UsageError: the URL, the tags or an option is not usable, or unknown.
    """

    def __init__(
        self,
        name: str | None = None,
        *args: Any,
        url: str,
        tags: TagSpec | Sequence[TagSpec],
        data_server: str | None = None,
        server: str = "",
        auth: Auth = None,
        headers: Headers | None = None,
        verify: Verify = True,
        cert: Cert = None,
        heartbeat: int = 5,
        poll_interval: float = 1.0,
        initial_values: bool = True,
        tags_per_channel: int = 1000,
        url_length: int = URL_LENGTH,
        batch_bytes: int = 2**20,
        buffer_bytes: int = 8 * 2**20,
        max_block: float = 10.0,
        reconnect: RetryPolicy = BACKOFF,
        transport: Transport = "auto",
        refresh: float | str | None = 3600.0,
        others: Sequence[str] = (),
        cache_ttl: float = 12 * 3600.0,
        coverage: bool | CoverageOptions = True,
        **options: Any,
    ) -> None:
        super().__init__(name, *args, **options)
        at_least("cache_ttl", cache_ttl, 0)
        self.url = url
        # Of the instance as soon as it joins one.
        self.limiters = Limiters()
        self.pi_server = PIServer(
            url=url,
            auth=auth,
            headers=headers,
            verify=verify,
            cert=cert,
            others=tuple(others),
        )
        self.data_server = data_server
        self._url_length = url_length
        self.server = server or urlsplit(url).hostname or url
        self._source = PISource(
            self,
            self.pi_server,
            Resolver(self.pi_server, data_server, url_length, cache_ttl),
            checked_tags(tags),
            SourceOptions(
                server=self.server,
                heartbeat=heartbeat,
                poll_interval=poll_interval,
                initial_values=initial_values,
                tags_per_channel=tags_per_channel,
                url_length=url_length,
                batch_bytes=batch_bytes,
                buffer_bytes=buffer_bytes,
                max_block=max_block,
                reconnect=reconnect,
                transport=transport,
                refresh=refresh,
            ),
            self._make_covering(coverage, poll_interval),
        )
        self._source.covered.refresh = self._source.refresh
        self.observer = self.covering
        if self.covering is not None:
            self._source.handing.lanes = Lanes(self.covering)

    def _make_covering(
        self, coverage: bool | CoverageOptions, poll: float
    ) -> Covering | None:
        if coverage is False:
            return None
        options = CoverageOptions() if coverage is True else coverage
        if not isinstance(options, CoverageOptions):
            raise UsageError(
                f"coverage is True, False or CoverageOptions, not {coverage!r}"
            )
        by_path = bool(self.pi_server.others)
        return Covering(
            self.name, options, self._fire_coverage, by_path=by_path, poll=poll
        )

    def _fire_coverage(self, name: str, **facts: Any) -> None:
        self.events.fire(name, channel=self.name, **facts)

    @property
    def covering(self) -> Covering | None:
        """The coverage ledger at work, if one is kept."""
        return self._source.covered.covering

    @property
    def repairing(self) -> Repairing | None:
        """What reads holes from the archive, if it does."""
        return self._source.covered.repairing

    @property
    def backfilling(self) -> Backfilling | None:
        """The backfill jobs, where holes are read from the archive."""
        return self._source.covered.backfilling

    @property
    def probing(self) -> Probing | None:
        """What asks for the end values of tags that are too quiet, if it does."""
        return self._source.covered.probing

    @property
    def reconciling(self) -> Reconciling | None:
        """What compares the archive with what was delivered, where holes are read."""
        return self._source.covered.reconciling

    @property
    def tags(self) -> list[TagSpec]:
        """The tags as they are asked for, by the settings or by changes since."""
        return list(self._source.tags)

    @property
    def points(self) -> list[Stream]:
        """What the server has for the tags."""
        return self._source.found.streams

    @property
    def unresolved(self) -> dict[str, str]:
        """Tags that the server has nothing for, and why."""
        return self._source.found.unresolved

    @property
    def losses(self) -> int:
        """How many connections were lost."""
        return self._source.losses

    @property
    def last_event(self) -> int | None:
        """When something was accepted last, ticks."""
        return self._source.handing.last_event

    @property
    def is_ready(self) -> bool:
        """Whether all PI channels are open."""
        subscriptions = self._source.subscriptions
        return bool(subscriptions) and all(s.stream.is_open for s in subscriptions)

    def statistics(self) -> dict[str, Any]:
        """What came in, and how the connections are."""
        subscriptions = self._source.subscriptions
        intake = self._source.handing.intake
        polled = sum(each.stream.is_polling for each in subscriptions)
        is_absent = self._source.is_running and not self.is_ready
        return {
            "tags": len(self.points),
            "unresolved": len(self.unresolved),
            "pi_channels": len(subscriptions),
            "open": sum(each.stream.is_open for each in subscriptions),
            "polled": polled,
            "fell_back": self._source.fell_back if polled else "",
            "trouble": self._source.membership.trouble if is_absent else "",
            "losses": self.losses,
            "failovers": self._source.membership.switches,
            "frames": intake.frames,
            "heartbeats": intake.heartbeats,
            "events": intake.events,
            "undecodable": intake.undecodable,
        }

    async def probe(self) -> list[Finding]:
        """Look whether the server is there, takes us, and has the tags."""
        controller = self.pi_server.controller()
        limiter = limiter_for(self, *self.pi_server.urls)
        found: list[Finding] = []
        try:
            async with self.pi_server.client(limiter) as client:
                found += findings(await examine(client, controller))
                streams, unresolved, _ = await find_tags(
                    client,
                    controller,
                    self.tags,
                    data_server=self.data_server,
                    url_limit=self._url_length,
                )
        except (PIWebAsyncException, DecodeError, NotConnected) as exc:
            return [*found, Finding(False, "server", str(exc))]
        return [*found, _tags_finding(len(streams), unresolved)]

    async def start_source(self) -> None:
        """Begin to receive, or go on with the source that was taken over.

        Raises:
            SettingsError: a secret is missing.
        """
        await reveal_in_thread([self.pi_server.auth, self.pi_server.headers])
        self._parts.push_async_callback(self._close_covering)
        self._source.start()

    async def _close_covering(self) -> None:
        """Save the ledger, after all that could be settled has been."""
        if self.covering is not None:
            await self.covering.close()

    async def stop_source(self) -> None:
        """Close the PI channels and accept what they have received."""
        await self._source.close()

    async def take_source_from(self, old: BaseChannel) -> bool:
        """Go on with the PI channels of `old`; what comes meanwhile waits.

        Both have the same options of the source. The PI channels give nothing more
        to `old`, and to this channel as soon as it starts. That should be soon:
        what waits is bounded, as at any time.
        """
        if not isinstance(old, PIWebChannel) or not await old._source.pause():
            return False
        self._source, old._source = old._source, self._source
        self._source.handing.owner, old._source.handing.owner = self, old
        # What `old` has still to settle counts in the ledger that goes on here.
        self.observer = self.covering
        return True

    async def update_tags(self, tags: TagSpec | Sequence[TagSpec]) -> None:
        """Receive these tags from now on, without a gap in those that stay.

        New PI channels are open before old ones close, and what comes on both is
        accepted once, in order. PI channels that lose no tag are not touched.

        Raises:
            NotConnected: it cannot be done now; the tags are as they were.
            PIWebAsyncException, DecodeError: the tags cannot be resolved now.
            UsageError: these are no tags.
        """
        await self._source.change(checked_tags(tags))

    async def change_tags(
        self,
        add: TagSpec | Sequence[TagSpec] = (),
        remove: TagSpec | Sequence[TagSpec] = (),
    ) -> None:
        """Receive further tags and others no longer, as `update_tags` does.

        Args:
            add: tags; those that are there already stay as they are.
            remove: tags as they are asked for (`tags`), not what was found for them.

        Raises:
            UsageError: one of `remove` is not asked for, or none would be left.
            NotConnected, PIWebAsyncException, DecodeError: as `update_tags`.
        """
        added = checked_tags(add) if add else []
        removed = {str(tag) for tag in checked_tags(remove)} if remove else set()
        present = {str(tag): tag for tag in self.tags}
        for tag in removed - present.keys():
            raise UsageError(f"{self.name!r} has no tag {tag!r}{nearest(tag, present)}")
        wanted = {key: tag for key, tag in present.items() if key not in removed}
        await self.update_tags(list((wanted | {str(t): t for t in added}).values()))

    async def refresh_tags(self) -> None:
        """Evaluate searches again now, look for tags not found, compare others.

        What fails is told as `pi.unresolved`, and nothing is changed then.
        """
        await self._source.refresh()

    async def plot(
        self, stream: Stream, start: str, end: str, intervals: int
    ) -> list[Sample]:
        """What the archive holds of one of `points`, as it is drawn.

        Args:
            stream: which one.
            start, end: ISO 8601, or PI time such as `*-1h`.
            intervals: into how many the range is cut; each has five values at most.

        Raises:
            PIWebAsyncException, DecodeError, NotConnected: it does not answer.
        """
        return await self._source.plot(stream, start, end, intervals)

    def tag_states(self) -> list[TagState]:
        """All streams that are received, and the tags that were not found."""
        return self._source.states()


def _tags_finding(count: int, unresolved: dict[str, str]) -> Finding:
    if not unresolved:
        return Finding(True, "tags", f"all {count:,} found")
    named = [f"{tag} ({why})" for tag, why in list(unresolved.items())[:_NAMED]]
    more = len(unresolved) - len(named)
    rest = f" and {more:,} more" if more else ""
    text = f"{count:,} found, {len(unresolved):,} not: {', '.join(named)}{rest}"
    return Finding(False, "tags", text)
