"""Reading, writing, moving and deleting files, so that a crash leaves nothing half."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pichannels.errors import CodecError, MessageError, RetryLater
from pichannels.holding import is_held, remove, replace

__all__ = ["as_bytes", "delete", "move", "read", "siblings", "touch", "write"]

_TEMPORARY: Final = frozenset(
    getattr(errno, name)
    for name in (
        "EAGAIN EBUSY EDQUOT EHOSTDOWN EHOSTUNREACH EIO EMFILE ENETDOWN ENETUNREACH"
        " ENFILE ENOSPC EROFS ESTALE ETIMEDOUT"
    ).split()
    if hasattr(errno, name)
)
"""What time may heal, as far as the system knows it."""


def read(path: str, limit: int | None) -> bytes:
    """What a file holds.

    Raises:
        MessageError: it is larger than the limit.
        RetryLater: the disk is not to be had just now, or (on Windows) another
            program has the file open.
        OSError: it cannot be read.
    """
    with _temporary(path), open(path, "rb") as file:
        data = file.read(-1 if limit is None else limit + 1)
    if limit is not None and len(data) > limit:
        raise MessageError(f"{path} is larger than {limit} bytes")
    return data


def write(path: str, data: bytes, *, is_safe: bool, group: str | None) -> None:
    """Let a file hold this; its folder is made.

    Args:
        path: of the file.
        data: all that it is to hold.
        is_safe: write another file first, `.tmp`, that takes its place when it is on
            the disk.
        group: whose file it becomes.

    Raises:
        RetryLater: the disk is full, or not to be had just now, or (on Windows)
            another program has the file open.
        OSError: it cannot be written.
        LookupError: there is no such group.
    """
    with _temporary(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        place = f"{path}.tmp" if is_safe else path
        try:
            with open(place, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if group is not None:
                shutil.chown(place, group=group)
            if is_safe:
                replace(place, path)
        except BaseException:
            if is_safe:
                with suppress(OSError):
                    os.unlink(place)
            raise
        _sync_folder(path)


def touch(path: str) -> None:
    """Let there be an empty file.

    Raises:
        RetryLater: the disk is full, or not to be had just now, or (on Windows)
            another program has the file open.
        OSError: it cannot be written.
    """
    with _temporary(path):
        Path(path).touch()
        _sync_folder(path)


def move(path: str, folder: str, name: str) -> str:
    """Move a file into a folder, which is made; the new path.

    One that was moved already, before a crash, is left where it is.

    Raises:
        RetryLater: the disk is full, or not to be had just now, or (on Windows)
            another program has the file open.
        OSError: it cannot be moved.
    """
    target = os.path.join(folder, name)
    with _temporary(path):
        os.makedirs(folder, exist_ok=True)
        try:
            replace(path, target)
        except FileNotFoundError:
            if not os.path.exists(target):
                raise
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            # On another disk: whole there before it is gone here.
            part = f"{target}.tmp"
            shutil.copy2(path, part)
            replace(part, target)
            remove(path)
        _sync_folder(target)
    return target


def delete(path: str) -> bool:
    """Delete a file; False when there was none.

    Raises:
        RetryLater: the disk is not to be had just now, or (on Windows) another
            program has the file open.
        OSError: it cannot be deleted.
    """
    with _temporary(path):
        if not os.path.isfile(path):
            return False
        remove(path)
    return True


def siblings(path: str, extensions: tuple[str, ...]) -> Iterator[str]:
    """The paths with another ending in place of that of the file."""
    return (str(Path(path).with_suffix(extension)) for extension in extensions)


def as_bytes(payload: Any, encoding: str, node: str) -> bytes:
    """What is written of a payload.

    Raises:
        CodecError: it is neither text nor bytes, or text that the encoding has not.
    """
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)
    if not isinstance(payload, str):
        kind = type(payload).__name__
        raise CodecError(f"{node} writes text and bytes, and got {kind}; encode it")
    try:
        return payload.encode(encoding)
    except UnicodeEncodeError as exc:
        raise CodecError(f"the text has what {encoding} has not: {exc}") from exc


@contextmanager
def _temporary(path: str) -> Iterator[None]:
    """What time heals is told to the channel, which tries again then."""
    try:
        yield
    except OSError as exc:
        if is_held(exc):
            reason = "another program has it open"
            raise RetryLater(f"{path}: {reason}") from exc
        if exc.errno in _TEMPORARY:
            raise RetryLater(f"{path}: {exc.strerror}") from exc
        raise


def _sync_folder(path: str) -> None:
    """Let the name of a file survive a power cut, too, where the system can."""
    with suppress(OSError, AttributeError):
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
