"""The channel that other instances send messages to, through an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pichannels.channels.arrivals import Arrival, Arrivals, UnpackStep
from pichannels.channels.listening import ListeningChannel
from pichannels.checks import whole
from pichannels.endpoints.base import Place
from pichannels.endpoints.remote import (
    ListenRemote,
    RemoteEndpoint,
    checked_clients,
    remote_endpoint,
)
from pichannels.errors import ChannelStopped, PichannelsError
from pichannels.remote.errors import SourceFailed
from pichannels.remote.inboxes import WriteOnly
from pichannels.remote.login import checked_stream
from pichannels.remote.sources import Source

__all__ = ["InboxChannel"]

_SITES: Final = 1000


class InboxChannel(ListeningChannel):
    """Runs the messages that other instances send here with `publish.Remote`.

    They connect to us: for sites that only outbound connections leave. A message is
    settled there when it is durable in the journal here, and not before (without a
    journal, when it is settled here). What a link or a crash interrupts comes again,
    and is known here within `window_events`.

    Messages keep their uuid, lane, meta and types. What cannot be read here is a dead
    letter of the first node, `unpack`. Those of one sender stay in order.

    Args:
        args: the name, and what every channel takes.
        endpoint: what listens; several channels and nodes share one. In YAML a mapping
            with `host`, `port`, `certificate`, `key`, `tokens`; equal ones are one
            endpoint.
        stream: its name there; by default that of the channel.
        clients: names of those of the endpoint's clients that may send; None for all.
        window_events: how many events are known, so that none comes twice.
        kwargs: those of every channel.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        *args: Any,
        endpoint: RemoteEndpoint | ListenRemote | None = None,
        stream: str | None = None,
        clients: Sequence[str] | None = None,
        window_events: int = 50_000,
        **kwargs: Any,
    ) -> None:
        found = remote_endpoint(endpoint)
        super().__init__(*args, endpoint=found, **kwargs)
        whole("window_events", window_events, 1)
        self.add(UnpackStep(name="unpack"))
        self.stream = checked_stream(self.name if stream is None else stream)
        self.clients = checked_clients(clients, found)
        self.writers = _SITES
        self._arrivals = Arrivals(self, window_events)
        self._source = WriteOnly(self._take)

    def places(self) -> Sequence[Place]:
        return [("stream", self.stream)]

    def published(self) -> Source:
        """What others write to."""
        return self._source

    @property
    def origin(self) -> str:
        endpoint = self.endpoint
        assert isinstance(endpoint, RemoteEndpoint)
        return f"{endpoint.url} {self.stream}"

    @property
    def is_ending(self) -> bool:
        """Whether it takes nothing any more."""
        return not self._is_listening

    def statistics(self) -> dict[str, Any]:
        """Who sends, what came, and what was known or cannot be read."""
        return {
            "url": self.origin.partition(" ")[0],
            "senders": self._source.writing,
            "messages": self._arrivals.messages,
            "duplicates": self._arrivals.duplicates,
            "unreadable": self._arrivals.unreadable,
        }

    async def start_source(self) -> None:
        await self._arrivals.open()
        await super().start_source()

    async def stop_source(self) -> None:
        await super().stop_source()
        await self._arrivals.close()

    async def _take(self, items: Sequence[bytes]) -> None:
        try:
            if not self._is_listening:
                raise ChannelStopped(self.name)
            await self._arrivals.take([Arrival(data) for data in items])
        except PichannelsError as exc:
            raise SourceFailed(self.stream, f"nothing was accepted: {exc}") from exc
