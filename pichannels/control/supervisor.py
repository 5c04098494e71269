"""Telling systemd what the instance does: ready, alive, reloading, stopping.

A few words over the socket that `NOTIFY_SOCKET` names (sd_notify(3)); nothing where
there is none, as on Windows. The watchdog is fed from the event loop, so that a loop
which is held up for too long is noticed, and the instance started again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from pichannels.events import Event, EventBus
from pichannels.heartbeat import Heartbeat

__all__ = ["Supervisor"]

logger: Final = logging.getLogger("pichannels.control")

_EVERY: Final = 10.0
"""Seconds between two beats where there is no watchdog."""
_MORE: Final = 60_000_000
"""Microseconds for which a start may go on from each beat."""
_AFTER_DRAIN: Final = 10.0
_WORDS: Final = {
    "instance.started": "READY=1\nSTATUS=running",
    "instance.reloaded": "READY=1\nSTATUS=running",
    "reload.failed": "READY=1\nSTATUS=running; a reload has failed",
    "reload.refused": "READY=1\nSTATUS=running; the changed settings were refused",
}


class Supervisor:
    """Says over a datagram socket what happens.

    Args:
        address: of the socket; `@` begins one without a file.
        watchdog: seconds within which it wants to hear something; 0 for no watchdog.
        drain_timeout: seconds that a stop may take.
    """

    def __init__(
        self, address: str, watchdog: float = 0.0, drain_timeout: float = 0.0
    ) -> None:
        self._address = f"\0{address[1:]}" if address[:1] == "@" else address
        self._watchdog = watchdog
        self._drain_timeout = drain_timeout
        self._is_starting = True
        self._socket: socket.socket | None = None

    @classmethod
    def of_system(
        cls, environ: Mapping[str, str], drain_timeout: float = 0.0
    ) -> Supervisor | None:
        """The one that has started this process, if it wants to be told."""
        address = environ.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@") or not hasattr(socket, "AF_UNIX"):
            return None
        is_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        given = environ.get("WATCHDOG_USEC", "") if is_for_us else ""
        watchdog = int(given) / 1e6 if given.isdecimal() else 0.0
        return cls(address, watchdog, drain_timeout)

    @contextlib.asynccontextmanager
    async def told(self, events: EventBus) -> AsyncIterator[None]:
        """Tell what the events of an instance mean, and that the loop goes on."""
        family: Any = getattr(socket, "AF_UNIX")  # noqa: B009 - Windows has none
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        every = self._watchdog / 3 if self._watchdog else _EVERY
        heartbeat = Heartbeat(self._beat, every)
        unsubscribe = events.subscribe(self._take)
        try:
            self.say(f"STATUS=starting\nEXTEND_TIMEOUT_USEC={_MORE}")
            heartbeat.start()
            yield
        finally:
            unsubscribe()
            await heartbeat.stop()
            self._socket.close()

    def _take(self, event: Event) -> None:
        if event.name == "instance.stopping":
            self._is_starting = False
            more = int((self._drain_timeout + _AFTER_DRAIN) * 1e6)
            self.say(f"STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC={more}")
        elif event.name == "instance.reloading":
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self.say(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=reloading")
        elif event.name in _WORDS:
            self._is_starting = False
            self.say(_WORDS[event.name])

    def _beat(self) -> None:
        words = ["WATCHDOG=1"] if self._watchdog else []
        if self._is_starting:
            # It may have to wait for another instance, as long as the loop goes on.
            words.append(f"EXTEND_TIMEOUT_USEC={_MORE}")
        if words:
            self.say("\n".join(words))

    def say(self, words: str) -> None:
        """Send these words; who does not listen misses them."""
        assert self._socket is not None
        try:
            self._socket.sendto(words.encode(), self._address)
        except OSError as exc:
            logger.debug("systemd is not told %r: %s", words, exc)
