"""pypeman's channels: those of pichannels, by pypeman's names.

A channel is known where it is made (`all_channels`, `get_channel`), a name may be left
out, and `handle` leaves the message of the caller as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from aiohttp import web

from pichannels import channels
from pichannels.channels import cron, files, ftp, http, merge, mllp
from pichannels.channels.branches import Case, holds
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import ChannelPaused, PauseChannel, UsageError
from pichannels.lifecycle import Status
from pichannels.message import Message
from pichannels.pypeman import events
from pichannels.pypeman.exceptions import (
    ChannelStopped,
    Dropped,
    EndChanProcess,
    Rejected,
    RetryException,
)
from pichannels.pypeman.helpers.logging import CHANNEL_CTXVAR, MSG_CTXVAR
from pichannels.pypeman.registry import current
from pichannels.pypeman.retry import RetryFileMsgStore
from pichannels.store import MessageStoreFactory

__all__ = [
    "BaseChannel",
    "Case",
    "ChannelStopped",
    "ConditionSubChannel",
    "CronChannel",
    "Dropped",
    "EndChanProcess",
    "FTPWatcherChannel",
    "FileWatcherChannel",
    "HttpChannel",
    "MLLPChannel",
    "MergeChannel",
    "Rejected",
    "SubChannel",
    "get_channel",
    "reset_pypeman_channels",
]


class Known(channels.BaseChannel):
    """What pypeman's channels have in common; stands before the class of pichannels."""

    STARTING: ClassVar = Status.STARTING
    WAITING: ClassVar = Status.WAITING
    PROCESSING: ClassVar = Status.PROCESSING
    STOPPING: ClassVar = Status.STOPPING
    STOPPED: ClassVar = Status.STOPPED
    PAUSED: ClassVar = Status.PAUSED
    STATE_NAMES: ClassVar = [status.name for status in Status]

    def __init__(self, *args: Any, **options: Any) -> None:
        if not args and not options.get("name"):
            options["name"] = f"{type(self).__name__}_{len(_known())}"
        super().__init__(*args, **options)
        if self.parent is None:
            self.wait_subchans = bool(options.get("wait_subchans"))
            current().channels.append(self)

    @property
    def processed_msgs(self) -> int:
        """How many messages are settled, whatever became of them."""
        return self.processed + self.dropped + self.rejected + self.failed

    def to_dict(self) -> dict[str, Any]:
        """Names, state and count, for JSON."""
        return {
            "name": self.name,
            "short_name": self.short_name,
            "verbose_name": self.verbose_name,
            "status": self.status.name,
            "has_message_store": self.message_store is not None,
            "processed": self.processed_msgs,
        }

    @classmethod
    def status_id_to_str(cls, state_id: int) -> str:
        """The name of a status."""
        return Status(state_id).name

    @classmethod
    def status_str_to_id(cls, state: str) -> Status:
        """The status with this name."""
        return Status[state]

    def _sub_channel(
        self, name: str | None, kind: str, factory: MessageStoreFactory | None
    ) -> channels.BaseChannel:
        made = {"fork": SubChannel, "when": ConditionSubChannel}.get(kind, BaseChannel)
        return self._made(made, self._free_name(name or kind, name is None), factory)

    def make_sub_channel(
        self, name: str, factory: MessageStoreFactory | None
    ) -> channels.BaseChannel:
        return self._made(BaseChannel, name, factory)

    def _made(
        self, kind: type[Known], name: str, factory: MessageStoreFactory | None
    ) -> channels.BaseChannel:
        return kind(
            name,
            self,
            message_store_factory=factory,
            drain_timeout=self.drain_timeout,
        )

    async def handle(self, msg: Message) -> Message:
        """Process a copy of the message: the result, once it is settled.

        Raises:
            Exception: as `pichannels.channels.BaseChannel.handle` says.
        """
        own = msg.copy()
        try:
            return self._result(msg, await self.run(own))
        finally:
            msg.store_id, msg.store_chan_name = own.store_id, own.store_chan_name

    async def run(self, msg: Message) -> Outcome:
        """Process a message and say what became of it, once it is settled.

        One that pauses the channel is in the journal then, whatever store the channel
        has, and runs again by itself.

        Raises:
            Exception: as `pichannels.channels.BaseChannel.run` says.
        """
        kept = msg.copy()
        outcome = await super().run(msg)
        is_whole = self.branch is None and self._inlet is not None
        if not isinstance(outcome.error, PauseChannel) or not is_whole:
            return outcome
        if msg.store_id is not None and self.message_store is not None:
            # It is stored anew when it runs, perhaps with the same id.
            await self.message_store.delete(msg.store_id)
        await self._store_for_later(kept)
        raise ChannelPaused(self.name, is_stored=True)

    @property
    def retry_store(self) -> RetryFileMsgStore:
        """What waits for another try."""
        return RetryFileMsgStore(channel=self)

    async def store_until_retry(self, msg: Message) -> None:
        """Let the channel pause, and run a message when it goes on.

        Raises:
            CodecError: the message cannot be encoded.
            UsageError: the channel has no journal, or does not run.
        """
        if self._inlet is None:
            raise UsageError(f"channel {self.name!r} has no journal, or does not run")
        self._interrupted(RetryException("stored until it is retried"))
        await self._store_for_later(msg)

    async def attempt(
        self, msg: Message, delivery: Delivery, start: int = 0
    ) -> Outcome:
        await events.msg_processing_start.fire_safely(channel=self, msg=msg)
        with _in_logs(self, msg):
            outcome = await super().attempt(msg, delivery, start)
        await events.msg_processing_end.fire_safely(
            channel=self,
            msg=msg,
            result=None if outcome.error else outcome.message,
            exc=outcome.error,
        )
        return outcome

    def _change(self, status: Status) -> None:
        old = self.status
        super()._change(status)
        events.channel_change_state.tell(
            channel=self, old_state=old, new_state=self.status
        )

    def _reset_test(self) -> None:
        """Raise `Dropped` from now on, and let nodes remember what comes and goes."""
        for channel in _with_subchannels(self):
            channel.raise_dropped = True
        for node in self.nodes():
            node.reset_test()
            node.record()


class BaseChannel(Known):
    """A channel that gets its messages by `handle`."""


class SubChannel(BaseChannel):
    """A fork, as `fork` gives it."""


class ConditionSubChannel(BaseChannel):
    """What replaces the rest of a chain under a condition, as `when` gives it."""

    @property
    def condition(self) -> Any:
        """A value, or a function of the message."""
        return getattr(self.branch, "condition", True)

    def test_condition(self, msg: Message) -> bool:
        """Whether the message takes this way."""
        return holds(self.condition, msg)


class HttpChannel(Known, http.HttpChannel):
    """A channel that answers HTTP requests; the payload is text.

    Args:
        args, options: those of `pichannels.channels.http.HttpChannel`.
        encoding: of bodies and answers.
        response_content_type: of answers, in place of the one of the result.
    """

    def __init__(
        self,
        *args: Any,
        encoding: str | None = None,
        response_content_type: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, encoding=encoding or "utf-8", **options)
        self.response_content_type = response_content_type

    def answer(self, outcome: Outcome, msg: Message) -> web.Response:
        """What is answered when `msg` is settled.

        Raises:
            Exception: as `pichannels.channels.http.HttpChannel.answer` says.
        """
        if self.response_content_type and outcome.error is None:
            outcome.message.content_type = self.response_content_type
        return super().answer(outcome, msg)


class CronChannel(Known, cron.CronChannel):
    """A channel that runs at times."""


class FileWatcherChannel(Known, files.FileWatcherChannel):
    """A channel that reads files that come into a folder, or change in it."""

    def __init__(self, *args: Any, existing: bool = False, **options: Any) -> None:
        super().__init__(*args, existing=existing, **options)


class FTPWatcherChannel(Known, ftp.FTPWatcherChannel):
    """A channel that reads the files of a server."""


class MLLPChannel(Known, mllp.MLLPChannel):
    """A channel that receives HL7 messages."""


class MergeChannel(Known, merge.MergeChannel):
    """One chain for what comes from several channels."""

    def __init__(self, *args: Any, chans: Any, **options: Any) -> None:
        super().__init__(*args, chans=chans, **options)
        known = current().channels
        known[:] = [each for each in known if each not in list(chans)]


@contextmanager
def _in_logs(channel: Known, msg: Message) -> Iterator[None]:
    """Let the filter of logs know what is processed."""
    tokens = MSG_CTXVAR.set(msg), CHANNEL_CTXVAR.set(channel)
    try:
        yield
    finally:
        MSG_CTXVAR.reset(tokens[0])
        CHANNEL_CTXVAR.reset(tokens[1])


def _known() -> list[channels.BaseChannel]:
    """All channels of this project, each followed by its sub-channels."""
    return [
        each for channel in current().channels for each in _with_subchannels(channel)
    ]


def _with_subchannels(
    channel: channels.BaseChannel,
) -> Iterator[channels.BaseChannel]:
    yield channel
    for below in channel.subchannels():
        yield from _with_subchannels(below)


def get_channel(name: str) -> channels.BaseChannel | None:
    """The first channel with this name, short or whole; None without."""
    found = (c for c in _known() if name in (c.name, c.short_name))
    return next(found, None)


def reset_pypeman_channels() -> None:
    """Know no channels any more."""
    current().channels.clear()


def __getattr__(name: str) -> Any:
    """`all_channels`, which are those of the present project."""
    if name == "all_channels":
        return _known()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
