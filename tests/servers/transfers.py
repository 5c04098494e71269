"""File servers of each protocol for one suite of tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.certificates import make_certificate
from tests.servers.ftp import PASSWORD, USER, FTPServer, why_no_tls
from tests.servers.sftp import SFTPServer

__all__ = ["PROTOCOLS", "Served", "serving"]

PROTOCOLS = ("ftp", "ftp-old", "ftps", "sftp")


class Served:
    """A server that runs, and how to get at it.

    Attributes:
        folder: what it serves.
        options: of a channel or node that uses it.
    """

    def __init__(
        self, folder: Path, server: FTPServer | SFTPServer, **options: Any
    ) -> None:
        self.folder = folder
        self.server = server
        self.options: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": server.port,
            "credentials": (USER, PASSWORD),
            "timeout": 5.0,
            **options,
        }

    def write(self, name: str, data: str | bytes) -> None:
        """Let a file appear on the server, whole."""
        part = self.folder.parent / f"{name}.new"
        part.write_bytes(data if isinstance(data, bytes) else data.encode())
        os.replace(part, self.folder / name)

    def names(self) -> list[str]:
        """What is there."""
        return sorted(path.name for path in self.folder.iterdir())

    def refuse_login(self, is_so: bool = True) -> None:
        """Let passwords count as wrong."""
        self.server.refuse_login = is_so

    async def stop(self) -> None:
        """Let the server go down."""
        if isinstance(self.server, FTPServer):
            await asyncio.to_thread(self.server.stop)
        else:
            await self.server.stop()

    async def start(self) -> None:
        """Let it come back."""
        if isinstance(self.server, FTPServer):
            await asyncio.to_thread(self.server.start)
        else:
            await self.server.start()


@asynccontextmanager
async def serving(protocol: str, folder: Path) -> AsyncIterator[Served]:
    """A server of this protocol; skips the test where it cannot be."""
    served = await _started(protocol, folder / "served")
    yield served
    await served.stop()


async def _started(protocol: str, folder: Path) -> Served:
    await asyncio.to_thread(folder.mkdir)
    if protocol == "sftp":
        sftp = await asyncio.to_thread(SFTPServer, folder)
        await sftp.start()
        options = {"protocol": "sftp", "host_key": sftp.host_key}
        return Served(folder, sftp, **options)
    if protocol != "ftps":
        ftp = FTPServer(folder, is_old=protocol == "ftp-old")
        return Served(folder, ftp, protocol="ftp")
    if reason := why_no_tls():
        pytest.skip(reason)
    certificate = await asyncio.to_thread(make_certificate, folder.parent, "ftps")
    ftps = FTPServer(folder, certificate)
    return Served(folder, ftps, protocol="ftps", verify=str(certificate))
