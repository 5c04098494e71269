"""What TLS needs, from the options that name certificates."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

from pichannels.errors import SettingsError

__all__ = ["check_certificate", "tls_context"]


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


def check_certificate(
    setting: str, cert: str, key: str, folder: Path, file: str
) -> None:
    """Look whether a certificate for a server of ours can be used; "" is none.

    Args:
        setting: the key of the settings that names it, such as `UI`.
        cert, key: the files, relative to `folder`.
        file: the settings file.

    Raises:
        SettingsError: a file is missing, or they do not fit.
    """
    if not cert:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # With a password nobody is asked for one on the terminal.
        context.load_cert_chain(folder / cert, folder / key, password="")
    except (OSError, ValueError) as exc:
        raise SettingsError(
            f"the certificate cannot be used: {getattr(exc, 'strerror', '') or exc}",
            file=file,
            key=f"{setting}['cert']",
            found=cert,
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
