"""What goes wrong with remote streams and calls, by what the caller does about it.

::

    PichannelsError
     |- RemoteError                 has `name`, `reason` and `facts`
         |- RefusedError            an open (or a call) was refused; nothing is open
         |   |- StreamNotFound      nothing is published under this name
         |   |- AccessDenied        the token does not allow it
         |   |- ModeRefused         the stream is not published for that
         |   |- StreamBusy          all writers or readers it allows are there
         |   |- LimitReached        the server gives this link or client no more
         |   |- AlreadyOpened       a one-shot stream was opened before
         |- ContextError            reading or writing from here ended; seek and go on
         |   |- StreamPositionError there is no such position
         |   |- PositionLost        what comes next is not there any more
         |   |- SourceFailed        the source or the sink behind it raised
         |   |- ItemTooLarge        one item is larger than a frame may be
         |   |- UnsupportedOperation  this stream cannot do that; also a `UsageError`
         |- StreamFailed            final: the stream is of no more use
         |   |- StreamProtocolError the other side broke the protocol
         |   |- StreamWithdrawn     the name was withdrawn, or the hub shut down
         |   |- StreamLost          the link is gone; also a `TryAgain`
         |- StreamClosed            closed here; also a `Stopped`
         |- CallFailed              the remote method raised
             |- StreamInUse             another task reads it just now; a `UsageError`

Each has a code of its own under which it travels, with its facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from pichannels.errors import PichannelsError, Stopped, TryAgain, UsageError

__all__ = [
    "AccessDenied",
    "AlreadyOpened",
    "CallFailed",
    "ContextError",
    "ItemTooLarge",
    "LimitReached",
    "ModeRefused",
    "PositionLost",
    "Problem",
    "RefusedError",
    "RemoteError",
    "SourceFailed",
    "StreamBusy",
    "StreamClosed",
    "StreamFailed",
    "StreamInUse",
    "StreamLost",
    "StreamNotFound",
    "StreamPositionError",
    "StreamProtocolError",
    "StreamWithdrawn",
    "UnsupportedOperation",
    "error_from",
    "problem_of",
]

Fact = int | str | None

_LONGEST_REASON: Final = 500


class Problem(msgspec.Struct, array_like=True, frozen=True):
    """An error on its way: its code, why, and its facts."""

    code: str
    reason: str
    facts: dict[str, Fact] = {}


class RemoteError(PichannelsError):
    """Something went wrong with a remote stream or call.

    Attributes:
        name: of the stream or the service.
        reason: why, for people.
        facts: what else is known, such as positions.
    """

    code: ClassVar[str] = "remote"

    def __init__(self, name: str, reason: str, /, **facts: Fact) -> None:
        self.name = name
        self.reason = reason
        self.facts = facts
        super().__init__(f"{name!r}: {reason}" if name else reason)

    def _number(self, fact: str) -> int | None:
        found = self.facts.get(fact)
        return found if isinstance(found, int) else None


class RefusedError(RemoteError):
    """An open or a call was refused; nothing is open."""

    code = "refused"


class StreamNotFound(RefusedError, LookupError):
    """Nothing is published under this name."""

    code = "not_found"


class AccessDenied(RefusedError):
    """The token does not allow this action; `facts["action"]` is which."""

    code = "denied"


class ModeRefused(RefusedError):
    """The stream is not published for that; `facts["missing"]` is what it has not."""

    code = "mode"


class StreamBusy(RefusedError, TryAgain):
    """All the writers (or readers) that the stream allows are there."""

    code = "busy"


class LimitReached(RefusedError, TryAgain):
    """The server gives this link or client no more; `facts["limit"]` is how many."""

    code = "limit"


class AlreadyOpened(RefusedError):
    """A one-shot stream can be opened once, and was."""

    code = "opened"


class ContextError(RemoteError):
    """Reading or writing from this place is over; seek, and go on."""

    code = "context"


class StreamPositionError(ContextError):
    """There is no such position."""

    code = "position"


class PositionLost(ContextError):
    """What comes next is not there any more: it was pruned, cut off or overtaken."""

    code = "position_lost"

    @property
    def first_available(self) -> int | None:
        """The first position that there is."""
        return self._number("first")


class SourceFailed(ContextError):
    """What the stream reads from or writes to has failed."""

    code = "source"


class ItemTooLarge(ContextError):
    """One item is larger than a frame may be."""

    code = "too_large"

    @property
    def size(self) -> int | None:
        """How many bytes it has."""
        return self._number("size")


class UnsupportedOperation(ContextError, UsageError):
    """This stream was not opened for that, or cannot do it."""

    code = "unsupported"


class StreamFailed(RemoteError):
    """The stream is of no more use."""

    code = "failed"


class StreamProtocolError(StreamFailed):
    """The other side broke the protocol."""

    code = "protocol"


class StreamWithdrawn(StreamFailed):
    """The name was withdrawn, or the hub is shutting down."""

    code = "withdrawn"


class StreamLost(StreamFailed, TryAgain):
    """The link is gone."""

    code = "lost"

    @property
    def position(self) -> int | None:
        """Behind the last item that was received here."""
        return self._number("position")

    @property
    def stored(self) -> int | None:
        """Of a writer: up to where the other side has said that it has stored."""
        return self._number("stored")


class StreamClosed(RemoteError, Stopped):
    """It was closed here."""

    code = "closed"


class CallFailed(RemoteError):
    """The remote method raised; `facts["type"]` is what."""

    code = "call"


class StreamInUse(RemoteError, UsageError):
    """Another task uses this stream in the same way just now."""

    code = "in_use"


# Most general last: an unknown code of a newer peer is told as what it was sent for.
_BY_CODE: Final[Mapping[str, type[RemoteError]]] = {
    kind.code: kind
    for kind in (
        StreamNotFound,
        AccessDenied,
        ModeRefused,
        StreamBusy,
        LimitReached,
        AlreadyOpened,
        RefusedError,
        StreamPositionError,
        PositionLost,
        SourceFailed,
        ItemTooLarge,
        UnsupportedOperation,
        ContextError,
        StreamProtocolError,
        StreamWithdrawn,
        StreamFailed,
        CallFailed,
    )
}


def problem_of(error: RemoteError) -> Problem:
    """An error as it travels."""
    return Problem(error.code, error.reason[:_LONGEST_REASON], dict(error.facts))


def error_from(problem: Problem, name: str, kind: type[RemoteError]) -> RemoteError:
    """The error that a problem describes.

    Args:
        problem: what came.
        name: of the stream or service.
        kind: what it is where its code is unknown here, or does not belong there.
    """
    found = _BY_CODE.get(problem.code, kind)
    known: Any = found if issubclass(found, kind) else kind
    error: RemoteError = known(name, problem.reason, **problem.facts)
    return error
