"""TLS towards servers: whose certificates are taken, and which one is ours."""

from __future__ import annotations

import asyncio
import ssl
from os import PathLike, fspath
from typing import Any, Final, TypeAlias

import aiohttp

from pichannels.errors import UsageError

__all__ = ["Cert", "Verify", "cause_of", "check_tls", "reason_of", "tls_context"]

Verify: TypeAlias = bool | str | PathLike[str] | ssl.SSLContext
"""True: the system's authorities; a path: a CA file; False: any certificate."""
Cert: TypeAlias = str | tuple[str, ...] | None
"""Client certificate: one PEM file, or (certificate, key[, password])."""

# The numbers that OpenSSL gives to what is wrong: a name, an address; the time.
_OTHER_NAME: Final = (62, 64)
_EXPIRED: Final = 10


def check_tls(verify: object, cert: object) -> None:
    """See that they are of the types that they may have, and go together.

    Raises:
        UsageError: they are not, or do not.
    """
    if not isinstance(verify, (bool, str, PathLike, ssl.SSLContext)):
        raise UsageError(
            f"verify is True, False, the path of a CA file or an SSLContext, not"
            f" {verify!r}"
        )
    if cert is None:
        return
    if not isinstance(cert, (str, tuple)):
        kind = type(cert).__name__
        raise UsageError(
            f"cert is the path of a file or (certificate, key[, password]), no {kind}"
        )
    if isinstance(verify, ssl.SSLContext):
        raise UsageError(
            "cert= has no effect beside an SSLContext; load the certificate into it"
            " with load_cert_chain()"
        )


async def tls_context(verify: Verify, cert: Cert) -> ssl.SSLContext | bool:
    """What aiohttp takes as `ssl`.

    Raises:
        UsageError: a file is missing or holds no certificate.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool) and cert is None:
        return verify
    try:
        # Certificates are read from files, which may be slow ones.
        return await asyncio.to_thread(_context, verify, cert)
    except OSError as exc:
        own = cert if isinstance(cert, str) or cert is None else cert[0]
        raise UsageError(
            f"the certificates cannot be used: {reason_of(exc)}"
            f" (verify={str(verify)!r}, cert={own!r})"
        ) from exc


def _context(verify: bool | str | PathLike[str], cert: Cert) -> ssl.SSLContext:
    file = None if isinstance(verify, bool) else fspath(verify)
    context = ssl.create_default_context(cafile=file)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


def reason_of(exc: BaseException) -> str:
    """Why it failed, in words; some errors have none of their own."""
    if isinstance(exc, aiohttp.InvalidURL):
        # It may be the proxy's, with a password in it.
        return "the URL, or that of the proxy, is none that can be used"
    text = str(exc) or type(exc).__name__
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        text += f"; {_advice(exc.certificate_error)}"
    return text


def cause_of(exc: BaseException) -> BaseException | None:
    """The error as the cause of another one, without what was sent: that has logins."""
    if isinstance(exc, aiohttp.InvalidURL):
        return None
    if isinstance(exc, aiohttp.ClientResponseError):
        asked = exc.request_info
        nothing: Any = {}
        exc.request_info = aiohttp.RequestInfo(
            asked.url, asked.method, nothing, asked.real_url
        )
        exc.args = (exc.request_info, ())
    return exc


def _advice(error: Exception) -> str:
    """What helps where a certificate is not accepted."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    if code in _OTHER_NAME:
        return "ask the server by a name that is in its certificate"
    if code == _EXPIRED:
        return "the server needs a new certificate, or the clock here is wrong"
    return (
        "give the file with the certificate of its authority as verify=, or"
        " verify=False to take any certificate"
    )
