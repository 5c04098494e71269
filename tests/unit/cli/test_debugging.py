"""Stalls of the event loop are told with their place; profiles are written."""

from __future__ import annotations

import asyncio
import logging
import pstats
import sys
import time
from pathlib import Path

import pytest

from pichannels.cli.debugging import StallWatch, profiled, watched


def hold_up_everything() -> None:
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        pass


async def test_what_holds_up_the_loop_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with StallWatch(threshold=0.05):
        await asyncio.sleep(0.02)
        hold_up_everything()
        await asyncio.sleep(0.05)
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    # A busy machine may hold up the loop as well.
    (level,) = [level for level, text in told if "in hold_up_everything" in text]
    assert level == logging.WARNING


async def test_what_waits_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> int:
        await asyncio.sleep(0.25)
        return 7

    assert (await watched(work()), caplog.records) == (7, [])


def test_a_profile_is_written(tmp_path: Path) -> None:
    with profiled(tmp_path / "profile"):
        sorted(range(10))
    stats = pstats.Stats(str(tmp_path / "profile"))
    assert any("sorted" in str(place) for place in stats.stats)  # type: ignore[attr-defined]


def test_nothing_is_profiled_without_a_file() -> None:
    with profiled(None):
        assert sys.getprofile() is None
