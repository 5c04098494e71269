"""What TLS needs, from the options that name certificates."""

from __future__ import annotations

import asyncio
import os
import ssl

from pichannels.errors import SettingsError

__all__ = ["tls_context"]


async def tls_context(
    given: bool | ssl.SSLContext = True,
    *,
    verify: bool = True,
    ca: str | os.PathLike[str] | None = None,
    certificate: str | os.PathLike[str] | None = None,
    key: str | os.PathLike[str] | None = None,
) -> ssl.SSLContext:
    """A context for connections that we open; files are read in a thread.

    Args:
        given: a context that is taken as it is, or True for one that is made.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        key: a file with its key, where that is another one.

    Raises:
        SettingsError: a file is missing, or has no certificate.
    """
    if isinstance(given, ssl.SSLContext):
        return given
    try:
        return await asyncio.to_thread(_made, verify, ca, certificate, key)
    except (OSError, ValueError) as exc:
        raise SettingsError(
            f"the certificates cannot be used: {exc}", key="certificate"
        ) from exc


def _made(
    verify: bool,
    ca: str | os.PathLike[str] | None,
    certificate: str | os.PathLike[str] | None,
    key: str | os.PathLike[str] | None,
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
