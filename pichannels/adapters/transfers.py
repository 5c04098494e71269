"""The link to a file server, by the protocol that it speaks."""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from typing import Any, Final

from pichannels.adapters.ftp import FTPLink
from pichannels.adapters.remote_files import FileLink, FileServer
from pichannels.adapters.sftp import SFTPLink
from pichannels.errors import SettingsError, UsageError, nearest
from pichannels.secrets import Secret

__all__ = ["Credentials", "file_server", "link_to"]

Credentials = str | tuple[str | Secret, str | Secret] | None
"""User and password: a pair, or `user:password`; nothing for an anonymous login."""

_PORTS: Final = {"ftp": 21, "ftps": 21, "ftps-implicit": 990, "sftp": 22}
_LINKS: Final[dict[str, type[FileLink]]] = {"sftp": SFTPLink}


def link_to(server: FileServer) -> FileLink:
    """A link, which connects when it is used.

    Raises:
        SettingsError: the library for the protocol is not installed.
    """
    return _LINKS.get(server.protocol, FTPLink)(server)


def file_server(
    host: Any,
    port: Any,
    credentials: Any,
    *,
    protocol: Any = "ftp",
    verify: Any = True,
    key: Any = None,
    key_password: Any = None,
    known_hosts: Any = None,
    host_key: str = "",
    encoding: Any = "utf-8",
    timeout: Any = 30.0,
) -> FileServer:
    """A server, from the options of a channel or node.

    Port 21, which is the default everywhere, means the usual one of the protocol.

    Raises:
        SettingsError: an option is not usable.
        UsageError: the credentials are none.
    """
    if protocol not in _PORTS:
        raise SettingsError(
            f"no such choice{nearest(str(protocol), _PORTS)}",
            key="protocol",
            found=protocol,
            allowed=", ".join(_PORTS),
        )
    if not isinstance(host, str) or not host:
        raise SettingsError("there is no server", key="host", found=host or None)
    user, password = _login(credentials)
    return FileServer(
        protocol,
        host,
        _PORTS[protocol] if port == 21 else _number("port", port, 65535),
        user,
        password,
        verify if isinstance(verify, bool) else os.fspath(verify),
        key if isinstance(key, Secret) else os.fspath(key or ""),
        key_password or "",
        os.fspath(known_hosts or ""),
        host_key,
        _encoding(encoding),
        _number("timeout", timeout, 86_400),
    )


def _login(found: Any) -> tuple[str | Secret, str | Secret]:
    if not found:
        return "", ""
    if isinstance(found, str):
        user, _, password = found.partition(":")
        return user, password
    is_pair = isinstance(found, Sequence) and len(found) == 2
    if is_pair and all(isinstance(part, str | Secret) for part in found):
        return found[0], found[1]
    raise UsageError("credentials are (user, password), or a text user:password")


def _number(key: str, found: Any, most: int) -> Any:
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not 0 < found <= most:
        raise SettingsError(
            "not a usable number", key=key, found=found, allowed=f"1 to {most}"
        )
    return found


def _encoding(found: Any) -> str:
    try:
        return codecs.lookup(found).name
    except (LookupError, TypeError) as exc:
        raise SettingsError(
            "there is no such encoding", key="encoding", found=found
        ) from exc
