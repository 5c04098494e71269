"""Run stored messages through a channel and look at what comes out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Self

from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.store import State
from pichannels.testing.doubles import RecordingNode
from pichannels.testing.expected import assert_messages_match
from pichannels.testing.running import ChannelUnderTest, with_subchannels
from pichannels.testing.stored import Source, read_messages

__all__ = ["Replay"]


class Replay:
    """Stored messages on their way through a channel under test.

    The messages go in as they were stored, in their order, and what leaves each node
    is kept. `await` it in a test with an event loop; in others it runs when its
    result is first asked for.

    Args:
        channel: the channel under test; mock its sinks before.
        source: see `read_messages`; a relative path begins at the project's folder.
        timeout: seconds for all messages to settle.
        filters: see `read_messages`.
    """

    def __init__(
        self,
        channel: ChannelUnderTest,
        source: Source,
        *,
        timeout: float = 10.0,
        **filters: Any,
    ) -> None:
        self._channel = channel
        self._source = source
        self._timeout = timeout
        self._filters = filters
        self._messages: list[Message] = []
        self._outcomes: list[Outcome] | None = None
        self._outputs: dict[str, list[Message]] = {}

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self._play().__await__()
        return self

    @property
    def messages(self) -> list[Message]:
        """The messages as they went in."""
        self._ensure_played()
        return self._messages

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of each."""
        self._ensure_played()
        assert self._outcomes is not None
        return self._outcomes

    @property
    def failures(self) -> list[Outcome]:
        """The outcomes of messages that failed or were rejected."""
        wrong = (State.ERROR, State.REJECTED)
        return [outcome for outcome in self.outcomes if outcome.state in wrong]

    def outputs(self, node: str | None = None) -> list[Message]:
        """Copies of all messages that left a node, in order.

        Args:
            node: its name or full name; without, the results of the channel.

        Raises:
            UsageError: there is no such node.
        """
        if node is None:
            done = [o for o in self.outcomes if o.state is State.PROCESSED]
            return [outcome.message for outcome in done]
        self._ensure_played()
        found = self._channel.get_node(node).fullpath()
        return self._outputs[found]

    def assert_matches(
        self,
        path: str | os.PathLike[str],
        node: str | None = None,
        *,
        ignore: Collection[str] = (),
    ) -> None:
        """Fail unless `outputs(node)` are those in a file; it can be written anew.

        See `assert_messages_match`; a relative path begins at the project's folder.

        Raises:
            AssertionError: a message failed, or what came out differs.
        """
        if self.failures:
            raise AssertionError(self._told_failures())
        what = f"what left {node or self._channel.name}"
        file = self._channel.owner.project.folder / path
        assert_messages_match(self.outputs(node), file, ignore=ignore, what=what)

    def _told_failures(self) -> str:
        lines = [
            f"  {outcome.message.uuid} at {outcome.node}: {outcome.error!r}"
            for outcome in self.failures[:10]
        ]
        count = f"{len(self.failures)} of {len(self.outcomes)} messages failed"
        return "\n".join([f"{count}; the first are", *lines])

    def _ensure_played(self) -> None:
        if self._outcomes is None:
            self._channel.owner.wait(self._play())

    async def _play(self) -> None:
        if self._outcomes is not None:
            return
        source = self._source
        if isinstance(source, str | os.PathLike):
            source = self._channel.owner.project.folder / source
        name = self._channel.channel.name
        self._messages = await read_messages(source, name, **self._filters)
        await self._channel.owner.start(self._channel.channel)
        with _tapped(self._channel.channel) as taps:
            self._outcomes = await self._run_all()
        self._outputs = {path: tap.messages for path, tap in taps.items()}

    async def _run_all(self) -> list[Outcome]:
        # All at once, because a message may be settled only by those after it; the
        # channel keeps their order.
        channel = self._channel.channel
        runs = [
            asyncio.create_task(channel.run(msg.copy()), name=f"replay {msg.uuid}")
            for msg in self._messages
        ]
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.gather(*runs)
        except TimeoutError as exc:
            left = sum(run.cancelled() or not run.done() for run in runs)
            raise UsageError(
                f"{left} of {len(runs)} messages were not settled within"
                f" {self._timeout:g} s"
            ) from exc
        finally:
            for run in runs:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)


@contextmanager
def _tapped(channel: BaseChannel) -> Iterator[dict[str, RecordingNode]]:
    """Have all that leaves each node recorded: full name of the node -> recorder."""
    taps: dict[str, RecordingNode] = {}
    channels = list(with_subchannels(channel))
    for each in channels:
        for node in list(each.own_nodes()):
            tap = taps[node.fullpath()] = RecordingNode(name=f"{node.name} (recorded)")
            each.append(tap)
            each.steps.remove(tap)
            (steps,) = (steps for steps in each.step_lists() if node in steps)
            steps.insert(steps.index(node) + 1, tap)
            each.chain_changed()
    try:
        yield taps
    finally:
        for each in channels:
            for steps in each.step_lists():
                steps[:] = [step for step in steps if step not in taps.values()]
            each.chain_changed()
