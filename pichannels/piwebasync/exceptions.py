"""What goes wrong with a PI Web API server, under one root.

::

    PIWebAsyncException
     |- APIException              a request that cannot be sent as it is
     |   |- SerializationError    a parameter that has no form in a URL
     |   |- NotARequest           something else than a request (also a TypeError)
     |- AuthFailed                the login cannot be made, or the server not trusted
     |- HTTPClientError           no answer: not reached, cut off, too slow
     |   |- HTTPStatusError       an answer that says no
     |- WebsocketClientError
         |- ChannelRefused        the server declined the handshake
         |- ChannelOpenTimeout    no handshake within the time allowed
         |- ChannelInUse          two receivers on one channel
         |- StreamStateError      a stream that runs already, or does not run
         |- ChannelClosed
         |   |- ChannelClosedOK     closed by us, or by PI in good order
         |   |- ChannelClosedError  lost; the cause tells why
         |   |- ChannelNotOpen      not opened yet
         |- ChannelUpdateError    the new request failed; the channel is closed
         |- ChannelRollback       the new request failed; the old one goes on
         |- WatchdogTimeout       no connection for too long
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, TypeAlias

from pichannels.errors import PichannelsError, UsageError

__all__ = [
    "APIException",
    "AuthFailed",
    "ChannelClosed",
    "ChannelClosedError",
    "ChannelClosedOK",
    "ChannelInUse",
    "ChannelNotOpen",
    "ChannelOpenTimeout",
    "ChannelRefused",
    "ChannelRollback",
    "ChannelUpdateError",
    "HTTPClientError",
    "HTTPStatusError",
    "NotARequest",
    "PIWebAsyncException",
    "SerializationError",
    "StreamStateError",
    "WatchdogTimeout",
    "WebsocketClientError",
    "shown",
]


_URL_SHOWN: Final = 160
_LOGIN: Final = re.compile(r"^([a-zA-Z][\w+.-]*://)[^/?#]*@")


def shown(url: str) -> str:
    """The URL as sentences show it: without a login, and cut where it fills pages."""
    url = _LOGIN.sub(r"\1...@", url)
    if len(url) <= _URL_SHOWN + 40:
        return url
    return f"{url[:_URL_SHOWN]}... ({len(url)} characters)"


class PIWebAsyncException(PichannelsError):
    """The root of all errors of the PI Web API client.

    They can be pickled, without their causes.
    """

    def __reduce__(self) -> _Reduced:
        # What Python does by itself calls the class with the sentence alone.
        return _restored, (type(self), self.args, dict(vars(self)))


_Reduced: TypeAlias = tuple[Callable[..., PIWebAsyncException], tuple[Any, ...]]


def _restored(
    kind: type[PIWebAsyncException], args: tuple[Any, ...], facts: Mapping[str, Any]
) -> PIWebAsyncException:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(facts)
    return error


class APIException(PIWebAsyncException, ValueError):
    """The request cannot be made or sent as it is."""


class SerializationError(APIException):
    """A parameter that has no form in a URL."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name = name
        self.value = value
        self.allowed = allowed
        super().__init__(f"{name} cannot be {value!r}; allowed: {allowed}")


class NotARequest(APIException, TypeError):
    """What was given is no request; controllers make them."""

    def __init__(self, found: object) -> None:
        if isinstance(found, str):
            found = shown(found)
        super().__init__(
            f"{found!r} is no request; a Controller makes them, and any object with"
            " method, protocol and absolute_url (texts) will do"
        )


class AuthFailed(PIWebAsyncException):
    """The login cannot be made, or the server has not proved who it is."""


class HTTPClientError(PIWebAsyncException):
    """There is no answer: the server was not reached, or the connection broke."""

    def __init__(self, method: str, url: str, reason: str) -> None:
        self.method = method
        self.url = url
        self.reason = reason
        super().__init__(f"{method} {shown(url)} got no answer: {reason}")


class HTTPStatusError(HTTPClientError):
    """The server's answer says no: its status and what it gives as reasons.

    `offered` tells how the server wants us to log in.
    """

    def __init__(
        self,
        method: str,
        url: str,
        status_code: int,
        reason: str,
        errors: Sequence[str],
        offered: str = "",
    ) -> None:
        super().__init__(method, url, reason)
        self.status_code = status_code
        self.errors = list(errors)
        said = f": {'; '.join(self.errors)}" if self.errors else ""
        hint = f"; {offered}" if offered else ""
        self.args = (f"{status_code} {reason} from {method} {shown(url)}{said}{hint}",)


class WebsocketClientError(PIWebAsyncException):
    """Something is wrong with a PI channel."""

    retry_after: float | None = None
    """Seconds after which the server wants to be asked again, where it says so."""


class ChannelRefused(WebsocketClientError):
    """The server answered the handshake with something else than a channel.

    `offered` tells how the server wants us to log in.
    """

    def __init__(
        self,
        url: str,
        status_code: int,
        reason: str,
        body: str,
        offered: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.url = url
        self.retry_after = retry_after
        self.status_code = status_code
        self.reason = reason
        self.body = body
        said = f": {body[:300]}" if body else ""
        hint = f"; {offered}" if offered else ""
        super().__init__(
            f"{shown(url)} refused the channel, {status_code} {reason}{said}{hint}"
        )


class ChannelOpenTimeout(WebsocketClientError, TimeoutError):
    """The channel did not open within `seconds`."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url
        self.seconds = seconds
        super().__init__(f"{shown(url)} did not open within {seconds:g} s")


class ChannelInUse(WebsocketClientError, UsageError, RuntimeError):
    """A second receiver on a channel; use one task and a queue behind it."""

    def __init__(self) -> None:
        super().__init__("another task is receiving from this channel; use one only")


class StreamStateError(WebsocketClientError, UsageError, RuntimeError):
    """The stream is running already, or is not running."""


class ChannelClosed(WebsocketClientError):
    """The channel is closed; nothing more comes from it."""

    def __init__(self, url: str, reason: str, code: int | None = None) -> None:
        self.url = url
        self.reason = reason
        self.code = code
        coded = f" (close code {code})" if code is not None else ""
        super().__init__(f"{shown(url)} is closed: {reason}{coded}")

    @classmethod
    def because(cls, url: str, cause: Exception) -> Self:
        """Closed by the error that is its cause."""
        end = cls(url, str(cause))
        end.__cause__ = cause
        return end


class ChannelClosedOK(ChannelClosed):
    """Closed by our own `close`, or by the server in good order."""


class ChannelClosedError(ChannelClosed):
    """The connection was lost and is not opened again; the cause tells why."""


class ChannelNotOpen(ChannelClosed, UsageError):
    """The channel was not opened yet."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "it is not open yet; use `async with` or open()")


class ChannelUpdateError(WebsocketClientError):
    """The new request could not be opened; the channel is closed."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"the channel could not change to {shown(url)}: {reason}")


class ChannelRollback(WebsocketClientError):
    """The new request could not be opened; the channel goes on with the old one."""

    def __init__(self, url: str, kept: str, reason: str) -> None:
        self.url = url
        self.kept = kept
        self.reason = reason
        super().__init__(
            f"the channel stays at {shown(kept)}, as {shown(url)} failed: {reason}"
        )


class WatchdogTimeout(WebsocketClientError):
    """There was no connection for longer than `dead_channel_timeout`."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url
        self.seconds = seconds
        super().__init__(f"{shown(url)} had no connection for {seconds:g} s")
