"""The trace that a message belongs to, in the words of W3C Trace Context.

A message carries its trace in its meta, as `traceparent` and `tracestate`: so it goes
with copies into forks, into the journal and out of it. Who sends something on behalf
of a message asks `outgoing`. What makes spans of it all is a `Tracer`, which an
instance has only where its settings say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

__all__ = [
    "NAMES",
    "Attempt",
    "Identity",
    "Span",
    "Tracer",
    "identity_of",
    "incoming",
    "outgoing",
    "parsed",
    "within",
]

NAMES: Final = ("traceparent", "tracestate")
"""What headers, and the meta of a message, call it."""

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_LONGEST_STATE: Final = 512
_NOTHING: Final[Mapping[str, str]] = {}

_current: ContextVar[Mapping[str, str]] = ContextVar("trace", default=_NOTHING)


class Identity(NamedTuple):
    """Which span of which trace.

    Attributes:
        trace: 32 hexadecimal digits.
        span: 16 hexadecimal digits.
        is_sampled: whether the trace is recorded.
        state: what systems on the way have noted, for others of their kind.
    """

    trace: str
    span: str
    is_sampled: bool = True
    state: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What a request or a record says of it."""
        flags = "01" if self.is_sampled else "00"
        found = {"traceparent": f"00-{self.trace}-{self.span}-{flags}"}
        return found | {"tracestate": self.state} if self.state else found


class Span(Protocol):
    """A stretch of work for one message."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What names this span to others."""

    def enter(self) -> Any:
        """Let what is done now belong to it, up to `leave` with what this gives."""

    def leave(self, entered: Any) -> None:
        """What is done from now on belongs to it no more."""

    def end(self, error: BaseException | None = None) -> None:
        """It is over, perhaps because of this error."""


class Tracer(Protocol):
    """Makes spans; each is ended by who began it."""

    def message(
        self, channel: str, meta: Mapping[str, Any], uuid: str, attempt: Attempt
    ) -> Span:
        """A message goes through the chain of a channel.

        It belongs to the trace that its meta names. Without one it begins the trace
        that its uuid stands for, so that each attempt and each later run is of it.
        """

    def node(self, path: str, kind: str, is_sink: bool) -> Span:
        """A node works, within the span that was entered last."""

    async def close(self) -> None:
        """Send what waits."""


class Attempt(NamedTuple):
    """Which attempt at a message this is.

    Attributes:
        number: 1 for the first since the message was taken up.
        is_again: whether there was one before, perhaps in another run.
        before: the headers of the span of the one before, where they are known.
    """

    number: int = 1
    is_again: bool = False
    before: Mapping[str, str] | None = None


def identity_of(uuid: str) -> Identity:
    """The first span of the trace that a message without one begins.

    Both are made of its uuid by a hash, because samplers look at some of the digits
    and rely on chance there.
    """
    digest = blake2b(uuid.encode(), digest_size=24).hexdigest()
    return Identity(digest[:32], digest[32:])


def parsed(headers: Mapping[str, Any]) -> Identity | None:
    """What `traceparent` and `tracestate` say; None where that is nothing usable."""
    text = headers.get("traceparent")
    found = _FORM.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    version, trace, span, flags = found.groups()
    # Later versions may have more behind it, the present one has not.
    rest = text[found.end() :] if isinstance(text, str) else ""
    is_whole = not rest if version == "00" else rest[:1] in ("", "-")
    if version == "ff" or not is_whole or not int(trace, 16) or not int(span, 16):
        return None
    state = headers.get("tracestate")
    if not isinstance(state, str) or len(state) > _LONGEST_STATE:
        state = ""
    return Identity(trace, span, bool(int(flags, 16) & 1), state)


def incoming(headers: Mapping[str, Any]) -> dict[str, str]:
    """What a message keeps of the trace that headers name; nothing without one."""
    found = parsed(headers)
    return found.headers if found is not None else {}


def outgoing() -> Mapping[str, str]:
    """The headers that what is sent now belongs under; empty without a trace."""
    return _current.get()


@contextmanager
def within(headers: Mapping[str, str]) -> Iterator[None]:
    """Let `outgoing` say this meanwhile."""
    token = _current.set(headers)
    try:
        yield
    finally:
        _current.reset(token)
