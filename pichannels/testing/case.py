"""The test case for projects whose tests use unittest."""

from __future__ import annotations

import asyncio
import inspect
import os
import unittest
from pathlib import Path
from typing import Any, ClassVar

from pichannels.testing.replays import Replay
from pichannels.testing.running import ChannelUnderTest, ProjectUnderTest
from pichannels.testing.stored import Source

__all__ = ["PichannelsTestCase", "TestCase", "settings_near"]


def settings_near(test_file: str | os.PathLike[str], name: str) -> Path:
    """The settings file beside a test file, or in one of the folders above it.

    Without one it is the name itself, relative to the current folder.
    """
    for folder in Path(test_file).absolute().parents:
        if (folder / name).is_file():
            return folder / name
    return Path(name)


class PichannelsTestCase(unittest.IsolatedAsyncioTestCase):
    """Tests of a project's channels; each test has the project for itself.

    Test methods may be plain or async. What a test mocks, and what nodes keep and
    count, is gone with the test.

    Attributes:
        settings: the settings file: beside the test's file, or in a folder above.
    """

    settings: ClassVar[str] = "settings.py"

    _project: ProjectUnderTest | None = None

    def setUp(self) -> None:
        super().setUp()
        assert self.project

    @property
    def project(self) -> ProjectUnderTest:
        """The project under test."""
        if self._project is None:
            file = settings_near(inspect.getfile(type(self)), self.settings)
            self._project = ProjectUnderTest(file)
            self.addCleanup(self._project.close)
        return self._project

    def get_channel(self, name: str) -> ChannelUnderTest:
        """The channel, or sub-channel, with this full name; mocks stay.

        Raises:
            UsageError: there is none.
        """
        return self.project.get_channel(name)

    def finish_all_tasks(self) -> list[dict[str, Any]]:
        """Until nothing is under way in any channel; for plain test methods.

        Async ones write `await self.project.finish_all_tasks()`.

        Returns:
            What has failed since the last call; see `ProjectUnderTest`.
        """
        return self.project.wait(self.project.finish_all_tasks())

    def reset(self) -> None:
        """Forget mocks, and what nodes have recorded and counted."""
        self.project.reset()

    def set_loop_to_debug(self, slow: float = 0.1) -> None:
        """Let the event loop, in an async test method, tell what holds it up.

        Args:
            slow: seconds from which a step is told of, as a warning of asyncio.

        Raises:
            RuntimeError: no event loop runs.
        """
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = slow

    def replay(self, channel: str, source: Source, **options: Any) -> Replay:
        """Run stored messages through a channel; see `Replay`."""
        return Replay(self.get_channel(channel), source, **options)


TestCase = PichannelsTestCase
