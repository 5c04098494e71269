"""The test case of a project that has moved here; see `pichannels.testing`."""

from __future__ import annotations

import asyncio
import unittest
from typing import Any, ClassVar

from pichannels.message import Message
from pichannels.pypeman.registry import current
from pichannels.testing import ChannelUnderTest, PichannelsTestCase

__all__ = ["PypeTestCase", "TearDownProjectTestCase", "clear_pypeman_project"]


class _Channel(ChannelUnderTest):
    """A channel under test that has all of the channel itself, too."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)

    async def replay(self, msg_id: str) -> Message:
        """Process a stored message again; see `BaseChannel.replay`."""
        await self.owner.start(self.channel)
        return await self.channel.replay(msg_id)


class PypeTestCase(PichannelsTestCase):
    """Tests of the project whose `settings.py` is beside the test's file, or above.

    As in pypeman, `Dropped` is raised, forks are waited for, and a channel begins
    without mocks each time it is asked for.

    Attributes:
        wait_subchans: whether forks are waited for.
    """

    wait_subchans: ClassVar[bool] = True

    def setUp(self) -> None:
        super().setUp()
        for channel in self.project.project.all_channels():
            channel.wait_subchans = self.wait_subchans
            channel.raise_dropped = True

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the test, for `self.loop.run_until_complete(...)`."""
        return self.project.loop

    def set_loop_to_debug(self, slow: float = 0.1) -> None:
        """Let the event loop tell what holds it up.

        Args:
            slow: seconds from which a step is told of, as a warning of asyncio.
        """
        self.loop.set_debug(True)
        self.loop.slow_callback_duration = slow

    def get_channel(self, name: str) -> ChannelUnderTest:
        """The channel with this name, short or whole, without mocks and counts.

        Raises:
            NameError: there is none.
        """
        for channel in self.project.project.all_channels():
            if name in (channel.name, channel.short_name):
                for node in channel.nodes():
                    node.reset_test()
                    node.record()
                return _Channel(self.project, channel)
        raise NameError(f"there is no channel {name!r}")

    def finish_all_tasks(self) -> list[Any]:
        """Until nothing is under way; gives the exceptions of what has failed."""
        return [failure["error"] for failure in super().finish_all_tasks()]


class TearDownProjectTestCase(unittest.TestCase):
    """A test case for what makes channels by itself; they are forgotten afterwards."""

    def tearDown(self) -> None:
        clear_pypeman_project()
        super().tearDown()


def clear_pypeman_project() -> None:
    """Know no channels, nodes and endpoints any more."""
    registry = current()
    for known in (registry.channels, registry.nodes, registry.endpoints):
        known.clear()
