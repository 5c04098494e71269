"""What is kept in message stores: to files, from files, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pichannels import exporting
from pichannels.control.history import Selection, channels_with_store
from pichannels.errors import UsageError
from pichannels.exporting import export, import_
from pichannels.project import Project
from pichannels.retention import Retention
from pichannels.store import MessageStore

__all__ = ["Export", "Import", "Prune", "export_messages", "import_messages", "prune"]


class Export(Selection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages of one channel to a file.

    Attributes:
        path: absolute; compressed where it ends in `.gz`.
        replace: whether a file that exists is replaced.
    """

    path: str
    replace: bool = False


class Import(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages of a file to the store of one channel.

    Attributes:
        channel: its full name.
        path: absolute.
    """

    channel: str
    path: str


class Prune(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which settled messages go.

    Attributes:
        channel: of this one; of all channels with a store when empty.
        age: those older than so many seconds.
        size: the oldest of a store, until the rest takes no more bytes than this.
        state: only messages in this state, by age.
        dry_run: only count.
    """

    channel: str | None = None
    age: float | None = None
    size: int | None = None
    state: str | None = None
    dry_run: bool = False

    def retention(self) -> Retention:
        """What is kept instead.

        Raises:
            SettingsError: a number is not usable, or there is no such final state.
            UsageError: nothing says what goes.
        """
        if self.age is None and self.size is None:
            raise UsageError(
                "say what goes: messages of an age (30d), or beyond a size (2GiB)"
            )
        if self.state is None:
            return Retention(age=self.age, size=self.size, states={})
        if self.size is not None:
            raise UsageError("a size counts for all states together; take an age")
        return Retention(age=None, size=None, states={self.state: self.age})


async def export_messages(project: Project, wanted: Export) -> dict[str, int]:
    """Write the selected messages of a channel to a file: `exported`, how many.

    Raises:
        CodecError: a message holds a type without codec.
        UsageError: the path is not usable, or there is no such channel.
    """
    if wanted.channel is None or wanted.ids is not None:
        raise UsageError("an export is of one channel, and by conditions, not ids")
    path = _absolute(wanted.path)
    store = _store(project, wanted.channel)
    if not wanted.replace and await asyncio.to_thread(path.exists):
        raise UsageError(f"{path} exists; name a new file, or replace it")
    with _told(path):
        return {"exported": await export(store, path, **wanted.filters())}


async def import_messages(project: Project, wanted: Import) -> dict[str, int]:
    """Store the messages of a file, settled as they were: `imported`, how many.

    Raises:
        CodecError: a line holds no message; those before it are stored.
        UsageError: the path is not usable, or there is no such channel.
    """
    path = _absolute(wanted.path)
    store = _store(project, wanted.channel)
    with _told(path):
        return {"imported": await import_(path, store)}


async def prune(project: Project, wanted: Prune) -> list[dict[str, object]]:
    """Delete settled messages: how many went, for each channel.

    Raises:
        SettingsError: a number is not usable, or there is no such final state.
        UsageError: nothing says what goes, or there is no such channel.
    """
    retention = wanted.retention()
    return [
        {
            "channel": channel.name,
            "messages": await exporting.prune(store, retention, dry_run=wanted.dry_run),
        }
        for channel, store in channels_with_store(project, wanted.channel)
    ]


def _store(project: Project, channel: str) -> MessageStore:
    ((_, store),) = channels_with_store(project, channel)
    return store


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise UsageError(f"{text} is no absolute path")
    return path


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise UsageError(f"{path}: {exc.strerror or exc}") from exc
