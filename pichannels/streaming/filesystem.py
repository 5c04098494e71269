"""What instances publish as a file system of fsspec, which the extra `fsspec` brings.

`pandas.read_csv("pichannels://host:8443/files/x.csv", storage_options={...})`, and all
else that opens files by fsspec, reads and writes the files that an instance publishes.
"""

from __future__ import annotations

import io
import os
import shutil
from typing import Any, Final

from pichannels.config import is_loopback
from pichannels.errors import UsageError
from pichannels.remote.blocking import BlockingBytes, BlockingLink
from pichannels.remote.modes import Kind, Listing

try:
    from fsspec import (  # type: ignore[import-untyped,unused-ignore]
        AbstractFileSystem,
    )
    from fsspec.spec import (  # type: ignore[import-untyped,unused-ignore]
        AbstractBufferedFile,
    )
    from fsspec.utils import (  # type: ignore[import-untyped,unused-ignore]
        infer_storage_options,
    )
except ImportError as exc:
    raise ImportError(
        "file systems need the extra `fsspec`: pip install 'pichannels[fsspec]'"
    ) from exc

__all__ = ["RemoteFile", "RemoteFileSystem"]

_PORT: Final = 8170
_BLOCK: Final = 2**20


class RemoteFileSystem(AbstractFileSystem):  # type: ignore[misc,unused-ignore]
    """The files of a hub; fsspec makes it for URLs that begin with `pichannels://`.

    Files can be read, written, listed, removed, renamed and copied; the folders are
    those of their names. What is written is safe on the disk of the other side when the
    file is closed.

    Args:
        host: where the hub is.
        port: its number; 8170 by default.
        token: shows who we are; `PICHANNELS_TOKEN` of the environment by default.
        tls: whether it speaks TLS; by default all but this machine do, and with `ca`
            this one, too.
        ca: a file with the certificates that are trusted, in PEM.
        verify: False for no check of the certificate.
        options: as all file systems of fsspec have them.
    """

    protocol = "pichannels"
    root_marker = ""

    def __init__(
        self,
        host: str = "",
        port: int | str = _PORT,
        token: str | None = None,
        tls: bool | None = None,
        ca: str | os.PathLike[str] | None = None,
        verify: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not host:
            raise UsageError("the URL has no host: pichannels://host:8443/files/x.csv")
        is_safe = ca is not None or not is_loopback(host) if tls is None else tls
        name = f"[{host}]" if ":" in host else host
        self.link = BlockingLink(
            f"{'https' if is_safe else 'http'}://{name}:{port}",
            token=token or os.environ.get("PICHANNELS_TOKEN"),
            ca=ca,
            verify=verify,
        )

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        found = infer_storage_options(str(path))
        text = found["path"] if found["protocol"] == cls.protocol else str(path)
        return text.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        found = infer_storage_options(path)
        return {name: found[name] for name in ("host", "port") if found.get(name)}

    # What is there

    def _files(self, pattern: str) -> list[Listing]:
        return [x for x in self.link.list(pattern) if x.kind is Kind.BYTES]

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What is directly in a folder, or a file itself.

        Raises:
            FileNotFoundError: there is neither.
        """
        place = self._strip_protocol(path)
        found: dict[str, dict[str, Any]] = {}
        inside = f"{place}/" if place else ""
        for each in self._files(f"{inside}*"):
            name, slash, _ = each.name[len(inside) :].partition("/")
            full = inside + name
            found.setdefault(full, _folder(full) if slash else _file(each))
        if not found and place:
            found[place] = self._file(place)
        rows = [found[name] for name in sorted(found)]
        return rows if detail else [row["name"] for row in rows]

    def _file(self, place: str) -> dict[str, Any]:
        for each in self._files(place):
            if each.name == place:
                return _file(each)
        raise FileNotFoundError(place)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """What is known of a file or folder.

        Raises:
            FileNotFoundError: there is neither.
        """
        place = self._strip_protocol(path)
        if not place:
            return _folder(place)
        try:
            return self._file(place)
        except FileNotFoundError:
            if self._files(f"{place}/*"):
                return _folder(place)
            raise

    def ukey(self, path: str) -> str:
        """Changes when the file does."""
        return str(self.info(path)["version"])

    # What is in it

    def cat_file(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        **options: Any,
    ) -> bytes:
        """The bytes of a file, or a part of them; negative ones count from the end.

        Raises:
            FileNotFoundError: there is no such file.
        """
        place = self._strip_protocol(path)
        size = self._file(place)["size"]
        first, last, _ = slice(start, end).indices(size)
        with self.link.bytes(place, start=first) as stream:
            return (
                stream.read(max(last - first, 0))
                if end is not None
                else (stream.readall())
            )

    def _open(
        self, path: str, mode: str = "rb", block_size: Any = None, **options: Any
    ) -> RemoteFile:
        options.pop("autocommit", None)
        size = block_size if isinstance(block_size, int) else _BLOCK
        return RemoteFile(self, self._strip_protocol(path), mode, size, **options)

    # What becomes of it

    def rm_file(self, path: str) -> None:
        """Remove a file; folders go with their last file.

        Raises:
            FileNotFoundError: there is no such file.
            IsADirectoryError: it is a folder.
        """
        place = self._strip_protocol(path)
        if self.info(place)["type"] != "file":
            raise IsADirectoryError(place)
        self.link.remove(place)

    def rm(self, path: Any, recursive: bool = False, maxdepth: Any = None) -> None:
        """Remove files; with `recursive` also those of folders.

        Raises:
            FileNotFoundError: there is no such file.
            IsADirectoryError: it is a folder, which is removed with `recursive` only.
        """
        found = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
        folders = [x for x in found if recursive and self.isdir(x)]
        for place in found:
            if place not in folders:
                self.rm_file(place)

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        """Give a file another name, in the place of what has it; or copy and remove it,
        where that is in another folder that is published.

        Raises:
            FileNotFoundError: there is no such file.
        """
        place, to = self._strip_protocol(path1), self._strip_protocol(path2)
        is_file = self.info(place)["type"] == "file"
        if is_file and place.partition("/")[0] == to.partition("/")[0]:
            self.link.rename(place, to, replace=True)
        else:
            super().mv(place, to, **options)

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy a file, by way of this machine."""
        if self.info(path1)["type"] == "file":
            with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
                shutil.copyfileobj(source, target, _BLOCK)

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Folders are made with the files in them."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Folders are made with the files in them."""


class RemoteFile(AbstractBufferedFile):  # type: ignore[misc,unused-ignore]
    """A file that is open, as fsspec makes them: `rb`, `wb`, `ab` or `xb`."""

    _stream: BlockingBytes | None = None

    def _fetch_range(self, start: int, end: int) -> bytes:
        if self._stream is None:
            self._stream = self.fs.link.bytes(self.path, start=start)
        elif self._stream.tell() != start:
            self._stream.seek(start)
        found = io.BufferedReader(self._stream, _BLOCK)
        try:
            return found.read(end - start)
        finally:
            found.detach()

    def _initiate_upload(self) -> None:
        if self.mode == "xb" and self.fs.exists(self.path):
            raise FileExistsError(self.path)
        self._stream = self.fs.link.bytes(self.path, "wb")
        if self.mode == "ab":
            self._stream.seek(0, os.SEEK_END)
        else:
            self._stream.truncate(0)

    def _upload_chunk(self, final: bool = False) -> bool:
        assert self._stream is not None
        self.buffer.seek(0)
        self._stream.write(self.buffer.read())
        if final:
            self._stream.sync()
        return True

    def close(self) -> None:
        """Let go of the file; what was written is safe then."""
        try:
            super().close()
        finally:
            if self._stream is not None:
                self._stream.close()


def _file(listing: Listing) -> dict[str, Any]:
    size = None if listing.end is None else listing.end - (listing.first or 0)
    return {
        "name": listing.name,
        "size": size,
        "type": "file",
        "version": listing.version,
    }


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory", "version": ""}
