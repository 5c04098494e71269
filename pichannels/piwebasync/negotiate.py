"""Negotiate (Kerberos, NTLM) by pyspnego, which the extra `auth` brings."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import logging
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from pichannels import clock
from pichannels.errors import SettingsError, UsageError
from pichannels.piwebasync.credentials import looked_up
from pichannels.piwebasync.exceptions import AuthFailed
from pichannels.piwebasync.login import (
    Answer,
    Asked,
    Flow,
    Shown,
    challenges,
    header,
    token_in,
)
from pichannels.secrets import Secret

__all__ = ["NTLM", "Negotiate"]

_LIBRARY: Final = "spnego"
_HAS_LIBRARY: Final = importlib.util.find_spec(_LIBRARY) is not None
_HAS_KERBEROS: Final = (
    sys.platform == "win32" or importlib.util.find_spec("gssapi") is not None
)
_NEEDS_AUTH: Final = "needs a library: pip install 'pichannels[auth]'"
_KEPT_FOR: Final = 300.0
_SCHEMES: Final = {
    "negotiate": ("Negotiate", "NTLM"),
    "kerberos": ("Negotiate", "Kerberos"),
    "ntlm": ("NTLM", "Negotiate"),
}
_REASONS: Final = re.compile(
    r"Major \(-?\d+\): (.*?), Minor \(-?\d+\): (.*?)(?:, Context: |$)", re.DOTALL
)


class Negotiate(Shown, msgspec.Struct, tag="negotiate", dict=True):
    """Windows login: Kerberos where there is a ticket or can be one, else NTLM.

    Without user and password it is the login of this session: on Windows the user
    that the process runs as, elsewhere the ticket that `kinit` fetched. It needs the
    extra `auth`, and outside Windows `kerberos` for Kerberos.

    Attributes:
        user: `user@REALM` for Kerberos, `DOMAIN\\user` for NTLM.
        password: best a `Secret`; without it the ticket of `user` is taken.
        service: first part of the server's name in Kerberos.
        hostname: second part of it; by default the host of the URL.
        delegate: whether the server may act in the user's name elsewhere.
        protocol: `kerberos` or `ntlm` to allow only that.
        mutual: whether a server that logs us in by Kerberos has to prove itself, too.
        channel_bindings: whether the login is bound to the server's certificate.

    Raises:
        SettingsError: pyspnego is not installed.
        UsageError: a password without user, or no such protocol.
    """

    user: str | Secret | None = None
    password: str | Secret | None = None
    service: str = "HTTP"
    hostname: str | None = None
    delegate: bool = False
    protocol: Literal["negotiate", "kerberos", "ntlm"] = "negotiate"
    mutual: bool = True
    channel_bindings: bool = True

    is_bound: ClassVar[bool] = True
    _shows: ClassVar[tuple[str, ...]] = ("user", "hostname", "protocol")

    def __post_init__(self) -> None:
        if self.protocol not in _SCHEMES:
            raise UsageError(
                f"protocol is negotiate, kerberos or ntlm, not {self.protocol!r}"
            )
        if self.password is not None and self.user is None:
            raise UsageError("a password needs its user")
        if not _HAS_LIBRARY:
            raise SettingsError(f"this login {_NEEDS_AUTH}", key="auth")
        self._kept: dict[str, _Kept] = {}

    async def flow(self, asked: Asked) -> Flow:
        """Waits to be asked, then answers until the server is satisfied."""
        bond = asked.bond
        scheme = bond.each_time
        if not scheme:
            answer = yield {}
            if answer.status != 401:
                bond.repeats = 0
                return
            scheme = self._scheme_of(answer)
            bond.repeats += bond.proved == bond.number
            if bond.repeats > 1:
                # This server logs in requests, not connections.
                bond.each_time = scheme
        for renew in (False, True):
            if not scheme:
                return
            attempt = await self._begin(scheme, asked, renew)
            answer = yield header(scheme, attempt.first)
            number = bond.number
            while answer.status == 401:
                token = await attempt.answer_to(answer)
                if token is None:
                    break
                answer = yield header(scheme, token)
            if answer.status != 401:
                await attempt.finish(answer)
                self._keep(attempt, asked)
                bond.proved = bond.number
                return
            if not attempt.is_kept and bond.number == number:
                return
            # The ticket may be too old, or the connection was lost in between.
            scheme = self._scheme_of(answer)

    def _scheme_of(self, answer: Answer) -> str:
        """What we answer with, of what the server offers; "" for nothing."""
        offered = answer.all("WWW-Authenticate")
        names = {name.lower() for name, _ in challenges(offered)}
        for scheme in _SCHEMES[self.protocol]:
            if scheme.lower() in names:
                return scheme
        return ""

    def _host(self, asked: Asked) -> str:
        return self.hostname or urlsplit(asked.url).hostname or ""

    async def _begin(self, scheme: str, asked: Asked, renew: bool) -> _Attempt:
        """A new exchange, with the token that opens it."""
        bindings = asked.bond.certificate if self.channel_bindings else None
        attempt = _Attempt(scheme, bindings, self.mutual)
        host = self._host(asked)
        if not renew and await self._again(attempt, host):
            return attempt
        self._kept.pop(host, None)
        user, password = await looked_up((self.user, self.password))
        protocol = "ntlm" if scheme == "NTLM" else self.protocol
        wanted = _Wanted(user, password, host, self.service, protocol, self.delegate)
        await attempt.begin(lambda: _context(wanted))
        return attempt

    async def _again(self, attempt: _Attempt, host: str) -> bool:
        """Whether the exchange is opened with the ticket of the last one."""
        kept = self._kept.get(host)
        if kept is None or kept.until < clock.monotonic():
            return False
        try:
            await attempt.begin(kept.context.new_context)
        except AuthFailed:
            # It has expired, mostly.
            return False
        attempt.is_kept = True
        return True

    def _keep(self, attempt: _Attempt, asked: Asked) -> None:
        """Use the ticket of a password again, to spare the domain controller."""
        host = self._host(asked)
        if self.password is not None and attempt.is_kerberos and host not in self._kept:
            until = clock.monotonic() + _KEPT_FOR
            self._kept[host] = _Kept(attempt.context, until)


class NTLM(Shown, msgspec.Struct, frozen=True, tag="ntlm"):
    """NTLM with user and password, for servers that know no Kerberos.

    Attributes:
        user: with the domain, `DOMAIN\\user`.
        password: best a `Secret`.
        channel_bindings: whether the login is bound to the server's certificate.

    Raises:
        SettingsError: pyspnego is not installed.
    """

    user: str | Secret
    password: str | Secret
    channel_bindings: bool = True

    is_bound: ClassVar[bool] = True
    _shows: ClassVar[tuple[str, ...]] = ("user",)

    def __post_init__(self) -> None:
        if not _HAS_LIBRARY:
            raise SettingsError(f"this login {_NEEDS_AUTH}", key="auth")

    def flow(self, asked: Asked) -> Flow:
        """As that of `Negotiate`, with NTLM alone."""
        return Negotiate(
            self.user,
            self.password,
            protocol="ntlm",
            channel_bindings=self.channel_bindings,
        ).flow(asked)


class _Kept(NamedTuple):
    """A login that was accepted, whose ticket is good for more."""

    context: Any
    until: float


class _Attempt:
    """One exchange of tokens with a server."""

    def __init__(self, scheme: str, certificate: bytes | None, mutual: bool) -> None:
        self.context: Any = None
        self.is_kept = False
        self.first = b""
        self._scheme = scheme
        self._certificate = certificate
        self._mutual = mutual

    @property
    def is_kerberos(self) -> bool:
        """Whether Kerberos was agreed upon."""
        return bool(self.context.negotiated_protocol == "kerberos")

    async def begin(self, make: Callable[[], Any]) -> None:
        """Make the first token.

        Raises:
            AuthFailed: there is no ticket, or the password is wrong.
        """
        self.context = await _in_thread(make)
        self.first = await self._step(None) or b""

    async def answer_to(self, answer: Answer) -> bytes | None:
        """Our next token; None when the server has no more to say: it refuses."""
        theirs = token_in(answer, self._scheme)
        if theirs is None or self.context.complete:
            return None
        return await self._step(theirs)

    async def finish(self, answer: Answer) -> None:
        """Look at the server's own proof.

        Raises:
            AuthFailed: it is wrong, or missing.
        """
        theirs = token_in(answer, self._scheme)
        if theirs is not None and not self.context.complete:
            await self._step(theirs)
        is_open = self.is_kerberos and not self.context.complete
        if self._mutual and is_open and answer.status < 400:
            raise AuthFailed("the server has not proved who it is by Kerberos")

    async def _step(self, token: bytes | None) -> bytes | None:
        found: bytes | None = await _in_thread(self._stepped, token)
        return found

    def _stepped(self, token: bytes | None) -> Any:
        bindings = None
        if self._certificate is not None:
            bindings = _bindings(self._certificate)
        return self.context.step(token, channel_bindings=bindings)


# The library, in threads: it talks to the KDC, to caches in files, or to Windows


async def _in_thread(work: Any, *args: Any) -> Any:
    try:
        return await asyncio.to_thread(work, *args)
    except AuthFailed:
        raise
    except Exception as exc:
        # Its own errors, those of krb5 and gssapi, and of Windows.
        raise AuthFailed(_words(exc)) from exc


def _library(name: str = _LIBRARY) -> ModuleType:
    try:
        library = importlib.import_module(name)
    except ImportError as exc:
        raise AuthFailed(f"this login {_NEEDS_AUTH}") from exc
    logger = logging.getLogger(_LIBRARY)
    if logger.level == logging.NOTSET:
        # It writes whole tokens at the level DEBUG.
        logger.setLevel(logging.INFO)
    return library


class _Wanted(Shown, msgspec.Struct):
    """What a context is made for."""

    user: str | None
    password: str | None
    hostname: str
    service: str
    protocol: str
    delegate: bool

    _shows: ClassVar[tuple[str, ...]] = ("user", "service", "hostname")


def _context(wanted: _Wanted) -> Any:
    spnego = _library()
    flags = spnego.ContextReq.default
    if wanted.delegate:
        flags |= spnego.ContextReq.delegate
    return spnego.client(
        wanted.user,
        wanted.password,
        hostname=wanted.hostname,
        service=wanted.service,
        context_req=flags,
        protocol=wanted.protocol,
    )


def _bindings(certificate: bytes) -> Any:
    """What binds a login to the server's certificate (RFC 5929)."""
    x509 = _library("cryptography.x509")
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    name = algorithm.name if algorithm is not None else "sha256"
    if name in ("md5", "sha1"):
        name = "sha256"
    data = b"tls-server-end-point:" + hashlib.new(name, certificate).digest()
    module = _library("spnego.channel_bindings")
    return module.GssChannelBindings(application_data=data)


def _words(exc: Exception) -> str:
    """Why a login cannot be made, and what helps."""
    said = str(exc) or type(exc).__name__
    reasons = _REASONS.search(said)
    if reasons:
        major, minor = reasons.groups()
        said = major if minor == "Success" else minor
    if "No Kerberos credentials" in said or "expired" in said:
        said += "; fetch a ticket with kinit, or give user and password"
    elif not _HAS_KERBEROS:
        said += "; Kerberos needs pip install 'pichannels[kerberos]'"
    return f"the login cannot be made: {said}"
