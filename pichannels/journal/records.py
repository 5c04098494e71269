"""What the journal gives back, as plain values."""

from __future__ import annotations

from typing import Any

import msgspec

from pichannels import codecs
from pichannels.manifest import ManifestEntry, decode_manifest
from pichannels.message import Message
from pichannels.metrics import Spread
from pichannels.states import Entry, State

__all__ = ["JournalStatistics", "Record"]


class Record(msgspec.Struct, frozen=True, gc=False):
    """A stored message, still encoded.

    Attributes:
        seq: its number in the journal.
        channel, lane: where it was accepted.
        state: what became of it.
        ticks, uuid: of the message.
        attempts: how often it was tried, as the last settlement said.
        data: what `Message.encode` wrote.
        manifest: what `encode_manifest` wrote, or None.
        outcome: the encoded facts of the last settlement that had any.
    """

    seq: int
    channel: str
    lane: str
    state: State
    ticks: int
    uuid: str
    attempts: int
    data: bytes
    manifest: bytes | None = None
    outcome: bytes | None = None

    @property
    def position(self) -> tuple[int, int]:
        """Where it stands in the order of time; see `Journal.search`."""
        return self.ticks, self.seq

    @property
    def meta(self) -> dict[str, Any]:
        """Facts about the outcome: err_msg, node, attempts and the like.

        Raises:
            CodecError: they cannot be read.
        """
        return {} if self.outcome is None else dict(codecs.decode(self.outcome))

    def tags(self) -> list[ManifestEntry]:
        """The entries of the manifest; none when there is no manifest.

        Raises:
            CodecError: the manifest cannot be read.
        """
        return [] if self.manifest is None else decode_manifest(self.manifest)

    def message(self) -> Message:
        """The message, with `store_id` and `store_chan_name` set.

        Raises:
            CodecError: it cannot be read, or has a type that is unknown here.
        """
        msg = Message.decode(self.data, self.uuid, self.ticks)
        msg.store_id = str(self.seq)
        msg.store_chan_name = self.channel
        return msg

    def entry(self) -> Entry:
        """The record as a message store gives it.

        Raises:
            CodecError: see `message` and `meta`.
        """
        return {
            "id": str(self.seq),
            "state": str(self.state),
            "message": self.message(),
            "meta": self.meta,
        }


class JournalStatistics(msgspec.Struct, frozen=True):
    """The journal at one moment; times in seconds.

    Attributes:
        buffered_rows, buffered_bytes: handed over and not committed yet.
        waiting: callers that wait for room.
        commits, rows: since it was opened.
        failures: commits that failed.
        last_commit, worst_commit: how long commits took.
        commit_lag: how long the oldest thing handed over has waited.
        unsettled: messages of each channel that are not settled.
        used_bytes, budget_bytes: of all stored messages, and their bound.
        file_bytes: of the journal file, as far as known.
        is_full: no more is taken now.
        last_error: why the last commit failed; "" when it did not.
        commit_seconds: how the times that commits took are spread.
    """

    buffered_rows: int
    buffered_bytes: int
    waiting: int
    commits: int
    rows: int
    failures: int
    last_commit: float
    worst_commit: float
    commit_lag: float
    unsettled: dict[str, int]
    used_bytes: int
    budget_bytes: int
    file_bytes: int
    is_full: bool
    last_error: str
    commit_seconds: Spread = Spread()
