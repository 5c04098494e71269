"""Files on servers, by FTP, FTPS and SFTP: read, written, deleted."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from nodes._file_paths import FilePath, GivenName, named_by_meta
from nodes._file_work import as_bytes
from nodes._options import at_least
from pichannels.adapters.transfers import Credentials, file_server, link_to
from pichannels.errors import PichannelsError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.probes import Finding
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["Delete", "Read", "Write"]


class _OnServer(BaseNode):
    """What the nodes for file servers have in common: the link.

    Args:
        host: the server.
        port: its port; 21 stands for the usual one of the protocol.
        credentials: user and password, as a pair or as `user:password`; anonymous
            without. A password is best a `Secret`.
        filepath: of the file, or a function of the message that gives it; by default
            what `meta["filepath"]` says. Patterns as of `files.Save`.
        protocol: `ftp`, `ftps` (asks for TLS), `ftps-implicit` or `sftp`.
        verify: for FTPS: False for no check of the certificate, or the path of a file
            with those to trust.
        key: for SFTP: the path of the private key, or the key itself as a `Secret`.
        key_password: of that key, where it is encrypted.
        known_hosts: for SFTP: the path of a file with the keys of hosts, by default
            `~/.ssh/known_hosts`.
        host_key: for SFTP: the one key that the server may have, in its place.
        encoding: of file names, and of text.
        timeout: seconds that the server may be silent.
        options: those of every node.
    """

    def __init__(
        self,
        host: str = "",
        port: int = 21,
        credentials: Credentials = None,
        filepath: GivenName = None,
        *,
        protocol: str = "ftp",
        verify: bool | str | os.PathLike[str] = True,
        key: str | os.PathLike[str] | Secret | None = None,
        key_password: str | Secret | None = None,
        known_hosts: str | os.PathLike[str] | None = None,
        host_key: str = "",
        encoding: str = "utf-8",
        timeout: float = 30.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        server = file_server(
            host,
            port,
            credentials,
            protocol=protocol,
            verify=verify,
            key=key,
            key_password=key_password,
            known_hosts=known_hosts,
            host_key=host_key,
            encoding=encoding,
            timeout=timeout,
        )
        self.link = link_to(server)
        self.encoding = server.encoding
        self._path = FilePath("filepath", filepath)

    async def start(self) -> None:
        """Take messages; the server is not asked before one comes.

        Raises:
            SettingsError: a secret is missing.
        """
        server = self.link.server
        await reveal_in_thread([server.user, server.password, server.key_password])

    async def stop(self) -> None:
        """Disconnect."""
        await self.link.close()

    async def probe(self) -> list[Finding]:
        """Look whether the server lets us in; nothing is read or written."""
        try:
            await self.link.list("")
        except PichannelsError as exc:
            return [Finding(False, "server", str(exc))]
        finally:
            await self.link.close()
        return [Finding(True, "server", f"{self.link.target} lets us in")]

    def path_of(self, msg: Message) -> str:
        """The file on the server that the message is about."""
        if not self._path.is_given:
            return named_by_meta(msg, self.fullpath())
        channel = "" if self.channel is None else self.channel.name
        return self._path.of(msg, channel=channel)


class Read(_OnServer):
    """The content of a file on a server as the payload, in bytes.

    `meta["filepath"]` and `meta["filename"]` say what was read. While the server is
    away, or refuses the login, the message waits and is tried again.

    Args:
        host: the server.
        port: its port; 21 stands for the usual one of the protocol.
        credentials: user and password, as a pair or as `user:password`; anonymous
            without. A password is best a `Secret`.
        filepath: of the file, or a function of the message that gives it; by default
            what `meta["filepath"]` says. Patterns as of `files.Save`.
        max_bytes: a larger file fails the message.
        options: `protocol` and others of the server, and those of every node.

    Raises:
        FileRefused: the server does not give the file.
        MessageError: no file is named.
        NotConnected: the server is away, or refuses the login.
        SettingsError: an option is not usable, or an extra is missing.
        TooLarge: the file has more than `max_bytes`.
    """

    changes: ClassVar = frozenset({"meta", "payload"})

    def __init__(
        self,
        host: str = "",
        port: int = 21,
        credentials: Credentials = None,
        filepath: GivenName = None,
        *,
        max_bytes: int = 64 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(host, port, credentials, filepath, **options)
        at_least("max_bytes", max_bytes, 1)
        self.max_bytes = max_bytes

    async def process(self, msg: Message) -> Message:
        path = self.path_of(msg)
        msg.payload = await self.link.read(path, self.max_bytes)
        msg.meta["filepath"] = path
        msg.meta["filename"] = path.rpartition("/")[2]
        return msg


class Write(_OnServer):
    """Write the payload to a file on a server, whole or not at all.

    It is written as `.part` first and renamed then. While the server is away, or
    refuses the login, the message waits and is tried again.

    Args:
        host: the server.
        port: its port; 21 stands for the usual one of the protocol.
        credentials: user and password, as a pair or as `user:password`; anonymous
            without. A password is best a `Secret`.
        filepath: of the file, or a function of the message that gives it; by default
            what `meta["filepath"]` says. Patterns as of `files.Save`.
        options: `protocol` and others of the server, and those of every node.

    Raises:
        CodecError: the payload is neither text nor bytes.
        FileRefused: the server does not take the file.
        MessageError: no file is named.
        NotConnected: the server is away, or refuses the login.
        SettingsError: an option is not usable, or an extra is missing.
    """

    is_sink: ClassVar[bool] = True
    changes: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        host: str = "",
        port: int = 21,
        credentials: Credentials = None,
        filepath: GivenName = None,
        **options: Any,
    ) -> None:
        super().__init__(host, port, credentials, filepath, **options)

    async def process(self, msg: Message) -> Message:
        data = as_bytes(msg.payload, self.encoding, self.fullpath())
        await self.link.write(self.path_of(msg), data)
        return msg


class Delete(_OnServer):
    """Delete a file on a server; one that is gone already is no error.

    While the server is away, or refuses the login, the message waits and is tried
    again.

    Args:
        host: the server.
        port: its port; 21 stands for the usual one of the protocol.
        credentials: user and password, as a pair or as `user:password`; anonymous
            without. A password is best a `Secret`.
        filepath: of the file, or a function of the message that gives it; by default
            what `meta["filepath"]` says. Patterns as of `files.Save`.
        options: `protocol` and others of the server, and those of every node.

    Raises:
        FileRefused: the server does not delete the file.
        MessageError: no file is named.
        NotConnected: the server is away, or refuses the login.
        SettingsError: an option is not usable, or an extra is missing.
    """

    is_sink: ClassVar[bool] = True
    changes: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        host: str = "",
        port: int = 21,
        credentials: Credentials = None,
        filepath: GivenName = None,
        **options: Any,
    ) -> None:
        super().__init__(host, port, credentials, filepath, **options)

    async def process(self, msg: Message) -> Message:
        await self.link.delete(self.path_of(msg))
        return msg
