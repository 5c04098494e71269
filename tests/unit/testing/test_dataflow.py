"""A project under test begins, and leaves, without what others bound by `handle`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from pichannels.dataflow import current, fresh, handle
from pichannels.testing import ProjectUnderTest

SETTINGS = """
from pichannels.channels import BaseChannel
from pichannels.dataflow import handle

CHANNELS = [BaseChannel("a")]

@handle(CHANNELS[0])
def handler(msg):
    pass
"""


async def numbers() -> AsyncIterator[int]:
    yield 1


def bound(source: object) -> int:
    return len(current().source(source).handlers)


def test_each_project_has_its_own_handlers(tmp_path: Path) -> None:
    settings = tmp_path / "settings.py"
    settings.write_text(SETTINGS, "utf-8")
    with fresh():
        handle(numbers)(lambda number: None)
        with ProjectUnderTest(settings) as project:
            channel = project.project.channel("a")
            assert (bound(numbers), bound(channel)) == (0, 1)
        assert bound(channel) == 0
