"""The project that the fault-injection suite runs: PI tags to one sink over HTTP.

What it is to be comes from the environment, as the suite changes it between starts.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from typing import Any
from zlib import crc32

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, publish
from pichannels import clock
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.errors import SampleErrors
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy

_options: dict[str, Any] = json.loads(os.environ.get("FAULTS_OPTIONS", "{}"))
_PI = os.environ.get("FAULTS_PI", "http://127.0.0.1:8500/piwebapi")
_SINK = os.environ.get("FAULTS_SINK", "http://127.0.0.1:8600/")
_WITNESS = os.environ.get("FAULTS_WITNESS", os.devnull)
_CLOCK = os.environ.get("FAULTS_CLOCK", "")


class _Fast:
    """Our clock, where the plant's is fast: seconds pass here as they do there.

    Args:
        since: seconds of the machine's monotonic clock.
        ticks: of the plant at that moment.
        speed: its seconds in a real one.
    """

    def __init__(self, since: float, ticks: int, speed: float) -> None:
        self._since = since
        self._ticks = ticks
        self._speed = speed

    def now(self) -> int:
        return self._ticks + int(self.monotonic() * 10**7)

    def monotonic(self) -> float:
        return (time.monotonic() - self._since) * self._speed


if _CLOCK:
    # For as long as the process runs, and not only as long as this module is kept.
    _used = clock.use(_Fast(*json.loads(_CLOCK)))
    _used.__enter__()
    atexit.register(_used.__exit__, None, None, None)


class _Witnessed(PIWebChannel):
    """Notes outside of the data folder what `accept` has called durable."""

    async def accept(
        self, msg: Message, *, lane: str = "live", manifest: bytes | None = None
    ) -> None:
        # What is read from the archive comes as samples, and not as it was sent.
        payload = (
            msg.payload.decode("utf-8", "replace")
            if isinstance(msg.payload, bytes)
            else [[sample.tag.name, sample.event_id] for sample in msg.payload]
        )
        await super().accept(msg, lane=lane, manifest=manifest)
        # One write, and a new line first: a line that a kill tears costs only itself.
        line = f"\n{json.dumps([int(msg.store_id or 0), lane, payload])}"
        os.write(self._opened_witness(), line.encode())

    def _opened_witness(self) -> int:
        if not hasattr(self, "_witness"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._witness = os.open(_WITNESS, flags, 0o600)
        return self._witness


class _Poisoned(BaseNode):
    """Refuses samples by their event id: `share` of a thousand."""

    def __init__(self, share: int) -> None:
        super().__init__(name="poisoned")
        self._share = share

    def process(self, msg: Message) -> Message:
        causes = {
            index: "poison"
            for index, sample in enumerate(msg.payload)
            if crc32(sample.event_id.encode()) % 1000 < self._share
        }
        if causes:
            raise SampleErrors(causes)
        return msg


_again = RetryPolicy(attempts=0, initial=0.05, maximum=0.3)

plant = _Witnessed(
    "plant",
    url=_PI,
    server="PLANT",
    reconnect=_again,
    message_store_factory=SQLiteMessageStoreFactory(),
    coverage=CoverageOptions(**_options.get("coverage", {})),
    tags=["UNIT*"],
    **_options.get("source", {}),
)
plant.add(decode.PI())
if _options.get("poison"):
    plant.add(_Poisoned(_options["poison"]))
plant.add(publish.HTTP(_SINK, retry=_again, timeout=5, **_options.get("sink", {})))

PROJECT_NAME = "faults"
CHANNELS = [plant]
JOURNAL = _options.get("journal", {})
DRAIN_TIMEOUT = 60
