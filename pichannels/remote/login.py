"""How to reach a hub, from options: where it is, and what shows who we are."""

from __future__ import annotations

import os
import re
import ssl as tls
from typing import Any, Final, NamedTuple

from pichannels.certificates import tls_context
from pichannels.errors import SettingsError, UsageError
from pichannels.remote.connecting import connect
from pichannels.remote.link import Link
from pichannels.remote.websocket import dialer
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["Login", "checked_stream", "checked_url"]

_NAME: Final = re.compile(r"[\w.@:+-]+(/[\w.@:+-]+)*")
_SECURE: Final = ("https:", "wss:")


class Login(NamedTuple):
    """Where a hub is, and how we get in.

    Attributes:
        url: of the hub; `checked_url` looks at it.
        token: shows who we are; looked up for each link.
        ssl: False for no check of the certificate, or a context.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.
        timeout: seconds that connecting, and an answer, may take.
    """

    url: str
    token: str | Secret | None
    ssl: bool | tls.SSLContext
    ca: str | os.PathLike[str] | None
    certificate: str | os.PathLike[str] | None
    cert_key: str | os.PathLike[str] | None
    heartbeat: float
    timeout: float

    async def link(self) -> Link:
        """A link that is made once, and not again when it is lost; not open yet.

        Raises:
            SettingsError: the token, or a certificate, is missing.
        """
        token: Any = await reveal_in_thread(self.token)
        return connect(
            self.url,
            token=token,
            ssl=await self._context(),
            heartbeat=self.heartbeat,
            timeout=self.timeout,
            retry=None,
        )

    async def _context(self) -> tls.SSLContext | None:
        if not self.url.startswith(_SECURE):
            return None
        return await tls_context(
            self.ssl,
            verify=self.ssl is not False,
            ca=self.ca,
            certificate=self.certificate,
            key=self.cert_key,
        )


def checked_url(found: Any) -> str:
    """The URL of a hub.

    Raises:
        SettingsError: it is none, or has a user in it.
    """
    text = str(found)
    try:
        dialer(text)
    except UsageError as exc:
        raise SettingsError(
            str(exc), key="url", found=found, allowed="such as https://host:8443"
        ) from exc
    if "@" in text.partition("//")[2].partition("/")[0]:
        raise SettingsError("give token= in place of a user in the URL", key="url")
    return text


def checked_stream(found: Any) -> str:
    """The name of a stream.

    Raises:
        SettingsError: it is none, or would be a pattern.
    """
    if not isinstance(found, str) or not _NAME.fullmatch(found):
        raise SettingsError(
            "this is no name of a stream",
            key="stream",
            found=found,
            allowed="letters, digits, . _ - : @ +, and / between them",
        )
    return found
