"""What all endpoints have in common: an address, and the channels that share it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Protocol, runtime_checkable
from weakref import WeakSet

import msgspec

from pichannels.errors import PichannelsError, SettingsError, UsageError
from pichannels.fingerprint import Defined

__all__ = ["IN_USE", "Endpoint", "Listen", "ListenError", "Place", "Sharing", "User"]

logger: Final = logging.getLogger("pichannels.endpoints")

_HOST: Final = "127.0.0.1"
IN_USE: Final = (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", 0))
_NO_ADDRESS: Final = (errno.EADDRNOTAVAIL, getattr(errno, "WSAEADDRNOTAVAIL", 0))


class ListenError(PichannelsError):
    """An endpoint cannot listen: which one, where, and what to do about it."""

    def __init__(self, endpoint: str, address: str, reason: str) -> None:
        self.endpoint = endpoint
        self.address = address
        self.reason = reason
        super().__init__(f"{endpoint} cannot listen on {address}: {reason}")


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """Where an endpoint listens, for settings that cannot make the object.

    Attributes:
        host: name or address; 0.0.0.0 for all of this machine.
        port: its number; 0 takes a free one.
        certificate: file in PEM; with it the endpoint speaks TLS.
        key: file of the private key, where the certificate's does not have it.
        reuse_port: share the port with other processes.
    """

    host: str = _HOST
    port: int | None = None
    certificate: os.PathLike[str] | None = None
    key: os.PathLike[str] | None = None
    reuse_port: bool = False


Place = tuple[str, ...]
"""What a channel takes of an endpoint for itself."""


class User(Protocol):
    """What an endpoint knows of the channels that share it."""

    name: str

    def places(self) -> Sequence[Place]:
        """What it takes for itself; no other one of the endpoint can have that."""


@runtime_checkable
class Sharing(User, Protocol):
    """A channel or a node that uses an endpoint, maybe together with others."""

    @property
    def endpoint(self) -> Endpoint:
        """What listens."""

    def use(self, endpoint: Endpoint) -> None:
        """Take another endpoint; before the start."""

    def fullpath(self) -> str:
        """Its dotted name."""


class Endpoint(Defined, ABC):
    """A server that listens as long as a channel uses it.

    The first channel that starts opens it, the last one that stops closes it. It is
    the same endpoint again after a restart.

    Args:
        host: name or address, also with a port: `127.0.0.1:8080`, `:8080`. Only this
            machine by default.
        port: number of the port; 0 takes a free one.
        sock: in place of both: a socket that is bound, or text as for `host`.
        reuse_port: share the port with other processes.
        loop: None, or the running event loop.
        certificate: file in PEM; with it the endpoint speaks TLS.
        key: file of the private key, where the certificate's does not have it.

    Raises:
        SettingsError: the address is not usable.
    """

    kind: ClassVar[str] = "endpoint"
    default_port: ClassVar[int] = 0

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        sock: socket.socket | str | None = None,
        reuse_port: bool | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> None:
        if sock is not None and (host is not None or port is not None):
            raise SettingsError("give either sock, or host and port", key="sock")
        if isinstance(sock, str):
            host, sock = sock, None
        self._sock = sock
        self.host, self.port = _address(host or "", port, self.default_port)
        if sock is not None:
            self.host, self.port = sock.getsockname()[:2]
        if key is not None and certificate is None:
            raise SettingsError("a key needs its certificate", key="key")
        self.reuse_port = bool(reuse_port)
        self._certificate = certificate
        self._key = key
        self._loop = loop
        self._users: list[User] = []
        self._known: WeakSet[User] = WeakSet()
        self._lock = asyncio.Lock()
        self._bound: tuple[str, int] | None = None
        self._older: Endpoint | None = None

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return self._bound is not None

    @property
    def address(self) -> str:
        """Host and port: as bound while it is open, else as they were given."""
        host, port = self._bound or (self.host, self.port)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def bound_port(self) -> int:
        """The port on which it listens, which tells what a port 0 became."""
        return self._bound[1] if self._bound else self.port

    def know(self, user: User) -> None:
        """There is such a channel, though it need not run."""
        self._known.add(user)

    def forget(self, user: User) -> None:
        """It uses another endpoint."""
        self._known.discard(user)

    def replace(self, older: Endpoint) -> None:
        """Take the port of another endpoint, once this one is to listen.

        Who is connected to that one stays so, until its channels have stopped.
        """
        self._older = older

    async def acquire(self, user: User) -> None:
        """Let a channel use it, and listen.

        Raises:
            ListenError: that is not possible.
            UsageError: another channel has its place, or the loop is another one.
        """
        async with self._lock:
            self._refuse_taken(user)
            if not self.is_open:
                await self._start()
            self._users.append(user)
            self._known.add(user)
            self._changed()

    async def release(self, user: User) -> None:
        """A channel uses it no more; without any it stops to listen."""
        async with self._lock:
            if user not in self._users:
                return
            self._users.remove(user)
            self._changed()
            if not self._users:
                await self._stop()

    def hand_over(self, old: User, new: User) -> bool:
        """Give the place of a channel to the one that replaces it; it stays open.

        Returns:
            False where `old` does not use the endpoint.
        """
        if old not in self._users:
            return False
        self._users[self._users.index(old)] = new
        self._known.discard(old)
        self._known.add(new)
        self._changed()
        return True

    def _refuse_taken(self, user: User) -> None:
        wanted = set(user.places())
        for other in self._users:
            taken = wanted.intersection(other.places())
            if taken:
                what = " ".join(min(taken))
                raise UsageError(f"channel {other.name!r} has {what} of {self} already")

    async def _start(self) -> None:
        if self._loop not in (None, asyncio.get_running_loop()):
            raise UsageError(f"{self} was made for another event loop")
        older, self._older = self._older, None
        try:
            if older is not None:
                await older.leave_port()
            await self._close()
            self._bound = await self._open()
        except (OSError, ValueError) as exc:
            await self._close()
            raise ListenError(self.kind, self.address, _reason(exc)) from exc
        except BaseException:
            await self._close()
            raise
        logger.info("%s listens on %s", self.kind, self.address)

    async def leave_port(self) -> None:
        """Take no new connections; those that are open stay."""
        async with self._lock:
            self._bound = None
            await self._leave_port()

    async def _stop(self) -> None:
        self._bound = None
        await self._close()

    async def _tls(self) -> ssl.SSLContext | None:
        """What a certificate asks for."""
        if self._certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            await asyncio.to_thread(
                context.load_cert_chain, self._certificate, self._key
            )
        except OSError as exc:
            file = os.fspath(self._certificate)
            reason = f"the certificate {file} is not usable: {exc.strerror or exc}"
            raise ListenError(self.kind, self.address, reason) from exc
        return context

    def _changed(self) -> None:
        """Called after other channels use it."""

    @abstractmethod
    async def _open(self) -> tuple[str, int]:
        """Listen; host and port that were bound.

        Raises:
            OSError: that is not possible.
        """

    @abstractmethod
    async def _leave_port(self) -> None:
        """Take no new connections; those that are open stay."""

    @abstractmethod
    async def _close(self) -> None:
        """Listen no more, and end what is left; also after `_open` has failed."""

    def _own_socket(self) -> socket.socket | None:
        """A socket for one opening: closing that one leaves the user's open."""
        return None if self._sock is None else self._sock.dup()

    def __repr__(self) -> str:
        return f"{self.kind} {self.address}"


def _address(host: Any, port: Any, default: int) -> tuple[str, int]:
    """Host and port of a text, and of a port beside it.

    Raises:
        SettingsError: it is no address.
    """
    if not isinstance(host, str):
        raise SettingsError(
            "this is no address", key="host", found=host, allowed="such as 127.0.0.1"
        )
    if host.startswith("unix:"):
        raise SettingsError(
            "a path cannot be given; bind a socket to it and give that",
            key="sock",
            found=host,
        )
    number: Any = ""
    if host.startswith("["):
        host, _, rest = host[1:].partition("]")
        number = rest.removeprefix(":")
    elif host.count(":") == 1:
        host, _, number = host.partition(":")
    if number != "" and port is not None:
        raise SettingsError("the port is given twice", key="port", found=port)
    wanted = port if port is not None else (number if number != "" else default)
    return host or _HOST, _port(wanted)


def _port(wanted: Any) -> int:
    try:
        number = int(wanted)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= 65535 or isinstance(wanted, bool):
        raise SettingsError(
            "this is no port", key="port", found=wanted, allowed="0 to 65535"
        )
    return number


def _reason(exc: OSError | ValueError) -> str:
    """Why it does not listen, and what to do about it."""
    number = getattr(exc, "errno", None)
    if number in IN_USE:
        return "the port is in use; stop what listens there, or take another port"
    if number in _NO_ADDRESS or isinstance(exc, socket.gaierror):
        return (
            "this machine has no such address; take 127.0.0.1, or 0.0.0.0 for all"
            " that it has"
        )
    if number == errno.EACCES:
        return "the system does not allow it; take a port from 1024 on"
    if isinstance(exc, ValueError) and "reuse_port" in str(exc):
        return f"{sys.platform} cannot share ports; leave reuse_port out"
    return str(getattr(exc, "strerror", None) or exc)
