"""TLS towards servers: whose certificates are taken, and which one is ours."""

from __future__ import annotations

import asyncio
import ssl
from os import PathLike, fspath
from typing import TypeAlias

from pichannels.errors import UsageError

__all__ = ["Cert", "Verify", "reason_of", "tls_context"]

Verify: TypeAlias = bool | str | PathLike[str] | ssl.SSLContext
"""True: the system's authorities; a path: a CA file; False: any certificate."""
Cert: TypeAlias = str | tuple[str, ...] | None
"""Client certificate: one PEM file, or (certificate, key[, password])."""


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
        raise UsageError(f"the certificates cannot be used: {reason_of(exc)}") from exc


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
    return str(exc) or type(exc).__name__
