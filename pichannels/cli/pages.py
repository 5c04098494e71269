"""The pages and the API beside an instance, while `start` runs it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from pichannels.cli.ui import absolute, folder_of, place_of, where
from pichannels.engine import Engine
from pichannels.errors import SettingsError, harmless
from pichannels.events import Event
from pichannels.project import Project
from pichannels.ui.supervision import Supervisor
from pichannels.ui_config import UIConfig, missing_extra

__all__ = ["pages_of", "tell", "with_pages"]

logger: Final = logging.getLogger("pichannels.ui")


def pages_of(project: Project, is_asked: bool) -> bytes | None:
    """What the process of the pages is told; None where there are to be none.

    Raises:
        SettingsError: the extra is missing, or there is no control server.
    """
    config = project.config.ui
    if config is None and not is_asked:
        return None
    if missing := missing_extra():
        raise SettingsError(missing, key="UI")
    if not project.config.control.enabled:
        raise SettingsError(
            "the pages ask the control server, which is switched off",
            file=str(project.path),
            key="CONTROL",
        )
    plan = {
        "config": absolute(config or UIConfig(), project),
        "places": [place_of(project)],
        "folder": str(folder_of(project)),
    }
    return msgspec.json.encode(plan)


async def with_pages(
    engine: Engine, run: Callable[[], Coroutine[Any, Any, bool]], plan: bytes
) -> bool:
    """Run an instance, and the pages from its start to its end."""
    supervisor = Supervisor(plan, tell)

    def begin(event: Event) -> None:
        if event.name == "instance.started":
            supervisor.start()

    forget = engine.events.subscribe(begin)
    try:
        return await run()
    finally:
        forget()
        await supervisor.close()


def tell(started: dict[str, Any]) -> None:
    """Say where the pages are, and how to log in, also above the tables of `start`."""
    # The token is for the terminal, not for the log. It is written to what stands for
    # the output just now; the real one would be drawn over by the tables.
    sys.stdout.write(f"{harmless(f'  pages      {where(started)}')}\n")
    sys.stdout.flush()
    logger.info("pages and API: %s", started["url"])
