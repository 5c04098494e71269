"""The test kit: run a project's channels in tests, and replay stored messages.

With pytest the fixtures `get_channel` and `replay` give what `PichannelsTestCase`
gives with unittest; `docs/testing.md` shows both.
"""

from __future__ import annotations

from pichannels.testing.case import PichannelsTestCase, TestCase
from pichannels.testing.doubles import ManualClock, RecordingNode, RefusingSink
from pichannels.testing.expected import assert_messages_match
from pichannels.testing.replays import Replay
from pichannels.testing.running import ChannelUnderTest, ProjectUnderTest
from pichannels.testing.simulators import RunningSimulator
from pichannels.testing.stored import Source, export_messages, read_messages

__all__ = [
    "ChannelUnderTest",
    "ManualClock",
    "PichannelsTestCase",
    "ProjectUnderTest",
    "RecordingNode",
    "RefusingSink",
    "Replay",
    "RunningSimulator",
    "Source",
    "TestCase",
    "assert_messages_match",
    "export_messages",
    "read_messages",
]
