"""Files of this machine: read, written, moved, deleted."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, unquote, urlsplit

from nodes import _file_work as work
from nodes._file_paths import FilePath, Given, GivenName, has_counter, named_by_meta
from nodes._options import at_least
from pichannels.errors import DecodeError, SettingsError
from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = ["Clean", "Move", "Read", "Save", "Write"]

_UNCHANGED: frozenset[str] = frozenset()
_DRIVE: Final = re.compile(r"/[A-Za-z]:")


class Read(BaseNode):
    """The content of a file as the payload.

    Which file is said by `filepath`, by `filename` (beside the file that the message
    came from), or by `meta["filepath"]`. Path and name of what was read are in
    `meta["filepath"]` and `meta["filename"]` then.

    Args:
        filename: of a file in the folder of `meta["filepath"]`, or a function of the
            message that gives it.
        filepath: of the file, or a function of the message that gives it.
        binary_file: the payload is bytes, not text.
        encoding: of text; UTF-8 by default.
        max_bytes: a larger file fails the message.
        options: those of every node.

    Raises:
        DecodeError: the file is no text in the encoding.
        MessageError: no file is named, or it is too large.
        OSError: the file cannot be read.
        RetryLater: the disk is not to be had just now.
        SettingsError: an option is not usable.
    """

    changes: ClassVar = frozenset({"meta", "payload"})

    def __init__(
        self,
        filename: GivenName = None,
        filepath: Given = None,
        binary_file: bool = False,
        *,
        encoding: str | None = None,
        max_bytes: int | None = 64 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        at_least("max_bytes", max_bytes, 1)
        self.binary_file = binary_file
        self.encoding = _encoding(encoding)
        self.max_bytes = max_bytes
        self._name = FilePath("filename", filename)
        self._path = FilePath("filepath", filepath)
        self._counter = 0

    async def process(self, msg: Message) -> Message:
        path = self._path_of(msg)
        data = await asyncio.to_thread(work.read, path, self.max_bytes)
        msg.payload = data if self.binary_file else self._decoded(data)
        msg.meta["filepath"] = path
        msg.meta["filename"] = os.path.basename(path)
        return msg

    def _path_of(self, msg: Message) -> str:
        self._counter += 1
        given = self._path if self._path.is_given else self._name
        if not given.is_given:
            return named_by_meta(msg, self.fullpath())
        found = given.of(msg, channel=_channel(self), counter=self._counter)
        if given is self._path:
            return found
        folder = os.path.dirname(named_by_meta(msg, self.fullpath()))
        return os.path.join(folder, found)

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode(self.encoding)
        except UnicodeDecodeError as exc:
            raise DecodeError(self.encoding, exc.reason, data[exc.start :]) from exc


class Write(BaseNode):
    """Write the payload to a file, whole or not at all.

    The file is on the disk before the message goes on. Its folder is made. When the
    disk is full, the message waits and is tried again.

    Args:
        filepath: of the file, or a function of the message that gives it; by default
            what `meta["filepath"]` says. It may have patterns such as `%(year)s` and
            `%(counter)d`, as `files.Save` has.
        binary_mode: the payload is bytes. Text and bytes are written as they come,
            whatever this says.
        safe_file: write `.tmp` first, and let that take the place of the file; False
            for what cannot be replaced, such as a device.
        create_valid_file: make an empty file beside it afterwards, for others that
            wait for it.
        validation_extension: the ending of that file.
        group_name: the group that the file gets, where the system has groups.
        encoding: of text; UTF-8 by default.
        options: those of every node.

    Raises:
        CodecError: the payload is neither text nor bytes.
        MessageError: no file is named.
        OSError: the file cannot be written.
        RetryLater: the disk is full, or not to be had just now.
        SettingsError: an option is not usable.
    """

    is_sink: ClassVar[bool] = True
    changes: ClassVar = _UNCHANGED

    def __init__(
        self,
        filepath: Given = None,
        binary_mode: bool = False,
        safe_file: bool = True,
        create_valid_file: bool = False,
        validation_extension: str = ".ok",
        group_name: str | None = None,
        encoding: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.binary_mode = binary_mode
        self.safe_file = safe_file
        self.create_valid_file = create_valid_file
        self.validation_extension = _ending(
            "validation_extension", validation_extension
        )
        self.group_name = group_name
        self.encoding = _encoding(encoding)
        self._path = FilePath("filepath", filepath)
        self._counts = has_counter(filepath)
        self._counter = 0

    async def start(self) -> None:
        await super().start()
        if self._counts:
            self._counter = await self.restore_data("counter", 0)

    async def process(self, msg: Message) -> Message:
        data = work.as_bytes(msg.payload, self.encoding, self.fullpath())
        # The path is made here: threads beside each other would count alike.
        await asyncio.to_thread(self._write, self._path_of(msg), data)
        return msg

    def _write(self, path: str, data: bytes) -> None:
        work.write(path, data, is_safe=self.safe_file, group=self.group_name)
        if self.create_valid_file:
            for beside in work.siblings(path, (self.validation_extension,)):
                work.touch(beside)

    def _path_of(self, msg: Message) -> str:
        if not self._path.is_given:
            return named_by_meta(msg, self.fullpath())
        if self._counts:
            # Kept, so that the files of an earlier run are not written over.
            self._counter += 1
            self.save_data("counter", self._counter)
        return self._path.of(msg, channel=_channel(self), counter=self._counter)


class Save(Write):
    """Keep each message in a file of its own.

    Args:
        uri: `file:///folder/?filename=NAME`, and `file:///C:/folder/?filename=NAME`
            on Windows. Both may have patterns: `%(year)s`,
            `%(month)02d`, `%(day)02d`, `%(hour)02d`, `%(minute)02d`, `%(second)02d` of
            now and, as `%(msg_year)s` and so on, of the message, in UTC; `%(muid)s`,
            the uuid of the message; `%(cuid)s`, the name of the channel;
            `%(counter)d`, which goes on over restarts.
        options: `encoding`, `safe_file` and others of `files.Write`, and those of
            every node.

    Raises:
        CodecError: the payload is neither text nor bytes.
        OSError: the file cannot be written.
        RetryLater: the disk is full, or not to be had just now.
        SettingsError: the URI is no such one.
    """

    def __init__(self, uri: str = "", **options: Any) -> None:
        if "filepath" in options:
            raise SettingsError("the path is in `uri`", key="filepath")
        super().__init__(filepath=_path_in(uri), **options)
        self.uri = uri


class Move(BaseNode):
    """Move the file that the message came from to another folder.

    `meta["filepath"]` says where it is then. A file with its name in that folder gives
    way. After a crash, one that was moved already is left where it is.

    Args:
        dest_path: the folder, which is made; patterns as of `files.Save`, or a
            function of the message.
        options: those of every node.

    Raises:
        MessageError: no file is named.
        OSError: the file cannot be moved.
        RetryLater: the disk is full, or not to be had just now.
        SettingsError: an option is not usable.
    """

    is_sink: ClassVar[bool] = True
    changes: ClassVar = frozenset({"meta"})

    def __init__(self, dest_path: Given = None, **options: Any) -> None:
        super().__init__(**options)
        self._folder = FilePath("dest_path", dest_path)
        if not self._folder.is_given:
            raise SettingsError("there is no folder to move files to", key="dest_path")

    async def process(self, msg: Message) -> Message:
        path = named_by_meta(msg, self.fullpath())
        name = os.path.basename(msg.meta.get("filename") or path)
        folder = self._folder.of(msg, channel=_channel(self))
        moved = await asyncio.to_thread(work.move, path, folder, name)
        msg.meta["filepath"] = moved
        return msg


class Clean(BaseNode):
    """Delete the file that the message came from, and files beside it.

    What is gone already is no error.

    Args:
        extensions_to_rm: endings of files with the same name that go too: `[".ok"]`.
        options: those of every node.

    Raises:
        MessageError: no file is named.
        OSError: a file cannot be deleted.
        RetryLater: the disk is not to be had just now.
        SettingsError: an option is not usable.
    """

    is_sink: ClassVar[bool] = True
    changes: ClassVar = _UNCHANGED

    def __init__(
        self, extensions_to_rm: Sequence[str] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        given = extensions_to_rm or ()
        if isinstance(given, str):
            raise SettingsError("this is no list", key="extensions_to_rm", found=given)
        self.extensions_to_rm = tuple(_ending("extensions_to_rm", e) for e in given)

    async def process(self, msg: Message) -> Message:
        path = named_by_meta(msg, self.fullpath())
        await asyncio.to_thread(self._delete, path)
        return msg

    def _delete(self, path: str) -> None:
        work.delete(path)
        for beside in work.siblings(path, self.extensions_to_rm):
            work.delete(beside)


def _channel(node: BaseNode) -> str:
    return "" if node.channel is None else node.channel.name


def _encoding(found: Any) -> str:
    try:
        return codecs.lookup(found or "utf-8").name
    except (LookupError, TypeError) as exc:
        raise SettingsError(
            "there is no such encoding", key="encoding", found=found
        ) from exc


def _ending(key: str, found: Any) -> str:
    if not isinstance(found, str) or not found.startswith(".") or "/" in found:
        raise SettingsError(
            "this is no ending", key=key, found=found, allowed="such as .ok"
        )
    return found


def _path_in(uri: Any) -> str:
    allowed = "file:///folder/?filename=%(muid)s.txt"
    if not isinstance(uri, str):
        raise SettingsError("this is no URI", key="uri", found=uri, allowed=allowed)
    parts = urlsplit(uri)
    # Patterns are no escapes.
    query = parse_qs(parts.query.replace("%", "%25").replace("+", "%2B"))
    names = query.get("filename", [])
    if parts.scheme != "file" or len(names) != 1 or not names[0]:
        raise SettingsError(
            "this is no place to save messages", key="uri", found=uri, allowed=allowed
        )
    folder = unquote(parts.path) if "%(" not in parts.path else parts.path
    if os.name == "nt" and _DRIVE.match(folder):
        folder = folder[1:]
    return os.path.join(f"{parts.netloc}{folder}" if parts.netloc else folder, names[0])
