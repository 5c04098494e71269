"""What the system tells of changes in a folder, by watchfiles (extra `files`).

The only module that imports watchfiles. Where it is missing, or the system tells
nothing (network shares), whoever watches has to look by itself.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final

try:
    import watchfiles
except ImportError:
    watchfiles = None  # type: ignore[assignment]

__all__ = ["Notifier", "is_available"]

logger: Final = logging.getLogger("pichannels.channels")

_GATHER: Final = 100
"""Milliseconds for which changes that follow each other are told as one."""


def is_available() -> bool:
    """Whether watchfiles is installed."""
    return watchfiles is not None


class Notifier:
    """Calls a function when something in a folder has changed.

    A thread of its own waits, because the event loop's threads are few. It ends when
    the folder goes away.

    Args:
        folder: what is watched.
        recursive: also folders below.
        changed: called in the event loop.
    """

    def __init__(
        self, folder: str, *, recursive: bool, changed: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._recursive = recursive
        self._changed = changed
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether changes are told."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, in the event loop; again after it has ended by itself."""
        if self.is_alive or not is_available():
            return
        # Otherwise each change would be a line in the log.
        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            args=(asyncio.get_running_loop(), self._stop),
            name="pichannels-files",
            daemon=True,
        )
        self._thread.start()

    async def close(self) -> None:
        """End it."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _run(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        try:
            for _ in watchfiles.watch(
                self._folder,
                watch_filter=None,
                debounce=_GATHER,
                stop_event=stop,
                rust_timeout=1000,
                recursive=self._recursive,
                ignore_permission_denied=True,
            ):
                loop.call_soon_threadsafe(self._changed)
        except (OSError, RuntimeError) as exc:
            # There is no such folder, the system refuses, or the loop is closed.
            logger.debug("%s: no changes are told: %s", self._folder, exc)
