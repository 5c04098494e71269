"""The settings of what an instance publishes for others, and who may have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Annotated, Any, Final, Literal

import msgspec

from pichannels.errors import SettingsError, nearest
from pichannels.patterns import matching
from pichannels.secrets import Secret

__all__ = [
    "CHANNELS",
    "INBOXES",
    "LINKS",
    "SHORTEST_TOKEN",
    "STORES",
    "RemoteConfig",
    "RemoteFolderConfig",
    "RemoteTokenConfig",
    "remote_rules",
    "unknown_channels",
]

CHANNELS: Final = "channels"
"""Below this name are the channels to follow."""
STORES: Final = "stores"
"""Below this name are the message stores."""
INBOXES: Final = "inboxes"
"""Below this name are the channels that take messages."""
LINKS: Final = "links"
"""The service that tells who has what open."""

_TAKEN: Final = (CHANNELS, STORES, INBOXES, "once")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SHORTEST_TOKEN: Final = 16
"""How many characters a token has at least."""

_Action = Literal["list", "read", "write", "call"]


def _says(text: str, **limits: Any) -> msgspec.Meta:
    return msgspec.Meta(description=text, **limits)


_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_Number = Annotated[int, _says("a whole number, 1 or more", ge=1)]
_Names = Annotated[tuple[str, ...], _says("a list of names, with * and ?")]


class RemoteTokenConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and what may be done with it.

    Attributes:
        token: the token itself; a secret (`Secret.env(...)`).
        sha256: in its place, what `pichannels remote token` says of it.
        allow: pattern of names -> `list`, `read`, `write`, `call`; to read includes
            to list.
    """

    token: Annotated[str, _says("16 characters and more, or a Secret")] | Secret = ""
    sha256: Annotated[
        str, _says("64 hexadecimal digits", pattern="^$|^[0-9a-fA-F]{64}$")
    ] = ""
    allow: Annotated[
        dict[str, tuple[_Action, ...]],
        _says("by pattern of names, lists of 'list', 'read', 'write', 'call'"),
    ] = {}


class RemoteFolderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A folder whose files others may read.

    Attributes:
        path: where it is, relative to `settings.py`.
        write: whether files may be written and made, too.
    """

    path: Annotated[str, _says("a path", min_length=1)] = ""
    write: Annotated[bool, _says("True or False")] = False


class RemoteConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the instance publishes for others, beside its commands.

    Attributes:
        enabled: whether anything is.
        channels: names of channels that can be followed (`channels/NAME`).
        stores: names of channels whose stores can be read (`stores/NAME`).
        inboxes: names of channels that others may send messages to
            (`inboxes/NAME`).
        keep: how many messages of each channel are kept for those who come later;
            with 0 one sees what comes while somebody follows.
        folders: name -> folder, whose files are `NAME/path`.
        tokens: who it is -> a token, and what may be done with it. With the token of
            the control server everything may be done.
        host: where a server of its own listens, if there is a `port`.
        port: 0 takes a free one; None for no server but the control server.
        cert, key: files of a certificate and its key, for TLS, relative to
            `settings.py`.
        behind_proxy: whether a proxy that speaks TLS stands before that server.
        links: open links, in all.
        links_per_client: of one client.
        streams_per_link: open streams on one link.
        window_bytes: how far is read ahead for a reader, at most.
    """

    enabled: Annotated[bool, _says("True or False")] = True
    channels: _Names = ("*",)
    stores: _Names = ("*",)
    inboxes: _Names = ()
    keep: Annotated[int, _says("a number of messages, 0 or more", ge=0)] = 0
    folders: dict[str, RemoteFolderConfig] = {}
    tokens: dict[str, RemoteTokenConfig] = {}
    host: Annotated[str, _says("a host name or address", min_length=1)] = "127.0.0.1"
    port: Annotated[_Port | None, _says("a port, 0 to 65535, or None")] = None
    cert: Annotated[str, _says("a path")] = ""
    key: Annotated[str, _says("a path")] = ""
    behind_proxy: Annotated[bool, _says("True or False")] = False
    links: _Number = 200
    links_per_client: _Number = 50
    streams_per_link: _Number = 100
    window_bytes: Annotated[int, _says("bytes, 65536 or more", ge=2**16)] = 4 * 2**20


def remote_rules(
    remote: RemoteConfig, file: str, is_loopback: Callable[[str], bool]
) -> Iterator[SettingsError]:
    """What no single key tells."""
    if bool(remote.cert) != bool(remote.key):
        yield SettingsError(
            "a certificate needs its key, and a key its certificate",
            file=file,
            key="REMOTE['key']" if remote.cert else "REMOTE['cert']",
        )
    is_safe = is_loopback(remote.host) or remote.cert or remote.behind_proxy
    if remote.port is not None and not is_safe:
        yield SettingsError(
            "beyond this machine what is published needs TLS",
            file=file,
            key="REMOTE['cert']",
            allowed="a certificate, behind_proxy, or a loopback host, not"
            f" {remote.host!r}",
        )
    for name, folder in remote.folders.items():
        yield from _folder_rules(name, folder, file)
    for name, token in remote.tokens.items():
        yield from _token_rules(name, token, file)


def unknown_channels(
    remote: RemoteConfig, names: Collection[str], file: str
) -> Iterator[SettingsError]:
    """Names without `*` and `?` that are of no channel.

    Args:
        remote: the settings.
        names: of all channels and sub-channels.
        file: named in each problem.
    """
    for key in (CHANNELS, STORES, INBOXES):
        wanted: tuple[str, ...] = getattr(remote, key)
        for name in wanted:
            is_pattern = "*" in name or "?" in name
            if not is_pattern and not matching(names)(name):
                yield SettingsError(
                    f"there is no such channel{nearest(name, names)}",
                    file=file,
                    key=f"REMOTE[{key!r}]",
                    found=name,
                )


def _folder_rules(
    name: str, folder: RemoteFolderConfig, file: str
) -> Iterator[SettingsError]:
    key = f"REMOTE['folders'][{name!r}]"
    if name in _TAKEN or not _NAME.fullmatch(name):
        yield SettingsError(
            "a folder cannot have this name",
            file=file,
            key=key,
            allowed=f"letters, digits, . _ -, and none of {', '.join(_TAKEN)}",
        )
    if not folder.path:
        yield SettingsError("a folder needs a path", file=file, key=f"{key}['path']")


def _token_rules(
    name: str, token: RemoteTokenConfig, file: str
) -> Iterator[SettingsError]:
    key = f"REMOTE['tokens'][{name!r}]"
    if bool(token.token) == bool(token.sha256):
        yield SettingsError(
            "a token is given as itself (a secret), or by its sha256",
            file=file,
            key=f"{key}['token']",
        )
    if isinstance(token.token, str) and 0 < len(token.token) < SHORTEST_TOKEN:
        yield SettingsError(
            "this token is too short",
            file=file,
            key=f"{key}['token']",
            allowed=f"{SHORTEST_TOKEN} characters and more",
        )
    if not token.allow:
        yield SettingsError(
            "nothing may be done with this token",
            file=file,
            key=f"{key}['allow']",
            allowed="by pattern of names, such as {'channels/*': ['read']}",
        )
