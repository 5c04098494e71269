"""How far a command is is told while it is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pichannels.channels import BaseChannel
from pichannels.cli.progress import followed, shown_progress
from pichannels.control.client import connect
from pichannels.engine import Engine
from pichannels.project import Project

EVENT = "replay.progress"


async def test_events_with_the_ticket_are_told(tmp_path: Path) -> None:
    told: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    async def fire(engine: Engine) -> None:
        # Until somebody follows, nothing is heard.
        while True:
            engine.events.fire(EVENT, ticket="other", replayed=1)
            engine.events.fire(EVENT, ticket="ours", replayed=2)
            await asyncio.sleep(0.01)

    async with Engine(Project([BaseChannel("a")]), data_dir=tmp_path) as engine:
        firing = asyncio.create_task(fire(engine))
        async with await connect(tmp_path) as client:
            async with followed(client, EVENT, "ours", told.put_nowait):
                facts = await told.get()
            async with shown_progress(client, EVENT, "x", "", is_quiet=True) as ticket:
                assert ticket == ""
        firing.cancel()
        await asyncio.wait([firing])
    assert facts["replayed"] == 2
