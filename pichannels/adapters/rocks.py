"""RocksDB by rocksdict, which the extra `cache` brings.

The only module that imports rocksdict: how a database is opened, which of its settings
we choose, and its errors as ours. Values are written by typed codecs, never by pickle.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pichannels import codecs
from pichannels.errors import PichannelsError, SettingsError, UsageError

try:
    import rocksdict
except ImportError:
    rocksdict = None  # type: ignore[assignment,unused-ignore]

__all__ = [
    "CacheClosed",
    "CacheError",
    "destroy",
    "families",
    "is_missing",
    "is_stalled",
    "new_batch",
    "new_options",
    "opened",
    "refusal",
    "repair",
    "required",
    "safe",
    "translated",
    "ttl_of",
    "without_stalls",
]

_NO_PART: Final = re.compile(r"column name `(.*)` does not exist")
_LOCKED: Final = re.compile(r"lock .*?: (.*)/LOCK: ")
_MIB: Final = 2**20
_TTL_FILE: Final = "pichannels-ttl"
"""Beside the files of the database: RocksDB adds the time to values, and who opens it
without knowing would read that as a part of them."""


class CacheError(PichannelsError):
    """The database of a cache cannot do this."""


class CacheClosed(CacheError):
    """The cache is closed."""

    def __init__(self) -> None:
        super().__init__("the cache is closed")


def required() -> Any:
    """The library.

    Raises:
        SettingsError: it is not installed.
    """
    if rocksdict is None:
        raise SettingsError(
            "Cache needs the extra `cache`: pip install 'pichannels[cache]'"
        )
    return rocksdict


def refusal(error: Exception) -> Exception:
    """What rocksdict raised, as an error of ours."""
    if isinstance(error, PichannelsError):
        return error
    if isinstance(error, rocksdict.DbClosedError):
        return CacheClosed()
    text = str(error)
    if text.startswith("Only support"):
        return UsageError("keys are str, int, float, bytes or bool")
    if found := _NO_PART.search(text):
        told = "there is no part {!r}; create_column_family makes it"
        return CacheError(told.format(found[1]))
    if found := _LOCKED.search(text):
        return CacheError(f"{found[1]} is open already, here or in another process")
    return CacheError(text)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the errors of the library as ours."""
    try:
        yield
    except Exception as exc:
        raise refusal(exc) from exc


def is_stalled(error: Exception) -> bool:
    """Whether it is the refusal to wait, of `without_stalls`."""
    return str(error).endswith("Write stall")


def is_missing(error: Exception) -> bool:
    """Whether there is no such key."""
    return str(error).startswith("NotFound")


def without_stalls(*, sync: bool = False) -> Any:
    """Options of a write that fails where it would have to wait for the disk."""
    options = required().WriteOptions()
    options.no_slowdown = True
    options.sync = sync
    return options


def new_options(target_table_size: int | None) -> Any:
    """Our choice of settings: all is kept, unless a size is given.

    Args:
        target_table_size: bytes on disk beyond which the oldest files are dropped.
    """
    library = required()
    options = library.Options()
    options.create_missing_column_families(True)
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(_MIB)
    options.set_max_manifest_file_size(_MIB)
    options.set_write_buffer_size(16 * _MIB)
    options.set_compression_type(library.DBCompressionType.lz4())
    if target_table_size is not None:
        oldest_first = library.FifoCompactOptions()
        oldest_first.max_table_files_size = target_table_size
        options.set_fifo_compaction_options(oldest_first)
        options.set_compaction_style(library.DBCompactionStyle.fifo())
        options.set_write_buffer_size(
            min(16 * _MIB, max(target_table_size // 4, 65536))
        )
    return options


def opened(
    path: str,
    options: Any,
    column_families: Mapping[str, Any] | None,
    access_type: Any,
    ttl: int | None,
) -> Any:
    """Open or make a database; the column families that it has are opened, too.

    Raises:
        CacheError: it cannot be opened, because another process has it, say.
        SettingsError: its values have a time to live that is not the one given, or
            rocksdict is not installed.
    """
    library = required()
    _check_ttl(path, ttl)
    known = dict.fromkeys(families(path), options)
    known |= column_families or {}
    known.pop("default", None)
    if access_type is None:
        ways = library.AccessType
        access_type = ways.read_write() if ttl is None else ways.with_ttl(ttl)
    with translated():
        database = library.Rdict(path, options, known or None, access_type)
    return safe(database)


def safe(database: Any) -> Any:
    """The database, or column family, with typed codecs in the place of pickle."""
    database.set_dumps(codecs.encode)
    database.set_loads(codecs.decode)
    return database


def new_batch() -> Any:
    """An empty write batch with typed codecs."""
    batch = required().WriteBatch()
    batch.set_dumps(codecs.encode)
    return batch


def families(path: str) -> list[str]:
    """The column families of a database; none where there is no database.

    Raises:
        CacheError: it cannot be read.
    """
    if not os.path.exists(os.path.join(path, "CURRENT")):
        return []
    with translated():
        return list(required().Rdict.list_cf(path))


def destroy(path: str) -> None:
    """Delete a database that nobody has open.

    Raises:
        CacheError: somebody has.
    """
    with translated():
        required().Rdict.destroy(path)
    (Path(path) / _TTL_FILE).unlink(missing_ok=True)


def repair(path: str) -> None:
    """Save what can be saved of a database that nobody has open."""
    with translated():
        required().Rdict.repair(path)


def ttl_of(path: str) -> int | None:
    """The seconds that values of a database live, as it was made."""
    try:
        return int((Path(path) / _TTL_FILE).read_text("ascii"))
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise CacheError(f"{path}/{_TTL_FILE} does not hold a number") from exc


def _check_ttl(path: str, ttl: int | None) -> None:
    is_there = os.path.exists(os.path.join(path, "CURRENT"))
    if is_there and (made_with := ttl_of(path)) is not None and ttl is None:
        raise SettingsError(
            f"the values of {path} have a time to live; open it with one",
            key="ttl",
            allowed=f"seconds, such as {made_with}",
        )
    if is_there and ttl is not None and made_with is None:
        raise SettingsError(
            f"the values of {path} were written without a time to live; give those"
            " that have one a cache of their own",
            key="ttl",
            found=ttl,
        )
    if ttl is not None:
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / _TTL_FILE).write_text(str(ttl), "ascii")
