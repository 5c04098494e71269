"""Channels whose messages come through an endpoint, which several share."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pichannels.channels.base import BaseChannel
from pichannels.endpoints.base import Endpoint, Place, Sharing
from pichannels.fingerprint import Fingerprinter

__all__ = [
    "Handlers",
    "ListeningChannel",
    "share_endpoints",
    "sharing",
    "taken_twice",
]


class Handlers:
    """The tasks that answer somebody just now, for a channel that has to stop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._given_up: set[asyncio.Task[Any] | None] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self) -> asyncio.Task[Any] | None:
        """The present task answers."""
        task = asyncio.current_task()
        self._tasks.add(task)
        return task

    def end(self, task: asyncio.Task[Any] | None) -> None:
        """It does no more."""
        self._tasks.discard(task)
        self._given_up.discard(task)

    def give_up(self) -> None:
        """Cancel what all of them are doing; they may answer that."""
        for task in self._tasks:
            if task is not None:
                self._given_up.add(task)
                task.cancel()

    def is_given_up(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether that is why the task was cancelled; it goes on then."""
        if task is None or task not in self._given_up:
            return False
        task.uncancel()
        return True


class ListeningChannel(BaseChannel, ABC):
    """A channel that uses an endpoint from its start to the end of its last message.

    Args:
        args: the name, and what every channel takes.
        endpoint: what listens.
        options: those of every channel.
    """

    def __init__(self, *args: Any, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(*args, **options)
        self._endpoint = endpoint
        self._has_endpoint = False
        self._is_listening = False
        endpoint.know(self)

    @property
    def endpoint(self) -> Endpoint:
        """What listens."""
        return self._endpoint

    @abstractmethod
    def places(self) -> Sequence[Place]:
        """What the channel takes of the endpoint for itself."""

    def use(self, endpoint: Endpoint) -> None:
        """Take another endpoint; before the start."""
        self._endpoint.forget(self)
        self._endpoint = endpoint
        endpoint.know(self)

    @property
    def is_ready(self) -> bool:
        return self._endpoint.is_open or not self.has_source_enabled

    async def start_source(self) -> None:
        if not self._has_endpoint:
            await self._endpoint.acquire(self)
            self._has_endpoint = True
        # Released after the last message is settled, so that it can be answered.
        self._parts.push_async_callback(self._release)
        self._is_listening = True

    async def stop_source(self) -> None:
        was_listening, self._is_listening = self._is_listening, False
        if not was_listening:
            await self._release()

    async def _release(self) -> None:
        if self._has_endpoint:
            self._has_endpoint = False
            await self._endpoint.release(self)

    async def take_source_from(self, old: BaseChannel) -> bool:
        if not isinstance(old, ListeningChannel) or old.endpoint is not self.endpoint:
            return False
        if not old._has_endpoint or not self._endpoint.hand_over(old, self):
            return False
        old._has_endpoint = False
        self._has_endpoint = True
        return True


def share_endpoints(
    channels: Iterable[BaseChannel], running: Iterable[BaseChannel] = ()
) -> None:
    """Let those whose endpoints are defined alike share one: a port has one owner.

    Those of the channels that run come first; one that is defined in another way takes
    the port over.
    """
    prints = Fingerprinter("")
    older = [user.endpoint for user in sharing(running)]
    known = {prints.text(endpoint): endpoint for endpoint in older}
    ports = {(each.host, each.port): each for each in older if each.port}
    for user in sharing(channels):
        text = prints.text(user.endpoint)
        place = (user.endpoint.host, user.endpoint.port)
        if text not in known and place in ports:
            user.endpoint.replace(ports[place])
        if user.endpoint.port or text in known:
            shared = known.setdefault(text, user.endpoint)
            if shared is not user.endpoint:
                user.use(shared)


def taken_twice(channels: Sequence[BaseChannel]) -> Iterator[tuple[int, str]]:
    """Which of the channels want what an earlier one has, and what it is in words."""
    prints = Fingerprinter("")
    takers: dict[tuple[object, Place], Sharing] = {}
    ports: dict[tuple[str, int], tuple[str, str]] = {}
    numbered = (
        (n, user) for n, each in enumerate(channels) for user in sharing([each])
    )
    for number, user in numbered:
        endpoint = user.endpoint
        address = (endpoint.host, endpoint.port)
        where: object = address if endpoint.port else id(endpoint)
        text = prints.text(endpoint)
        first, other = ports.setdefault(address, (text, user.fullpath()))
        if endpoint.port and first != text:
            told = f"channel {other!r} has another endpoint at {endpoint.address}"
            yield number, f"{told}; give both the same one"
            continue
        for place in user.places():
            taker = takers.setdefault((where, place), user)
            if taker is not user:
                told = f"{taker.fullpath()!r} has {' '.join(place)} of {endpoint}"
                yield number, f"channel {told} already"


def sharing(channels: Iterable[BaseChannel]) -> Iterator[Sharing]:
    """The channels and nodes that use endpoints, those of sub-channels too."""
    for channel in channels:
        if isinstance(channel, ListeningChannel):
            yield channel
        for node in channel.own_nodes():
            if isinstance(node, Sharing):
                yield node
        yield from sharing(channel.subchannels())
