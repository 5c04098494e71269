"""What a login is: it gives headers, and answers what the server says to them.

A login does not send anything itself. Whoever sends a request, or the handshake of a
channel, drives its `flow` with `logged_in`: it tells the flow each answer, and tries
again with what the flow gives, until that ends. So both log in in one way.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Final, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec

from pichannels.piwebasync.exceptions import AuthFailed

__all__ = [
    "Answer",
    "Asked",
    "Bond",
    "Detour",
    "Flow",
    "Login",
    "Shown",
    "challenges",
    "header",
    "logged_in",
    "offer",
    "token_in",
]

T = TypeVar("T")

_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+(\S.*?))?\s*", re.DOTALL)
_PARTS: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"]|")+')
_HELP: Final = {
    "negotiate": "auth=Negotiate()",
    "ntlm": "auth=NTLM(user, password)",
    "basic": "auth=(user, password)",
    "bearer": "auth=Bearer(token) or auth=ClientCredentials(...)",
}
_WINDOWS: Final = frozenset({"negotiate", "ntlm"})


class Answer(msgspec.Struct, frozen=True):
    """What the server said to a request.

    Attributes:
        status: 101 for a channel that is open.
        headers: names and values; a name may come several times.
        body: as it came; of an open channel nothing.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """The values of all headers with this name, in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __repr__(self) -> str:
        # The answer to a detour may hold a token.
        return f"<Answer {self.status}>"


class Detour(msgspec.Struct, frozen=True):
    """Another request that a flow needs first, such as one for a token."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Detour {self.method} {self.url.partition('?')[0]}>"


class Bond(msgspec.Struct):
    """The one connection that a bound login is made on.

    Attributes:
        number: of the connection that the last request went over.
        certificate: the server's on that connection, DER; None without TLS.
        proved: the number of the connection on which the login was accepted.
        repeats: how often the server asked again on that connection, in a row.
        each_time: the scheme that is asked for anew with each request, or "".
    """

    number: int = 0
    certificate: bytes | None = None
    proved: int = -1
    repeats: int = 0
    each_time: str = ""


class Asked(msgspec.Struct):
    """The request that a login is for.

    Attributes:
        headers: those that are sent without the login's.
        fetch: sends another request; for flows that need one.
        bond: of the connection that all tries go over; for bound logins only.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    fetch: Callable[[Detour], Awaitable[Answer]]
    bond: Bond

    def __repr__(self) -> str:
        return f"<Asked {self.method}>"


Flow: TypeAlias = AsyncGenerator[dict[str, str], Answer]
"""Gives headers to send the request with, and takes the answer to it.

The first headers are for the first try. It ends when the last answer stands.
"""


@runtime_checkable
class Login(Protocol):
    """A way to prove who we are, for as many requests and channels as there are.

    `is_bound` tells whether its tries belong to one connection, which then nobody
    else uses.
    """

    @property
    def is_bound(self) -> bool: ...

    def flow(self, asked: Asked) -> Flow: ...


class Shown:
    """What is shown by the names in `_shows` alone, as the rest is secret."""

    __slots__ = ()
    _shows: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        found = ((name, getattr(self, name)) for name in self._shows)
        return [(name, value) for name, value in found if value]


async def logged_in(
    login: Login | None,
    asked: Asked,
    send: Callable[[dict[str, str]], Awaitable[tuple[Answer, T]]],
) -> T:
    """What `send` gave for the try that counts; it is called with headers.

    Raises:
        AuthFailed: the login cannot be made, or the server is not who it should be.
    """
    if login is None:
        return (await send({}))[1]
    async with aclosing(login.flow(asked)) as flow:
        headers = await anext(flow)
        while True:
            answer, result = await send(headers)
            try:
                headers = await flow.asend(answer)
            except StopAsyncIteration:
                return result


# What servers ask for


def challenges(values: Iterable[str]) -> list[tuple[str, str]]:
    """Schemes and what follows them in `WWW-Authenticate` headers, in order."""
    found: list[tuple[str, str]] = []
    for value in values:
        for part in _PARTS.findall(value):
            match = _SCHEME.fullmatch(part)
            if match:
                found.append((match[1], match[2] or ""))
    return found


def token_in(answer: Answer, scheme: str) -> bytes | None:
    """The server's part of an exchange, or None where it said nothing.

    Raises:
        AuthFailed: it is no base64.
    """
    for name, rest in challenges(answer.all("WWW-Authenticate")):
        if name.lower() == scheme.lower() and rest:
            try:
                return b64decode(rest, validate=True)
            except ValueError as exc:
                raise AuthFailed(f"the server's {scheme} answer is no base64") from exc
    return None


def header(scheme: str, token: bytes) -> dict[str, str]:
    """The header with our part of an exchange."""
    return {"Authorization": f"{scheme} {b64encode(token).decode()}"}


def offer(values: Iterable[str]) -> str:
    """What a server offers in `WWW-Authenticate`, and what to give; or ""."""
    names = list(dict.fromkeys(name for name, _ in challenges(values)))
    if not names:
        return ""
    known = [name for name in names if name.lower() in _HELP]
    said = f"the server offers {', '.join(names)}"
    if not known:
        return f"{said}; give an httpx.Auth for it"
    extra = (
        ", which needs pip install 'pichannels[auth]'"
        if all(name.lower() in _WINDOWS for name in known)
        else ""
    )
    return f"{said}; give {' or '.join(_HELP[n.lower()] for n in known)}{extra}"
