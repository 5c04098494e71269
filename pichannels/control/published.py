"""What an instance publishes: its channels, its stores, the files of some folders."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from pichannels.channels import BaseChannel
from pichannels.control import replaying
from pichannels.control.history import Selection, channels_with_store
from pichannels.control.remote_access import read_tokens
from pichannels.control.replaying import Replay
from pichannels.errors import SettingsError, UsageError
from pichannels.events import Event, EventBus
from pichannels.exporting import entries, line_of
from pichannels.patterns import matching
from pichannels.project import Project
from pichannels.remote import (
    AccessDenied,
    Action,
    EntitySource,
    Hub,
    HubLimits,
    HubServer,
    Mode,
    add_routes,
    caller,
    method,
)
from pichannels.remote.modes import described
from pichannels.remote.shelves import Folder, folder
from pichannels.remote.sources import Source, from_iterable
from pichannels.remote_config import CHANNELS, INBOXES, LINKS, STORES, RemoteConfig
from pichannels.streaming import ChannelTail, Inbox, StoreReplay, inbox, replay

__all__ = ["Published"]

W = TypeVar("W", bound=Selection)

_DRAIN: Final = 0.2
_RELOADED: Final = "instance.reloaded"


class Published:
    """The hub of an instance, and its own listener where there is one.

    Args:
        project: what is published.
        config: which parts of it, and who may have them.
        events: tell when the project was reloaded.
    """

    def __init__(
        self, project: Project, config: RemoteConfig, events: EventBus
    ) -> None:
        self._project = project
        self._config = config
        self._events = events
        self._hub: Hub | None = None
        self._server: HubServer | None = None
        self._channels = _Channels(project, config.channels, config.keep)
        self._unsubscribe: Any = None

    @property
    def url(self) -> str | None:
        """Where its own listener is, if there is one."""
        return self._server.url if self._server else None

    async def open(self, token: str) -> None:
        """Publish, and listen where the settings say so.

        Args:
            token: of the control server; with it everything may be done.

        Raises:
            SettingsError: a secret is missing, the certificate cannot be used, or the
                port is taken.
        """
        config = self._config
        tokens = await read_tokens(config, token)
        limits = HubLimits(
            links=config.links,
            links_per_client=config.links_per_client,
            streams_per_link=config.streams_per_link,
            window_bytes=config.window_bytes,
        )
        hub = self._hub = Hub(authorize=tokens.authorize, limits=limits)
        self._channels.follow_all()
        hub.mount(CHANNELS, self._channels)
        hub.mount(STORES, _Stores(self._project, config.stores))
        hub.mount(INBOXES, _Inboxes(self._project, config.inboxes))
        for name, found in (await asyncio.to_thread(self._folders)).items():
            hub.mount(name, found)
        hub.expose(STORES, _StoreCalls(self._project, config.stores))
        hub.expose(LINKS, _LinkCalls(hub))
        self._unsubscribe = self._events.subscribe(self._note)
        if config.port is not None:
            await self._listen(hub, config.port)

    def _folders(self) -> dict[str, Folder]:
        root = self._project.folder
        return {
            name: folder(root / each.path, write=each.write)
            for name, each in self._config.folders.items()
        }

    async def _listen(self, hub: Hub, port: int) -> None:
        context = await asyncio.to_thread(self._tls)
        server = HubServer(hub, self._config.host, port, ssl=context)
        try:
            await server.open()
        except OSError as exc:
            place = f"{self._config.host}:{port}"
            raise SettingsError(
                f"nothing can be published at {place}: {exc.strerror or exc}",
                key="REMOTE['port']",
                found=port,
            ) from exc
        self._server = server

    def _tls(self) -> ssl.SSLContext | None:
        config, root = self._config, self._project.folder
        if not config.cert:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(root / config.cert, root / config.key)
        except OSError as exc:
            raise SettingsError(
                f"the certificate cannot be used: {exc.strerror or exc}",
                key="REMOTE['cert']",
                found=config.cert,
            ) from exc
        return context

    def add_routes(self, app: web.Application) -> None:
        """Let another server give the same, too."""
        if self._hub is not None:
            add_routes(app, self._hub)

    def _note(self, event: Event) -> None:
        if event.name == _RELOADED:
            self._channels.renew()

    async def close(self) -> None:
        """End all links, and stop listening."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._hub is not None:
            await self._hub.aclose(_DRAIN)
        if self._server is not None:
            await self._server.close()
            self._server = None


class _Channels:
    """What comes out of channels."""

    def __init__(self, project: Project, patterns: Sequence[str], keep: int) -> None:
        self._project = project
        self._fits = matching(patterns)
        self._keep = keep
        self._tails: dict[str, ChannelTail] = {}

    def find(self, name: str) -> Source | None:
        """The tail of the channel of this name."""
        channel = self._known().get(name)
        if channel is None:
            return None
        if name not in self._tails:
            self._tails[name] = ChannelTail(channel, self._keep)
        return self._tails[name]

    async def names(self) -> Sequence[str]:
        """Of the channels that are published."""
        return list(self._known())

    def _known(self) -> dict[str, BaseChannel]:
        return {c.name: c for c in self._project.all_channels() if self._fits(c.name)}

    def follow_all(self) -> None:
        """Keep the messages of all channels, where some are kept for later."""
        for name in self._known() if self._keep else ():
            self.find(name)

    def renew(self) -> None:
        """Go on with the channels that a reload has put in the place of others."""
        known = self._known()
        for name, tail in self._tails.items():
            if name in known:
                tail.move(known[name])
        self.follow_all()


class _Stores:
    """What stores keep."""

    def __init__(self, project: Project, patterns: Sequence[str]) -> None:
        self._project = project
        self._fits = matching(patterns)
        # Bookmarks are good for as long as a source is the same.
        self._sources: dict[str, StoreReplay] = {}

    def find(self, name: str) -> Source | None:
        """The store of the channel of this name."""
        for channel, store in channels_with_store(self._project):
            if channel.name == name and self._fits(name):
                found = self._sources.get(name)
                if found is None or found.store is not store:
                    found = self._sources[name] = replay(store)
                return found
        return None

    async def names(self) -> Sequence[str]:
        """Of the channels whose stores are published."""
        found = channels_with_store(self._project)
        return [channel.name for channel, _ in found if self._fits(channel.name)]


class _Inboxes:
    """Channels that take messages."""

    def __init__(self, project: Project, patterns: Sequence[str]) -> None:
        self._project = project
        self._fits = matching(patterns)
        self._sources: dict[str, Inbox] = {}

    def find(self, name: str) -> Source | None:
        """The channel of this name, to write to."""
        for channel in self._project.channels:
            if channel.name == name and self._fits(name):
                found = self._sources.get(name)
                if found is None or found.channel is not channel:
                    found = self._sources[name] = inbox(channel)
                return found
        return None

    async def names(self) -> Sequence[str]:
        """Of the channels that take messages."""
        names = (channel.name for channel in self._project.channels)
        return [name for name in names if self._fits(name)]


class _LinkCalls:
    """The remote calls on `links`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @method
    async def streams(self) -> list[dict[str, Any]]:
        """Each stream that is open: what a `StreamReport` has, as plain data."""
        found = (await self._hub.report()).streams
        uses = Mode.READ | Mode.WRITE
        return [
            {
                **msgspec.structs.asdict(each),
                "kind": str(each.kind),
                "mode": described(each.mode & uses),
            }
            for each in found
        ]


class _StoreCalls:
    """The remote calls on `stores`."""

    def __init__(self, project: Project, patterns: Sequence[str]) -> None:
        self._project = project
        self._fits = matching(patterns)

    @method
    def export(self, channel: str, conditions: dict[str, Any]) -> EntitySource:
        """The selected messages of a channel, as lines of an export, oldest first.

        Args:
            channel: its full name.
            conditions: as `Selection` has them, without ids.

        Raises:
            AccessDenied: who calls may not read the store.
            UsageError: there is no such channel, it has no store that is published,
                or a condition is not known.
        """
        wanted = self._wanted(Selection, Action.READ, channel, conditions)
        ((_, store),) = channels_with_store(self._project, channel)

        async def lines() -> AsyncIterator[str]:
            async for entry in entries(store, **wanted.filters()):
                yield line_of(entry)

        return from_iterable(lines)

    @method
    async def replay(
        self, channel: str, conditions: dict[str, Any], dry_run: bool = False
    ) -> dict[str, Any]:
        """Process messages of a channel again, here; who is gone breaks it off.

        Args:
            channel: its full name.
            conditions: as `Replay` has them.
            dry_run: only count the messages.

        Returns:
            What a `ReplayReport` has.

        Raises:
            AccessDenied: who calls may not write to the store.
            UsageError: as for `export`.
        """
        wanted = self._wanted(Replay, Action.WRITE, channel, conditions)
        report = await replaying.replay(self._project, wanted, dry_run=dry_run)
        return msgspec.structs.asdict(report)

    def _wanted(
        self, kind: type[W], action: Action, channel: str, conditions: dict[str, Any]
    ) -> W:
        """Which messages are meant, where the caller may do this with the store."""
        if not caller().allows(action, name := f"{STORES}/{channel}"):
            reason = f"the token does not allow to {action} {name}"
            raise AccessDenied(STORES, reason, action=str(action))
        try:
            wanted = msgspec.convert({**conditions, "channel": channel}, kind)
        except msgspec.ValidationError as exc:
            raise UsageError(f"these conditions cannot be used: {exc}") from exc
        if not self._fits(channel):
            raise UsageError(f"the store of {channel!r} is not published")
        return wanted
