"""A project whose channels run in a test: without sources, on a journal of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pichannels.channels import BaseChannel
from pichannels.dataflow import current
from pichannels.delivery import Outcome
from pichannels.errors import UsageError, nearest
from pichannels.events import Event, EventBus
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project, load

__all__ = ["ChannelUnderTest", "ProjectUnderTest"]

T = TypeVar("T")

_FAILURES: Final = ("message.failed", "fork.failed")
DRAIN_TIMEOUT: Final = 1.0
"""Seconds that the end of a test waits for what the test has left unsettled."""


class ProjectUnderTest:
    """The channels of a project, each started when a test first needs it.

    Nothing of the project's data is touched: sources and the embedded simulator do
    not run, the journal is a temporary one, and message stores with files of their
    own are left out.

    Tests with an event loop `await` what is asynchronous; tests without one call the
    methods whose names end in `_and_wait`. Close it when the test is over.

    Args:
        settings: the path of the settings file, or a project.

    Raises:
        SettingsError: the settings cannot be run, or something in them is wrong.
    """

    def __init__(self, settings: str | os.PathLike[str] | Project | None = None):
        # What another test has bound by `handle` is none of this one's business.
        current().reset()
        if not isinstance(settings, Project):
            settings = load(settings)
        self.project = settings
        self._roots: dict[BaseChannel, BaseChannel] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="pichannels-test-"))
        self._journal: Journal | None = None
        self._channels: dict[str, ChannelUnderTest] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: asyncio.Runner | None = None
        self._starting = asyncio.Lock()
        self._is_closed = False
        self._failures: list[Event] = []
        self.events = EventBus()
        self.events.subscribe(self._note)
        for root in self.project.channels:
            for channel in with_subchannels(root):
                self._roots[channel] = root
                _isolate(channel)

    def get_channel(self, name: str) -> ChannelUnderTest:
        """The channel, or sub-channel, with this full name; the same one each time.

        Raises:
            UsageError: there is none.
        """
        if name not in self._channels:
            self._channels[name] = ChannelUnderTest(self, self.project.channel(name))
        return self._channels[name]

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, for tests without an event loop.

        Raises:
            UsageError: an event loop is running.
        """
        if _is_in_loop():
            work.close()
            raise UsageError("an event loop is running: await this instead")
        if self._loop is not None and self._runner is None:
            return self._loop.run_until_complete(work)
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of this project, which `wait` runs things in."""
        if self._loop is None:
            if _is_in_loop():
                return asyncio.get_running_loop()
            self._runner = self._runner or asyncio.Runner()
            self._loop = self._runner.get_loop()
        return self._loop

    async def start(self, channel: BaseChannel) -> None:
        """Start a channel without its source, unless it runs.

        Raises:
            UsageError: the project is closed, or runs in another event loop.
        """
        self._bind(asyncio.get_running_loop())
        async with self._starting:
            root = self._roots[channel]
            if root.is_stopped():
                root.attach(journal=await self._open_journal(), events=self.events)
                await root.start()

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_closed:
            raise UsageError("the project under test is closed")
        if self._loop not in (None, loop):
            raise UsageError(
                "the project under test runs in another event loop; use one project"
                " for each test, and in it either `await` or the `_and_wait` methods"
            )
        self._loop = loop

    async def _open_journal(self) -> Journal:
        if self._journal is None:
            journal = Journal(self._folder / "journal.sqlite", durability="normal")
            await journal.open()
            self._journal = journal
        return self._journal

    def _note(self, event: Event) -> None:
        if event.name in _FAILURES:
            self._failures.append(event)

    async def finish_all_tasks(self, timeout: float = 10.0) -> list[dict[str, Any]]:
        """Until nothing is under way in any channel.

        Args:
            timeout: seconds for all of it.

        Returns:
            What has failed since the last call, in forks too: `channel`, `error` and
            mostly the `node` of each.

        Raises:
            UsageError: something was not settled in time.
        """
        try:
            async with asyncio.timeout(timeout):
                for root in self.project.channels:
                    if not root.is_stopped():
                        for channel in with_subchannels(root):
                            await channel.drain()
        except TimeoutError as exc:
            name = channel.name
            raise UsageError(f"{name!r} was not settled within {timeout:g} s") from exc
        failures, self._failures = self._failures, []
        return [event.facts for event in failures]

    def reset(self) -> None:
        """Forget mocks, and what nodes have recorded and counted."""
        for root in self.project.channels:
            for channel in with_subchannels(root):
                for node in channel.own_nodes():
                    node.reset_test()
                    node.record()
        self._failures.clear()

    def close(self) -> None:
        """Stop what runs and remove the journal; for code without an event loop."""
        if not self._is_closed and self._loop is not None:
            self.wait(self._stop())
        if self._runner is not None:
            self._runner.close()
        self._is_closed = True
        current().reset()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def aclose(self) -> None:
        """Stop what runs and remove the journal."""
        await self._stop()
        self._is_closed = True
        current().reset()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _stop(self) -> None:
        for channel in reversed(self.project.channels):
            await channel.stop()
        if self._journal is not None:
            await self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class ChannelUnderTest:
    """One channel of a project under test; it starts with its first message.

    Attributes:
        owner: the project under test.
        channel: the channel itself.
    """

    def __init__(self, owner: ProjectUnderTest, channel: BaseChannel) -> None:
        self.owner = owner
        self.channel = channel

    @property
    def name(self) -> str:
        """The full name of the channel."""
        return self.channel.name

    @property
    def received(self) -> int:
        """How many messages came."""
        return self.channel.received

    @property
    def processed(self) -> int:
        """How many of them went through."""
        return self.channel.processed

    @property
    def dropped(self) -> int:
        """How many a node dropped."""
        return self.channel.dropped

    @property
    def rejected(self) -> int:
        """How many a node rejected."""
        return self.channel.rejected

    @property
    def failed(self) -> int:
        """How many failed."""
        return self.channel.failed

    def get_node(self, name: str) -> BaseNode:
        """The node with this name, also of a sub-channel.

        `mock(input=..., output=...)` replaces what it gets or gives; `last_input()`
        and `last_output()` are copies of what it got and gave last.

        Raises:
            UsageError: there is none.
        """
        node = self.channel.get_node(name)
        if node is None:
            known = [node.name for node in self.channel.nodes()]
            hint = nearest(name, known)
            raise UsageError(f"channel {self.name!r} has no node {name!r}{hint}")
        return node

    def mute(self, *nodes: str) -> None:
        """Let nodes, such as sinks, pass on what they get and do nothing else.

        Those that are muted before the channel's first message are not started
        either: they open no file and no connection.

        Raises:
            UsageError: there is no such node.
        """
        for name in nodes:
            self.get_node(name).mock(output=_passed_on)

    async def handle(self, msg: Message) -> Message:
        """Process a message; see `BaseChannel.handle`."""
        await self.owner.start(self.channel)
        return await self.channel.handle(msg)

    def handle_and_wait(self, msg: Message) -> Message:
        """`handle` for tests without an event loop."""
        return self.owner.wait(self.handle(msg))

    async def run(self, msg: Message) -> Outcome:
        """Process a message and say what became of it; see `BaseChannel.run`."""
        await self.owner.start(self.channel)
        return await self.channel.run(msg)

    def run_and_wait(self, msg: Message) -> Outcome:
        """`run` for tests without an event loop."""
        return self.owner.wait(self.run(msg))

    async def accept(self, msg: Message, *, lane: str = "live") -> None:
        """Take a message over, as a source does; see `BaseChannel.accept`."""
        await self.owner.start(self.channel)
        await self.channel.accept(msg, lane=lane)

    def accept_and_wait(self, msg: Message, *, lane: str = "live") -> None:
        """`accept` and `drain` for tests without an event loop."""
        self.owner.wait(self._accept_and_drain(msg, lane))

    async def _accept_and_drain(self, msg: Message, lane: str) -> None:
        await self.accept(msg, lane=lane)
        await self.drain()

    async def inject(
        self, msg: Message, start_nodename: str | None = None, **options: Any
    ) -> Message:
        """Run a message from a node on; see `BaseChannel.inject`."""
        await self.owner.start(self.channel)
        return await self.channel.inject(msg, start_nodename, **options)

    def inject_and_wait(
        self, msg: Message, start_nodename: str | None = None, **options: Any
    ) -> Message:
        """`inject` for tests without an event loop."""
        return self.owner.wait(self.inject(msg, start_nodename, **options))

    async def drain(self) -> None:
        """Until all that was accepted is settled."""
        await self.owner.start(self.channel)
        await self.channel.drain()

    def __repr__(self) -> str:
        return f"<ChannelUnderTest {self.name}>"


def _passed_on(msg: Message) -> Message:
    return msg


def with_subchannels(channel: BaseChannel) -> Iterator[BaseChannel]:
    """A channel and all that branch off from it."""
    yield channel
    for each in channel.subchannels():
        yield from with_subchannels(each)


def _isolate(channel: BaseChannel) -> None:
    """Keep a channel from the world, and let its nodes remember."""
    channel.has_source_enabled = channel.store_only = False
    channel.drain_timeout = min(channel.drain_timeout, DRAIN_TIMEOUT)
    store = channel.message_store
    if store is not None and not (store.shares_journal or store.is_in_memory):
        channel.message_store = None
    for node in channel.own_nodes():
        node.record()


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
