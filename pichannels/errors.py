"""Every exception of pichannels, grouped by what the caller does about it.

::

    PichannelsError
     |- TryAgain                  the same call may succeed later
     |   |- RetryLater            raised by a node: run this message again later
     |   |   |- PauseChannel      the same, and no other message before it
     |   |- NotConnected          the other side is not reachable just now
     |   |- Backpressure          no room now; give less or wait
     |   |- StoreHeld             another process writes this message store
     |- Stopped                   go no further
     |   |- ChannelStopped        the channel takes no messages
     |   |- ChannelPaused         it processes none just now
     |   |- EndOfChain            raised by a node: skip the rest of the chain
     |- MessageError              costs this one message (or sample)
     |   |- Dropped               raised by a node: ignored on purpose
     |   |- Rejected              raised by a node: invalid, told to the sender
     |   |- DecodeError           the bytes are not what the content type says
     |   |- CodecError            this value cannot be written or read back
     |   |- SampleErrors          some samples of a batch, each with its cause
     |   |- MessageNotFound       the store holds no such message
     |- SettingsError             the user's settings have to be changed
     |- UsageError                the calling code has to be changed
     |   |- NodeResultError       a node returned something that is no message
     |   |- NoSuchName            nothing is called so
     |- JournalError              the instance's journal cannot go on
     |   |- JournalLocked         another instance uses it
     |- LeaseHeld                 an instance on another host takes the values

The PI Web API client adds its own branch, `pichannels.piwebasync.exceptions`.
Each class holds its facts as attributes and builds its sentence from them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = [
    "Backpressure",
    "ChannelPaused",
    "ChannelStopped",
    "CodecError",
    "DecodeError",
    "Dropped",
    "EndOfChain",
    "JournalError",
    "JournalLocked",
    "LeaseHeld",
    "MessageError",
    "MessageNotFound",
    "NoSuchName",
    "NodeResultError",
    "NotConnected",
    "PauseChannel",
    "PichannelsError",
    "Rejected",
    "RetryLater",
    "SampleErrors",
    "SettingsError",
    "Stopped",
    "StoreHeld",
    "TryAgain",
    "UsageError",
    "harmless",
    "nearest",
    "printable",
]


_CONTROLS: Final = {
    code: f"\\x{code:02x}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in "\t\n"
}


def printable(text: str) -> str:
    """The text without what UTF-8 cannot carry: what came may be quoted in errors."""
    return text.encode("utf-8", "backslashreplace").decode()


def harmless(text: str) -> str:
    """The text without what would command a terminal: what came may be anybody's.

    Such characters are shown by their number (`\\x1b`); lines and tabs stay.
    """
    return text.translate(_CONTROLS)


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that offers the known name most like `name`, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


class PichannelsError(Exception):
    """The root of all errors that pichannels raises on purpose."""


class TryAgain(PichannelsError):
    """The same call may succeed later."""


class RetryLater(TryAgain):
    """Raised by a node: run this message again at this node after `delay` s.

    Without a delay the retry policy of the node, or else of the channel, tells
    how long to wait.
    """

    def __init__(self, reason: str = "", delay: float | None = None) -> None:
        self.reason = reason
        self.delay = delay
        when = "later" if delay is None else f"in {delay:g} s"
        super().__init__(f"try again {when}" + (f": {reason}" if reason else ""))


class PauseChannel(RetryLater):
    """Raised by a node: pause the channel until this message has gone through.

    An accepted message, and one whose store shares the journal, runs again after
    `delay` s, and no other before it. For any other the channel pauses that long,
    and its sender may send it again.
    """


class NotConnected(TryAgain):
    """The other side cannot be reached just now."""

    def __init__(self, target: str, reason: str = "") -> None:
        self.target = target
        self.reason = reason
        super().__init__(
            f"{target} is not connected" + (f": {reason}" if reason else "")
        )


class Backpressure(TryAgain):
    """There was no room within the time allowed."""

    def __init__(self, what: str, waited: float) -> None:
        self.what = what
        self.waited = waited
        super().__init__(f"{what} had no room for {waited:g} s")


class StoreHeld(TryAgain):
    """Another process writes this message store; here it can only be read."""

    def __init__(self, store: str, owner: str) -> None:
        self.store = store
        self.owner = owner
        super().__init__(
            f"store {store!r} is written by {owner}; search it and replay from it, but"
            " stop that process, or give this channel another store, to write"
        )


class Stopped(PichannelsError):
    """Go no further."""


class ChannelStopped(Stopped):
    """The channel is stopping or stopped and takes no messages."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        super().__init__(f"channel {channel!r} is stopped; start it to send messages")


class ChannelPaused(Stopped):
    """The channel is paused, so there is no result yet.

    Attributes:
        is_stored: whether the message is durable and runs when the channel goes on;
            otherwise it was not taken.
    """

    def __init__(self, channel: str, is_stored: bool) -> None:
        self.channel = channel
        self.is_stored = is_stored
        told = "the message runs when it goes on" if is_stored else "resume it first"
        super().__init__(f"channel {channel!r} is paused; {told}")


class EndOfChain(Stopped):
    """Raised by a node: skip the rest of the chain.

    The result of the channel is the message as it was before this node.
    """


class MessageError(PichannelsError):
    """This one message cannot be processed; the channel goes on."""


class Dropped(MessageError):
    """Raised by a node: the message is ignored on purpose."""


class Rejected(MessageError):
    """Raised by a node: the message is invalid and its sender is told so."""


class DecodeError(MessageError):
    """The bytes are not what the content type says."""

    def __init__(self, what: str, reason: str, excerpt: bytes | str = b"") -> None:
        self.what = what
        self.reason = reason
        self.excerpt = excerpt[:80]
        shown = f" (begins {self.excerpt!r})" if self.excerpt else ""
        super().__init__(f"not {what}: {reason}{shown}")


class CodecError(MessageError):
    """A value cannot be encoded, or encoded data cannot be read back."""


class SampleErrors(MessageError):
    """Some samples of a batch failed: index in the payload (or what names it) -> cause.

    Only those samples are set aside. The others go on: `message` where the node made
    one of them, else the payload without those at the failed indexes.

    `failed` is a message with the samples that failed, in the order of the causes.
    It is needed where the causes name no indexes, and where an acknowledgement fails
    for some samples: the others are settled then.
    """

    def __init__(
        self,
        causes: Mapping[int, BaseException | str] | Mapping[str, BaseException | str],
        message: Any = None,
        failed: Any = None,
    ) -> None:
        self.causes: dict[Any, BaseException | str] = dict(causes)
        self.message = message
        self.failed = failed
        first = next(iter(self.causes.items()), None)
        shown = f"; the first at {first[0]}: {first[1]}" if first else ""
        noun = "sample" if len(self.causes) == 1 else "samples"
        super().__init__(f"{len(self.causes)} {noun} failed{shown}")


class MessageNotFound(MessageError, LookupError):
    """The store holds no message with this id."""

    def __init__(self, store: str, id: str, said: str = "") -> None:
        self.store = store
        self.id = id
        super().__init__(said or f"store {store!r} holds no message {id!r}")


class SettingsError(PichannelsError):
    """The user's settings have to be changed: file, key, found, allowed."""

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        key: str | None = None,
        found: Any = None,
        allowed: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = file
        self.key = key
        self.found = found
        self.allowed = allowed
        where = ": ".join(part for part in (file, key) if part)
        text = f"{where}: {problem}" if where else problem
        if found is not None:
            text += f" (found {found!r})"
        if allowed:
            text += f"; allowed: {allowed}"
        super().__init__(text)


class UsageError(PichannelsError):
    """The calling code has to be changed."""


class NodeResultError(UsageError):
    """A node returned something that is neither a message nor messages."""

    def __init__(self, node: str, result: object) -> None:
        self.node = node
        self.result_type = type(result).__name__
        hint = (
            "; end process() with `return msg`, or raise Dropped to end here"
            if result is None
            else ""
        )
        super().__init__(
            f"node {node!r} returned {self.result_type}, not a message{hint}"
        )


class NoSuchName(UsageError):
    """Nothing is called so: no channel, node or job."""


class JournalError(PichannelsError):
    """The journal of this instance cannot go on."""


class JournalLocked(JournalError):
    """Another instance uses this journal."""

    def __init__(self, path: str, owner: str = "") -> None:
        self.path = path
        self.owner = owner
        by = f" by {owner}" if owner else ""
        super().__init__(
            f"{path} is in use{by}; stop the other instance, or give this one"
            " its own DATA_DIR"
        )


class LeaseHeld(PichannelsError):
    """An instance on another host has the lease, so this one takes no values."""

    def __init__(self, name: str, owner: str) -> None:
        self.name = name
        self.owner = owner
        super().__init__(
            f"the lease {name!r} is held by {owner}; stop that instance, stand by with"
            " `pichannels start --wait`, or give this project another name in LEASE"
        )
