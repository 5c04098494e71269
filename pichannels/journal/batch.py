"""What the event loop hands to the writer, and what it gets back."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from pichannels.errors import JournalError

__all__ = ["Batch", "Report", "Settlement", "Ticket"]


class Ticket:
    """The receipt for an appended message.

    Attributes:
        seq: the number of the message, rising over all channels and restarts.
        size: bytes that it takes.
        is_done: whether it is on disk, or never will be because of `error`.
        error: why it could not be written, or None.
    """

    __slots__ = ("_future", "_futures", "channel_id", "error", "is_done", "seq", "size")

    def __init__(self, seq: int, channel_id: int, size: int) -> None:
        self.seq = seq
        self.channel_id = channel_id
        self.size = size
        self.is_done = False
        self.error: JournalError | None = None
        self._future: asyncio.Future[None] | None = None
        self._futures: list[asyncio.Future[None]] | None = None

    @property
    def durable(self) -> asyncio.Future[None]:
        """Done when the message is on disk, or with a JournalError.

        Made when it is first asked for, in the event loop.
        """
        if self._future is None:
            self._future = self.written()
        return self._future

    def written(self) -> asyncio.Future[None]:
        """The same as `durable`, for one who waits alone and may give up."""
        future = asyncio.get_running_loop().create_future()
        if self.is_done:
            conclude(future, self.error)
        elif self._futures is None:
            self._futures = [future]
        else:
            self._futures.append(future)
        return future

    def conclude(self, error: JournalError | None) -> None:
        """Tell those who wait how it ended."""
        self.is_done = True
        self.error = error
        for future in self._futures or ():
            conclude(future, error)


def conclude(future: asyncio.Future[None], error: JournalError | None) -> None:
    """Set the result unless the waiting one has given up."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        # Not everybody waits for every write; that is no error of its own.
        future.exception()


class Settlement(NamedTuple):
    """The new state of a message, encoded; without a code it keeps its state."""

    code: int | None
    meta: bytes | None = None
    attempts: int | None = None


class Batch:
    """Everything that was handed over in one step of the loop.

    `wants_tags` asks for the tag index to be complete in the file. The
    `rows` and `bodies` are flat lists of column values, ready for one INSERT.
    What is in `noted` is saved with the messages or, like them, not at all.
    """

    __slots__ = (
        "barriers",
        "bodies",
        "bytes",
        "channels",
        "deleted",
        "manifests",
        "noted",
        "rows",
        "saved",
        "savers",
        "settled",
        "tickets",
        "wants_tags",
    )

    def __init__(self) -> None:
        self.bytes = 0
        self.channels: list[tuple[int, str]] = []
        self.tickets: list[Ticket] = []
        self.rows: list[Any] = []
        self.bodies: list[Any] = []
        self.manifests: list[tuple[int, int, bytes]] = []
        self.settled: dict[int, Settlement] = {}
        self.deleted: list[int] = []
        self.saved: dict[tuple[str, str], bytes | None] = {}
        self.noted: dict[tuple[str, str], bytes] = {}
        self.savers: list[asyncio.Future[None]] = []
        self.barriers: list[asyncio.Future[None]] = []
        self.wants_tags = False

    @property
    def count(self) -> int:
        """How many things it holds, as the bound of the buffer counts them."""
        kept = len(self.saved) + len(self.noted)
        return len(self.tickets) + len(self.settled) + kept + len(self.deleted)

    def settle(self, seq: int, settlement: Settlement) -> None:
        """Take up a settlement; facts stay when a later one brings none."""
        before = self.settled.get(seq)
        if before is not None:
            settlement = Settlement(
                before.code if settlement.code is None else settlement.code,
                before.meta if settlement.meta is None else settlement.meta,
                before.attempts if settlement.attempts is None else settlement.attempts,
            )
        self.settled[seq] = settlement

    def merge(self, other: Batch) -> None:
        """Take up what was handed over after this."""
        self.bytes += other.bytes
        self.tickets += other.tickets
        self.rows += other.rows
        self.bodies += other.bodies
        self.manifests += other.manifests
        self.wants_tags |= other.wants_tags
        self.merge_lasting(other)
        self.noted.update(other.noted)

    def merge_lasting(self, other: Batch) -> None:
        """Take up what must not be lost when a commit fails.

        That is all but the messages, whose senders are told.
        """
        self.channels += other.channels
        for seq, settlement in other.settled.items():
            self.settle(seq, settlement)
        self.deleted += other.deleted
        for key in other.saved:
            self.noted.pop(key, None)
        self.saved.update(other.saved)
        self.savers += other.savers


class Report(NamedTuple):
    """How the writer fared with some batches.

    Attributes:
        tried: the batches; empty for housekeeping.
        written: what was committed: the batches, and what waited since earlier
            commits failed. None when nothing was.
        error: why nothing was written.
        settled: how many fewer messages of a channel id are unsettled now.
        used: bytes of all stored messages.
        file_bytes: of the file, as of the last housekeeping.
        seconds: how long the commit took.
        is_failing: something waits for another try.
    """

    tried: list[Batch]
    written: Batch | None
    error: JournalError | None
    settled: dict[int, int]
    used: int
    file_bytes: int
    seconds: float
    is_failing: bool
