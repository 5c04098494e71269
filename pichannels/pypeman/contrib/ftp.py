"""FTP, by pypeman's names.

The helper waits where it is called, as pypeman's does: use it in a `ThreadNode`, or in
a thread. `FTPWatcherChannel` and the nodes do not use it; they keep connections open,
and know FTPS and SFTP too.
"""

from __future__ import annotations

from ftplib import FTP, all_errors
from io import BytesIO
from typing import Any, Final

from pichannels.pypeman.channels import FTPWatcherChannel
from pichannels.pypeman.nodes import FTPFileDeleter, FTPFileReader, FTPFileWriter

__all__ = [
    "FTPConnection",
    "FTPFileDeleter",
    "FTPFileReader",
    "FTPFileWriter",
    "FTPHelper",
    "FTPWatcherChannel",
]

_PORT: Final = 21
_TIMEOUT: Final = 30.0


class FTPConnection:
    """One connection to a server, as a context manager that gives an `ftplib.FTP`.

    Args:
        host: its name or address.
        port: 21 where it is none.
        credentials: user and password; without any the login is anonymous.
    """

    def __init__(self, host: str, port: int | None, credentials: Any) -> None:
        self.host = host
        self.port = port or _PORT
        self.credentials = credentials or ()

    def __enter__(self) -> FTP:
        self.ftp = FTP()
        try:
            self.ftp.connect(self.host, self.port, timeout=_TIMEOUT)
            self.ftp.login(*self.credentials)
        except BaseException:
            self.ftp.close()
            raise
        return self.ftp

    def __exit__(self, *failed: object) -> None:
        try:
            self.ftp.quit()
        except all_errors:
            self.ftp.close()


class FTPHelper:
    """What can be done with the files of a server, with a connection for each call.

    All of it raises what `ftplib` raises (`ftplib.all_errors`).

    Args:
        host: its name or address.
        port: 21 where it is none.
        credentials: user and password; without any the login is anonymous.
    """

    def __init__(self, host: str, port: int | None, credentials: Any) -> None:
        self.host = host
        self.port = port
        self.credentials = credentials

    def _connected(self) -> FTPConnection:
        return FTPConnection(self.host, self.port, self.credentials)

    def list_dir(self, path: str) -> set[str]:
        """The names of what is in a folder."""
        with self._connected() as ftp:
            ftp.cwd(path)
            return set(ftp.nlst())

    def download_file(self, filepath: str) -> bytes:
        """The content of a file."""
        content = BytesIO()
        with self._connected() as ftp:
            ftp.retrbinary(f"RETR {filepath}", content.write)
        return content.getvalue()

    def upload_file(self, filepath: str, content: bytes) -> bytes:
        """Write a file; gives what was written."""
        with self._connected() as ftp:
            ftp.storbinary(f"STOR {filepath}", BytesIO(content))
        return content

    def rename(self, fromfilepath: str, tofilepath: str) -> None:
        """Give a file another path."""
        with self._connected() as ftp:
            ftp.rename(fromfilepath, tofilepath)

    def delete(self, filepath: str) -> None:
        """Delete a file."""
        with self._connected() as ftp:
            ftp.delete(filepath)
