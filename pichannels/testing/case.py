"""The test case for projects whose tests use unittest."""

from __future__ import annotations

import inspect
import os
import unittest
from pathlib import Path
from typing import Any, ClassVar

from pichannels.testing.replays import Replay
from pichannels.testing.running import ChannelUnderTest, ProjectUnderTest
from pichannels.testing.stored import Source

__all__ = ["PichannelsTestCase", "settings_near"]


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

    def replay(self, channel: str, source: Source, **options: Any) -> Replay:
        """Run stored messages through a channel; see `Replay`."""
        return Replay(self.get_channel(channel), source, **options)
