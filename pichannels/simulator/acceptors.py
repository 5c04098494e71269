"""Who may come in: passwords, tokens, NTLM and Kerberos, several at once.

NTLM and Kerberos are pyspnego's, which the extra `auth` brings. They log a connection
in, as the original does: its requests need no header then.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import web

from pichannels.errors import SettingsError, UsageError
from pichannels.simulator.tokens import Tokens

__all__ = [
    "Acceptor",
    "Auth",
    "Kerberos",
    "NTLMUsers",
    "Verdict",
    "Way",
    "acceptors_of",
    "tokens_of",
]


class NTLMUsers(msgspec.Struct, frozen=True):
    """Who may log in by NTLM; neither names nor passwords have colons here.

    Attributes:
        users: `DOMAIN\\user`, or `user` alone, and the password.
        each_request: whether each request has to log in, as .NET's listener wants it
            by default; otherwise a connection stays logged in.
        certificate: file with the server's certificate (PEM), where logins that are
            bound to another one are to be refused.
    """

    users: Mapping[str, str]
    each_request: bool = False
    certificate: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if any(":" in text for login in self.users.items() for text in login):
            raise UsageError("pyspnego keeps users in lines with colons between")

    def __repr__(self) -> str:
        return f"NTLMUsers({', '.join(self.users)})"


class Kerberos(msgspec.Struct, frozen=True):
    """Kerberos, with the keys of the service in a file.

    Attributes:
        keytab: with the keys of the principal, such as `HTTP/localhost`.
        each_request, certificate: as of `NTLMUsers`.
    """

    keytab: str | os.PathLike[str]
    each_request: bool = False
    certificate: str | os.PathLike[str] | None = None


Way: TypeAlias = tuple[str, str] | str | Tokens | NTLMUsers | Kerberos
Auth: TypeAlias = Way | list[Way] | None
"""A user and password (Basic), a token (Bearer), `Tokens`, `NTLMUsers`, `Kerberos`, a
list of several, or nobody is asked."""


class Verdict(msgspec.Struct, frozen=True):
    """What comes of a request's credentials.

    Attributes:
        accepted: whether it may pass.
        user: who it is, or "" where that is all the same.
        answer: the server's part of an exchange, for `WWW-Authenticate`; or "".
    """

    accepted: bool
    user: str = ""
    answer: str = ""


_REFUSED: Final = Verdict(False)
_LIBRARY: Final = "spnego"
_HAS_LIBRARY: Final = find_spec(_LIBRARY) is not None
_ENVIRONMENT: Final = threading.Lock()
_BEGIN: Final = ssl.PEM_HEADER
_END: Final = ssl.PEM_FOOTER


class Acceptor(Protocol):
    """One way to log in."""

    @property
    def challenges(self) -> Sequence[str]: ...

    async def check(self, request: web.Request) -> Verdict: ...

    def withdraw(self) -> None: ...


def acceptors_of(auth: Auth) -> list[Acceptor]:
    """The acceptors that are meant.

    Raises:
        UsageError: it is none of these.
        SettingsError: a library is missing.
    """
    found: list[Acceptor] = []
    windows: list[NTLMUsers | Kerberos] = []
    for way in _ways(auth):
        if isinstance(way, NTLMUsers | Kerberos):
            windows.append(way)
        elif isinstance(way, Tokens):
            found.append(_Issued(way))
        elif isinstance(way, str):
            found.append(_Fixed("Bearer", f"Bearer {way}"))
        elif isinstance(way, tuple) and len(way) == 2:
            pair = base64.b64encode(":".join(way).encode()).decode()
            found.append(_Fixed('Basic realm="piwebapi"', f"Basic {pair}"))
        else:
            raise UsageError(f"a simulator takes no {type(way).__name__} as auth")
    return [_Windows(windows), *found] if windows else found


def tokens_of(auth: Auth) -> list[Tokens]:
    """Those that an endpoint gives out; there is one endpoint."""
    return [way for way in _ways(auth) if isinstance(way, Tokens)][:1]


def _ways(auth: Auth) -> list[Way]:
    return auth if isinstance(auth, list) else [] if auth is None else [auth]


class _Fixed:
    """One header that is right."""

    def __init__(self, challenge: str, header: str) -> None:
        self.challenges = (challenge,)
        self._header = header

    async def check(self, request: web.Request) -> Verdict:
        given = request.headers.get("Authorization", "")
        return Verdict(hmac.compare_digest(given.encode(), self._header.encode()))

    def withdraw(self) -> None:
        """A password goes on to be right."""


class _Issued:
    """Tokens that the simulator gave out."""

    challenges = ("Bearer",)

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def check(self, request: web.Request) -> Verdict:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        owner = self._tokens.owner(token) if scheme.lower() == "bearer" else None
        return _REFUSED if owner is None else Verdict(True, owner)

    def withdraw(self) -> None:
        self._tokens.withdraw()


class _Connection:
    """How far the login of one connection is."""

    def __init__(self) -> None:
        self.context: Any = None
        self.user = ""


class _Windows:
    """Negotiate and NTLM, bound to the connection."""

    def __init__(self, ways: Sequence[NTLMUsers | Kerberos]) -> None:
        if not _HAS_LIBRARY:
            raise SettingsError(
                "NTLM and Kerberos need a library: pip install 'pichannels[auth]'",
                key="auth",
            )
        self._ntlm = next((w for w in ways if isinstance(w, NTLMUsers)), None)
        self._kerberos = next((w for w in ways if isinstance(w, Kerberos)), None)
        self.challenges = ("Negotiate", "NTLM") if self._ntlm else ("Negotiate",)
        self._each = any(way.each_request for way in ways)
        self._certificate = next((w.certificate for w in ways if w.certificate), None)
        self._known: WeakKeyDictionary[asyncio.BaseTransport, _Connection] = (
            WeakKeyDictionary()
        )

    def withdraw(self) -> None:
        """All connections have to log in anew."""
        self._known.clear()

    async def check(self, request: web.Request) -> Verdict:
        transport = request.transport
        if transport is None:
            return _REFUSED
        state = self._known.setdefault(transport, _Connection())
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return Verdict(bool(state.user), state.user)
        if scheme.lower() not in [name.lower() for name in self.challenges]:
            return _REFUSED
        try:
            token = base64.b64decode(given, validate=True)
            answer = await asyncio.to_thread(self._step, state, scheme, token)
        except Exception:
            # Whatever it is, the original says nothing but no.
            self._known.pop(transport, None)
            return _REFUSED
        said = f"{scheme} {base64.b64encode(answer).decode()}" if answer else ""
        if not state.context.complete:
            return Verdict(False, answer=said)
        user = str(state.context.client_principal)
        state.context = None
        state.user = "" if self._each else user
        return Verdict(True, user, said)

    def _step(self, state: _Connection, scheme: str, token: bytes) -> bytes | None:
        with _environment(self._ntlm, self._kerberos):
            if state.context is None:
                protocol = "ntlm" if scheme.lower() == "ntlm" else "negotiate"
                state.context = import_module(_LIBRARY).server(
                    service="HTTP", protocol=protocol, channel_bindings=self._bindings()
                )
            answer: bytes | None = state.context.step(token)
            return answer

    def _bindings(self) -> Any:
        """What binds a login to the certificate: its SHA-256 (RFC 5929)."""
        if self._certificate is None:
            return None
        # The key may be in the same file.
        _, _, rest = Path(self._certificate).read_text("ascii").partition(_BEGIN)
        pem = f"{_BEGIN}{rest.partition(_END)[0]}{_END}"
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
        module = import_module(f"{_LIBRARY}.channel_bindings")
        return module.GssChannelBindings(
            application_data=b"tls-server-end-point:" + digest
        )


@contextmanager
def _environment(ntlm: NTLMUsers | None, kerberos: Kerberos | None) -> Iterator[None]:
    """Name users and keys where the libraries look for them: in the environment.

    What was not there before is left empty and not taken away, as other threads may
    read the environment meanwhile.
    """
    with _ENVIRONMENT, tempfile.TemporaryDirectory(prefix="pichannels-") as folder:
        names: dict[str, str] = {}
        if kerberos is not None:
            names["KRB5_KTNAME"] = os.fspath(kerberos.keytab)
        if ntlm is not None:
            file = Path(folder, "users")
            file.write_text("".join(map(_line, ntlm.users.items())), "utf-8")
            names["NTLM_USER_FILE"] = str(file)
        before = {name: os.environ.get(name, "") for name in names}
        os.environ.update(names)
        try:
            yield
        finally:
            os.environ.update(before)


def _line(login: tuple[str, str]) -> str:
    domain, backslash, user = login[0].partition("\\")
    if not backslash:
        domain, user = "", domain
    return f"{domain}:{user}:{login[1]}\n"
